package photo_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"tagma/internal/base/fault"
	"tagma/internal/photo"
)

func TestParseName_GivesTheDeviceAndTheTimeInUTC(t *testing.T) {
	const want = "0a5bb6f4.2020-06-20_20-19-15.jpg"
	for _, filename := range []string{
		want,
		"0A5BB6F4.2020-06-20_20-19-15.JPG",
		"0a5bb6f4.2020-06-20_20-19-15.jpeg",
		"0a5bb6f4.2020-06-20_20-19-15.JpEg",
		"images/0a5bb6f4/0a5bb6f4.2020-06-20_20-19-15.jpg",
		`C:\traps\0a5bb6f4.2020-06-20_20-19-15.jpg`,
		`../..\0a5bb6f4.2020-06-20_20-19-15.jpg`,
	} {
		name, err := photo.ParseName(filename)
		if err != nil {
			t.Errorf("name %s: got error %v, want nil", filename, err)
			continue
		}
		if name.Device != "0a5bb6f4" || name.TakenAt.String() != "2020-06-20T20:19:15Z" || name.String() != want {
			t.Errorf("name %s: got %+v, written %s, want %s", filename, name, name, want)
		}
	}
}

func TestParseName_AcceptsTheLeapDayAndTheFirstSecond(t *testing.T) {
	for _, filename := range []string{
		"00000000.2020-02-29_00-00-00.jpg",
		"00000000.2019-11-01_00-00-00.jpg",
		"ffffffff.9999-12-31_23-59-59.jpg",
	} {
		if name, err := photo.ParseName(filename); err != nil || name.String() != filename {
			t.Errorf("name %s: got %v, error %v, want the same name", filename, name, err)
		}
	}
}

func TestParseName_SaysExactlyWhatIsWrong(t *testing.T) {
	for filename, want := range map[string]string{
		"":                                   `its extension "" is not .jpg`,
		"photos/":                            `its extension "" is not .jpg`,
		"0a5bb6f4.2020-06-20_20-19-15":       `its extension ".2020-06-20_20-19-15" is not .jpg`,
		"0a5bb6f4.2020-06-20_20-19-15.png":   `its extension ".png" is not .jpg`,
		"0a5bb6f4.2020-06-20_20-19-15.jpg\n": `its extension ".jpg\n" is not .jpg`,
		"IMG_0001.jpg":                       `"IMG_0001" is not a device: write eight hexadecimal digits`,
		".2020-06-20_20-19-15.jpg":           `"" is not a device`,
		"a5bb6f4.2020-06-20_20-19-15.jpg":    `"a5bb6f4" is not a device`,
		"00a5bb6f4.2020-06-20_20-19-15.jpg":  `"00a5bb6f4" is not a device`,
		"0x5bb6f4.2020-06-20_20-19-15.jpg":   `"0x5bb6f4" is not a device`,
		"+a5bb6f4.2020-06-20_20-19-15.jpg":   `"+a5bb6f4" is not a device`,
		"0a5b_6f4.2020-06-20_20-19-15.jpg":   `"0a5b_6f4" is not a device`,
		"0a5bb6f٤.2020-06-20_20-19-15.jpg":   `"0a5bb6f٤" is not a device`,
		"0a5bb6f4.jpg":                       `its date part "" is not of the form YYYY-MM-DD_HH-MM-SS`,
		"0a5bb6f4.2020-6-20_20-19-15.jpg":    `its date part "2020-6-20_20-19-15" is not of the form`,
		"0a5bb6f4.2020-06-20 20-19-15.jpg":   `is not of the form`,
		"0a5bb6f4.2020-06-20_20-19-15.5.jpg": `its date part "2020-06-20_20-19-15.5" is not of the form`,
		"0a5bb6f4.2020-06-20_20-19-15,5.jpg": `is not of the form`,
		"0a5bb6f4.2021-02-29_20-19-15.jpg":   `its date part "2021-02-29_20-19-15" is not a real date`,
		"0a5bb6f4.2020-13-01_20-19-15.jpg":   `is not a real date`,
		"0a5bb6f4.2020-06-20_24-00-00.jpg":   `is not a real date`,
		"0a5bb6f4.2020-06-20_23-59-60.jpg":   `is not a real date`,
		"0a5bb6f4.0000-00-00_00-00-00.jpg":   `is not a real date`,
		"0a5bb6f4.2019-10-31_23-59-59.jpg":   `its date part "2019-10-31_23-59-59" is too early: no trap existed before 2019-11-01_00-00-00`,
		"0a5bb6f4.1970-01-01_00-00-00.jpg":   `is too early`,
	} {
		name, err := photo.ParseName(filename)
		if err == nil || name != (photo.Name{}) {
			t.Errorf("%q is accepted as %v", filename, name)
			continue
		}
		if fault.CodeOf(err) != fault.BadInput {
			t.Errorf("%q: code %s", filename, fault.CodeOf(err))
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %s\nwant … %s", filename, err, want)
		}
		if !strings.Contains(err.Error(), "such as 0a5bb6f4.2020-06-20_20-19-15.jpg") {
			t.Errorf("%q: there is no remedy in %s", filename, err)
		}
	}
}

func TestParseName_ALongNameMakesNoLongMessage(t *testing.T) {
	for _, filename := range []string{
		strings.Repeat("\x00", 1<<20) + ".jpg",
		"0a5bb6f4." + strings.Repeat("\U0010ffff", 1<<20) + ".jpg",
		"0a5bb6f4.2020-06-20_20-19-15." + strings.Repeat("x", 1<<20),
	} {
		if _, err := photo.ParseName(filename); err == nil || len(err.Error()) > 2500 {
			t.Errorf("%.20q…: a message of %d bytes", filename, len(err.Error()))
		}
	}
}

// Every hostile name is refused or is a name: nothing in between, no panic.
func TestParseName_WhatIsAcceptedRoundTrips(t *testing.T) {
	part := rapid.OneOf(
		rapid.SampledFrom([]string{
			"0a5bb6f4", "0A5BB6F4", "0x5bb6f4", "2020-06-20_20-19-15", "2020-02-30_00-00-00", "2019-10-31_23-59-59",
			".", "..", ".jpg", ".JPEG", ".attrs", "/", `\`, "../", "\x00", "%2e", "%00", "\xff\xfe", " ", "\n", "٤",
			strings.Repeat("a", 300),
		}),
		rapid.StringMatching(`[0-9a-fA-F]{8}`),
		rapid.StringMatching(`\.20[12]\d-[01]\d-[0-3]\d_[0-2]\d-[0-5]\d-[0-5]\d\.(jpg|JPG|jpeg)`),
		rapid.String(),
	)
	accepted := 0
	for range 20 { // rapid draws 100 times unless a flag says otherwise
		rapid.Check(t, func(t *rapid.T) {
			filename := strings.Join(rapid.SliceOfN(part, 0, 5).Draw(t, "parts"), "")
			name, err := photo.ParseName(filename)
			if err != nil {
				if fault.CodeOf(err) != fault.BadInput || !utf8.ValidString(err.Error()) {
					t.Fatalf("name %q: got error %v, want valid UTF-8 with the code %s", filename, err, fault.BadInput)
				}
				return
			}
			accepted++
			parsed, err := photo.ParseName(name.String())
			if err != nil || parsed != name {
				t.Fatalf("%q gives %s, and that gives %v, %v", filename, name, parsed, err)
			}
			if strings.ContainsAny(name.String(), `/\`) || len(name.String()) != 32 {
				t.Fatalf("%q gives %q", filename, name)
			}
		})
	}
	if accepted == 0 {
		t.Error("none of the names was accepted, so nothing was tested")
	}
}

func TestParseDevice_GivesLowerCase(t *testing.T) {
	if device, err := photo.ParseDevice("0A5bB6F4"); err != nil || device != "0a5bb6f4" {
		t.Errorf("device 0A5bB6F4: got %q, error %v, want 0a5bb6f4", device, err)
	}
	for _, s := range []string{"", "0a5bb6f", "0a5bb6f40", "0a5bb6g4", "0a5bb6@4", "0a5bb6:4", "0a5bb6G4", "0a5bb6f\xff", " 0a5bb6f", "0a5bb6f4\n", "%", "________"} {
		device, err := photo.ParseDevice(s)
		if fault.CodeOf(err) != fault.BadInput || device != "" {
			t.Errorf("device %q: got %q, error %v, want code %s", s, device, err, fault.BadInput)
		}
	}
}

func TestIsHex_IsTheDigitsInEitherCaseAndNoOtherByte(t *testing.T) {
	for c := range 256 {
		digit := string([]byte{byte(c)})
		want := strings.Contains("0123456789abcdefABCDEF", digit)
		if photo.IsHex(digit, 1) != want || photo.IsHex("0"+digit+"f", 3) != want || photo.IsHex(digit, 2) {
			t.Errorf("IsHex of %q: want %t for its single digit, false for two", digit, want)
		}
	}
}
