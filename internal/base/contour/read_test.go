package contour

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tagma/internal/base/jsonscan"
)

// numbers are as JSON may spell them, or nearly.
var numbers = []string{
	"0", "-0", "7", "2592", "123456789", "1234567890", "0.5", "-3.25", "1e3", "1E-7", "1e9", "1000000001", "1e400", "-1e400", `"1"`, "null", "[1]", "{}",
}

func TestUnchecked_IsReadAtOnceAsItIsReadInSteps(t *testing.T) {
	space := rapid.SampledFrom([]string{"", "", " ", "\n\t"})
	rapid.Check(t, func(r *rapid.T) {
		text := "["
		for n := range rapid.IntRange(0, 6).Draw(r, "vertices") {
			if n > 0 {
				text += ","
			}
			opened, closed := "[", "]"
			if rapid.IntRange(0, 9).Draw(r, "nested") == 0 {
				opened, closed = "[[", "]]"
			}
			number := func() string { return numbers[min(len(numbers)-1, rapid.IntRange(0, 40).Draw(r, "number"))] }
			if text += space.Draw(r, "space") + opened + number(); rapid.IntRange(0, 20).Draw(r, "pair") > 0 {
				text += space.Draw(r, "space") + "," + space.Draw(r, "space") + number()
			}
			text += space.Draw(r, "space") + closed
		}
		text += "]"
		if rapid.IntRange(0, 20).Draw(r, "else") == 0 {
			text = numbers[rapid.IntRange(0, len(numbers)-1).Draw(r, "number")]
		}
		var direct, generic Input
		if s := jsonscan.New(text); !direct.Read(s) || !s.End() {
			r.Fatalf("%s is not read", text)
		}
		generic = NewInput(decode(t, text))
		got, err := direct.Check()
		want, wantErr := generic.Check()
		if !slices.Equal(got, want) || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			r.Errorf("%s is %v (%v), want %v (%v)", text, got, err, want, wantErr)
		}
		if direct.IsNull() != (text == "null") {
			r.Errorf("%s: null is %t", text, direct.IsNull())
		}
	})
}
