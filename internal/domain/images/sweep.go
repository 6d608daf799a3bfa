package images

import (
	"context"
	"time"

	"tagma/internal/storage/blobs"
)

// Grace is the age at which a file without a row may be deleted. Any request that
// might still write the row has ended by then.
const Grace = 24 * time.Hour

// Sweep deletes files without a row: the remains of a crash, a lost race or a
// deletion. Sweep returns the number of deleted files. Several servers may sweep at
// once.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	limit := s.clock().Add(-Grace).Time()
	removed := 0
	for files, err := range blobs.Old(ctx, s.bucket, folder, limit) {
		if err != nil {
			return removed, err
		}
		orphans, err := s.Orphans(ctx, files)
		if err != nil {
			return removed, err
		}
		deleted, err := blobs.Delete(ctx, s.bucket, orphans)
		removed += deleted
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// Orphans returns the files that no row references. A name that this package did not
// create is never an orphan.
func (s *Service) Orphans(ctx context.Context, files []string) ([]string, error) {
	keys := make([]Key, 0, len(files))
	for _, file := range files {
		if key, _, ok := parseFileKey(file); ok {
			keys = append(keys, key)
		}
	}
	byKey, err := s.queryByKeys(ctx, keys)
	if err != nil {
		return nil, err
	}
	var orphans []string
	for _, file := range files {
		key, fileID, ok := parseFileKey(file)
		if row := byKey[key]; ok && (row == nil || row.FileID != fileID) {
			orphans = append(orphans, file)
		}
	}
	return orphans, nil
}
