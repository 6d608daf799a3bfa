package images

import (
	"context"
	"regexp"
	"strings"

	ent "tagma/ent/generated"
	"tagma/internal/caller"
	"tagma/internal/fault"
	"tagma/internal/instant"
)

// Fingerprint is what is needed to tell whether a file is there.
type Fingerprint struct {
	Device  string
	TakenAt instant.Instant
	MD5     string
}

// DiffVerdict is what would become of a file.
type DiffVerdict string

// The verdicts.
const (
	DiffNew      DiffVerdict = "NEW"
	DiffSame     DiffVerdict = "SAME"
	DiffConflict DiffVerdict = "CONFLICT"
)

// Difference is the answer to a fingerprint.
type Difference struct {
	Device  string
	TakenAt instant.Instant
	Verdict DiffVerdict
	Image   *ent.Image // that is there; nil for DiffNew
}

var md5Form = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Diff tells what would become of files if they were uploaded, in the order of
// the fingerprints.
func (c *Images) Diff(ctx context.Context, prints []Fingerprint) ([]Difference, error) {
	keys := make([]Key, len(prints))
	for n, print := range prints {
		keys[n] = Key{print.Device, print.TakenAt}
	}
	keys, err := checkKeys("images", keys)
	if err != nil {
		return nil, err
	}
	var problems fault.Problems
	by := caller.From(ctx)
	for n, print := range prints {
		if !md5Form.MatchString(strings.ToLower(print.MD5)) {
			problems.Add(fault.BadInput, []any{"images", n, "md5"}, "%.40q is not an MD5: write 32 hex digits", print.MD5)
		}
		if by != nil && by.Device != "" && by.Device != keys[n].Device {
			problems.Add(fault.Forbidden, []any{"images", n, "device"}, "this token is for the device %s only", by.Device)
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	there, err := c.among(ctx, keys)
	if err != nil {
		return nil, err
	}
	var all []*ent.Image
	for _, i := range there {
		all = append(all, i)
	}
	Together(all)
	answers := make([]Difference, len(prints))
	for n, print := range prints {
		i := there[keys[n]]
		answers[n] = Difference{keys[n].Device, print.TakenAt, DiffConflict, i}
		switch {
		case i == nil:
			answers[n].Verdict = DiffNew
		case strings.EqualFold(i.Md5, print.MD5):
			answers[n].Verdict = DiffSame
		}
	}
	return answers, nil
}
