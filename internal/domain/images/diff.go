package images

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"

	ent "tagma/ent/generated"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/photo"
	"tagma/internal/storage/database"
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

// md5Digits is how many an MD5 has, which the database holds in lower case.
const md5Digits = 32

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
		if !photo.IsHex(print.MD5, md5Digits) {
			problems.Add(fault.BadInput, []any{"images", n, "md5"}, "%.40q is not an MD5: write 32 hex digits", print.MD5)
		}
		if by != nil && by.Device != "" && by.Device != keys[n].Device {
			problems.Add(fault.Forbidden, []any{"images", n, "device"}, "this token is for the device %s only", by.Device)
		}
	}
	return keys, problems.Err()
}

// judge is the verdict on a fingerprint beside the MD5 of the image that is
// there; empty, if there is none.
func (f Fingerprint) judge(there string) DiffVerdict {
	switch {
	case there == "":
		return DiffNew
	case there == f.MD5, strings.EqualFold(there, f.MD5):
		return DiffSame
	default:
		return DiffConflict
	}
}

// Verdicts is Diff without the images, for whoever does not ask for them.
func (s *Service) Verdicts(ctx context.Context, prints []Fingerprint) ([]Difference, error) {
	keys, err := checkPrints(ctx, prints)
	if err != nil {
		return nil, err
	}
	there, err := s.md5s(ctx, keys)
	answers := make([]Difference, len(prints))
	for n, print := range prints {
		answers[n] = Difference{Device: keys[n].Device, TakenAt: print.TakenAt, Verdict: print.judge(there[n])}
	}
	return answers, err
}

// md5s gives the MD5 of each image that is there, in the place of its key.
//
// The database is given each device's moments in a list, and answers with one
// text for each device: a row for each key, there and back, costs as much as to
// find the image.
func (s *Service) md5s(ctx context.Context, keys []Key) ([]string, error) {
	found := make([]string, len(keys))
	if len(keys) == 0 {
		return found, nil
	}
	devices, moments, places := byDevice(keys)
	table, among, arguments := database.Lists(s.db.Dialect, devices, moments)
	rows, err := s.db.SQL.QueryContext(ctx, "SELECT list.place, (SELECT string_agg(i.taken_at || ':' || i.md5, ',') FROM images i "+
		"WHERE i.device = list.text AND i.taken_at"+among+") FROM "+table, arguments...)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		var all sql.NullString
		if err := rows.Scan(&n, &all); err != nil {
			return found, err
		}
		for rest := all.String; rest != ""; {
			var one string
			one, rest, _ = strings.Cut(rest, ",")
			moment, md5, _ := strings.Cut(one, ":")
			taken, err := strconv.ParseInt(moment, 10, 64)
			if err != nil {
				return found, err
			}
			at, _ := slices.BinarySearch(moments[n], instant.Instant(taken))
			for ; at < len(moments[n]) && moments[n][at] == instant.Instant(taken); at++ {
				found[places[n][at]] = md5
			}
		}
	}
	return found, rows.Err()
}

// byDevice is the devices of keys, the moments of each, in order, and where among
// the keys each of them stands.
func byDevice(keys []Key) (devices []string, moments [][]instant.Instant, places [][]int) {
	numbers := map[string]int{}
	for place, key := range keys {
		n, ok := numbers[key.Device]
		if !ok {
			n = len(devices)
			numbers[key.Device] = n
			devices, places = append(devices, key.Device), append(places, nil)
		}
		places[n] = append(places[n], place)
	}
	moments = make([][]instant.Instant, len(devices))
	for n, of := range places {
		slices.SortFunc(of, func(a, b int) int { return cmp.Compare(keys[a].TakenAt, keys[b].TakenAt) })
		moments[n] = make([]instant.Instant, len(of))
		for m, place := range of {
			moments[n][m] = keys[place].TakenAt
		}
	}
	return devices, moments, places
}

// Diff tells what would become of files if they were uploaded, in the order of
// the fingerprints.
func (s *Service) Diff(ctx context.Context, prints []Fingerprint) ([]Difference, error) {
	keys, err := checkPrints(ctx, prints)
	if err != nil {
		return nil, err
	}
	there, err := s.among(ctx, keys)
	if err != nil {
		return nil, err
	}
	var all []*ent.Image
	for _, i := range there {
		all = append(all, i)
	}
	ent.Images(all).Siblings()
	answers := make([]Difference, len(prints))
	for n, print := range prints {
		i := there[keys[n]]
		answers[n] = Difference{keys[n].Device, print.TakenAt, print.judge(""), i}
		if i != nil {
			answers[n].Verdict = print.judge(i.Md5)
		}
	}
	return answers, nil
}
