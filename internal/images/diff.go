package images

import (
	"context"
	"strings"

	ent "tagma/ent/generated"
	"tagma/internal/caller"
	"tagma/internal/database"
	"tagma/internal/fault"
	"tagma/internal/instant"
	"tagma/internal/photo"
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

// checkPrints is the keys of fingerprints that may be asked about.
func checkPrints(ctx context.Context, prints []Fingerprint) ([]Key, error) {
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
		if !photo.IsHex(print.MD5, 32) {
			problems.Add(fault.BadInput, []any{"images", n, "md5"}, "%.40q is not an MD5: write 32 hex digits", print.MD5)
		}
		if by != nil && by.Device != "" && by.Device != keys[n].Device {
			problems.Add(fault.Forbidden, []any{"images", n, "device"}, "this token is for the device %s only", by.Device)
		}
	}
	return keys, problems.Err()
}

// judge is the verdict on a fingerprint beside the MD5 of the image that is
// there, if there is one.
func (f Fingerprint) judge(there *string) DiffVerdict {
	switch {
	case there == nil:
		return DiffNew
	case strings.EqualFold(*there, f.MD5):
		return DiffSame
	default:
		return DiffConflict
	}
}

// Verdicts is Diff without the images, for whoever does not ask for them.
func (c *Images) Verdicts(ctx context.Context, prints []Fingerprint) ([]Difference, error) {
	keys, err := checkPrints(ctx, prints)
	if err != nil {
		return nil, err
	}
	there, err := c.md5s(ctx, keys)
	answers := make([]Difference, len(prints))
	for n, print := range prints {
		answers[n] = Difference{Device: keys[n].Device, TakenAt: print.TakenAt, Verdict: print.judge(there[n])}
	}
	return answers, err
}

// md5s gives the MD5 of each image that is there, in the place of its key.
func (c *Images) md5s(ctx context.Context, keys []Key) ([]*string, error) {
	found := make([]*string, len(keys))
	if len(keys) == 0 {
		return found, nil
	}
	devices, times := devicesAndTimes(keys)
	pairs, arguments := database.Pairs(c.db.Dialect, devices, times)
	rows, err := c.db.SQL.QueryContext(ctx, "SELECT pair.place, i.md5 FROM "+pairs+
		" pair JOIN images i ON i.device = pair.text AND i.taken_at = pair.number", arguments...)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	for rows.Next() {
		var place int
		var md5 string
		if err := rows.Scan(&place, &md5); err != nil {
			return found, err
		}
		found[place] = &md5
	}
	return found, rows.Err()
}

// Diff tells what would become of files if they were uploaded, in the order of
// the fingerprints.
func (c *Images) Diff(ctx context.Context, prints []Fingerprint) ([]Difference, error) {
	keys, err := checkPrints(ctx, prints)
	if err != nil {
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
		answers[n] = Difference{keys[n].Device, print.TakenAt, print.judge(nil), i}
		if i != nil {
			answers[n].Verdict = print.judge(&i.Md5)
		}
	}
	return answers, nil
}
