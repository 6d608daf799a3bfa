// Package photo owns the information that a trap's photograph contains about
// itself: the file name, and the metadata that the camera wrote.
//
// Package photo does not own the pixels, dimensions or thumbnails, nor the
// check of the JPEG. The metadata never decide the device, the time or the
// checksum of a photograph, because anyone may write anything there: only the
// name and the bytes decide.
package photo

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
)

// Name is the information in a photograph's file name: the trap, and the time
// to the second, UTC.
type Name struct {
	Device  string // eight hexadecimal digits, lower case
	TakenAt instant.Instant
}

// firstTrap is the time when the first trap was built. A photograph with an
// earlier time comes from a trap with a wrong clock.
const firstTrap = instant.Instant(1572566400000) // 2019-11-01T00:00:00Z

var dateForm = regexp.MustCompile(`^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d$`)

// String returns the canonical file name, such as
// 0a5bb6f4.2020-06-20_20-19-15.jpg.
func (n Name) String() string { return n.Device + "." + n.TakenAt.Trap() + ".jpg" }

// ParseName parses <device>.<YYYY-MM-DD_HH-MM-SS>.jpg, where the time is UTC.
// ParseName ignores a folder before the name, with slashes or backslashes, and
// accepts .jpeg and upper case. The error is a *fault.Error with the code
// BAD_USER_INPUT.
func ParseName(filename string) (Name, error) {
	base := filename[strings.LastIndexAny(filename, `/\`)+1:]
	refuse := func(format string, args ...any) (Name, error) {
		return Name{}, fault.New(fault.BadInput,
			"%.80q is not the name of a trap's photograph: %s; name it <device>.<YYYY-MM-DD_HH-MM-SS>.jpg with the time in UTC, such as 0a5bb6f4.2020-06-20_20-19-15.jpg",
			base, fmt.Sprintf(format, args...))
	}

	extension := path.Ext(base)
	switch strings.ToLower(extension) {
	case ".jpg", ".jpeg":
	default:
		return refuse("its extension %.80q is not .jpg", extension)
	}
	device, date, _ := strings.Cut(strings.TrimSuffix(base, extension), ".")
	device, err := ParseDevice(device)
	if err != nil {
		return refuse("its device part is wrong: %s", err)
	}
	if !dateForm.MatchString(date) {
		return refuse("its date part %.80q is not of the form YYYY-MM-DD_HH-MM-SS", date)
	}
	t, err := time.Parse(instant.TrapLayout, date)
	if err != nil {
		return refuse("its date part %q is not a real date", date)
	}
	name := Name{Device: device, TakenAt: instant.Of(t)}
	if name.TakenAt < firstTrap {
		return refuse("its date part %q is too early: no trap existed before %s, so set the trap's clock", date, firstTrap.Trap())
	}
	return name, nil
}

// IsHex reports whether s is exactly the given number of hexadecimal digits, in
// either case. The loop has no branch per digit, which the processor could not
// predict: lists of fingerprints are long.
func IsHex(s string, digits int) bool {
	if len(s) != digits {
		return false
	}
	outside := 0 // negative if a byte is outside both ranges
	for n := range len(s) {
		digit, letter := int(s[n])-'0', int(s[n]|0x20)-'a'
		outside |= (digit | (9 - digit)) & (letter | (5 - letter))
	}
	return outside >= 0
}

// ParseDevice returns the id of a trap in lower case. S must be exactly eight
// hexadecimal digits. The error is a *fault.Error with the code BAD_USER_INPUT.
func ParseDevice(s string) (string, error) {
	if !IsHex(s, 8) {
		return "", fault.New(fault.BadInput, "%.80q is not a device: write eight hexadecimal digits, such as 0a5bb6f4", s)
	}
	return strings.ToLower(s), nil
}
