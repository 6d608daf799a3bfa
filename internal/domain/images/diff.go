package images

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
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

// Fingerprint decides whether the server has a file.
type Fingerprint struct {
	Device  string
	TakenAt instant.Instant
	MD5     string
}

// DiffVerdict is the result of comparing a file with the existing images.
type DiffVerdict string

// Results of comparing.
const (
	DiffNew      DiffVerdict = "NEW"      // no image has the key
	DiffSame     DiffVerdict = "SAME"     // the image with the key has the same MD5
	DiffConflict DiffVerdict = "CONFLICT" // the image with the key has another MD5
)

// md5Digits is the number of hex digits of an MD5. The database stores an MD5 in
// lower case.
const md5Digits = 32

// Difference is the result for one fingerprint.
type Difference struct {
	Device  string
	TakenAt instant.Instant
	Verdict DiffVerdict
	Image   *ent.Image // the existing image; nil for DiffNew, and if Diff was called without images
}

// validateFingerprints returns the keys of fingerprints. The error is a *fault.Error
// with every problem. The token of a trap may compare only its own images.
func validateFingerprints(ctx context.Context, prints []Fingerprint) ([]Key, error) {
	keys := make([]Key, len(prints))
	for n, print := range prints {
		keys[n] = Key{print.Device, print.TakenAt}
	}
	keys, err := validateKeys("images", keys)
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

// verdict returns the verdict on a fingerprint. ExistingMD5 is the MD5 of the image
// with the key, or empty if there is no such image.
func (f Fingerprint) verdict(existingMD5 string) DiffVerdict {
	switch {
	case existingMD5 == "":
		return DiffNew
	case existingMD5 == f.MD5, strings.EqualFold(existingMD5, f.MD5):
		return DiffSame
	default:
		return DiffConflict
	}
}

// Diff tells what would become of files if they were uploaded, in the order of
// the fingerprints. withImages sets Difference.Image; without, Diff reads no
// more than the MD5 of each image.
func (s *Service) Diff(ctx context.Context, prints []Fingerprint, withImages bool) ([]Difference, error) {
	keys, err := validateFingerprints(ctx, prints)
	if err != nil {
		return nil, err
	}
	differences := make([]Difference, len(prints))
	for n, print := range prints {
		differences[n] = Difference{Device: keys[n].Device, TakenAt: print.TakenAt}
	}
	var md5s []string
	if withImages {
		md5s, err = s.addImages(ctx, keys, differences)
	} else {
		md5s, err = s.md5s(ctx, keys)
	}
	if err != nil {
		return nil, err
	}
	for n, print := range prints {
		differences[n].Verdict = print.verdict(md5s[n])
	}
	return differences, nil
}

// addImages sets the image of each difference that has one, and returns the MD5
// of each image in the place of its key, or "" where there is no image.
func (s *Service) addImages(ctx context.Context, keys []Key, differences []Difference) ([]string, error) {
	byKey, err := s.queryByKeys(ctx, keys)
	if err != nil {
		return nil, err
	}
	ent.Images(slices.Collect(maps.Values(byKey))).Siblings()
	md5s := make([]string, len(keys))
	for n, key := range keys {
		if i := byKey[key]; i != nil {
			differences[n].Image, md5s[n] = i, i.Md5
		}
	}
	return md5s, nil
}

// md5s returns the MD5 of the image with each key, in the order of the keys, or ""
// if there is no such image.
//
// The query passes the times of each device as one list, and returns one text per
// device. One parameter and one row per key would cost as much as finding the image.
func (s *Service) md5s(ctx context.Context, keys []Key) ([]string, error) {
	md5s := make([]string, len(keys))
	if len(keys) == 0 {
		return md5s, nil
	}
	devices, times, positions := byDevice(keys)
	table, among, arguments := database.Lists(s.db.Dialect, devices, times)
	rows, err := s.db.SQL.QueryContext(ctx, "SELECT list.place, (SELECT string_agg(i.taken_at || ':' || i.md5, ',') FROM images i "+
		"WHERE i.device = list.text AND i.taken_at"+among+") FROM "+table, arguments...)
	if err != nil {
		return md5s, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		var list sql.NullString // taken_at:md5,taken_at:md5,…
		if err := rows.Scan(&n, &list); err != nil {
			return md5s, err
		}
		for rest := list.String; rest != ""; {
			var item string
			item, rest, _ = strings.Cut(rest, ",")
			digits, md5, _ := strings.Cut(item, ":")
			takenAt, err := strconv.ParseInt(digits, 10, 64)
			if err != nil {
				return md5s, err
			}
			// The input may hold a key more than once.
			i, _ := slices.BinarySearch(times[n], instant.Instant(takenAt))
			for ; i < len(times[n]) && times[n][i] == instant.Instant(takenAt); i++ {
				md5s[positions[n][i]] = md5
			}
		}
	}
	return md5s, rows.Err()
}

// byDevice groups keys by device. It returns the devices, the sorted times of each
// device, and the position in keys of each time.
func byDevice(keys []Key) (devices []string, times [][]instant.Instant, positions [][]int) {
	numbers := map[string]int{}
	for position, key := range keys {
		n, ok := numbers[key.Device]
		if !ok {
			n = len(devices)
			numbers[key.Device] = n
			devices, positions = append(devices, key.Device), append(positions, nil)
		}
		positions[n] = append(positions[n], position)
	}
	times = make([][]instant.Instant, len(devices))
	for n, ofDevice := range positions {
		slices.SortFunc(ofDevice, func(a, b int) int { return cmp.Compare(keys[a].TakenAt, keys[b].TakenAt) })
		times[n] = make([]instant.Instant, len(ofDevice))
		for m, position := range ofDevice {
			times[n][m] = keys[position].TakenAt
		}
	}
	return devices, times, positions
}
