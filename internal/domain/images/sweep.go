package images

import (
	"context"
	"time"

	"tagma/internal/storage/blobs"
)

// Grace is how old a file without a row must be before it is cleared away. A
// request that might still write the row has long ended by then.
const Grace = 24 * time.Hour

// Sweep clears away files that have no row: what a crash, a lost race or a
// deletion left behind. It tells how many. Several servers may sweep at once.
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

// Orphans are those of the files that no row speaks of. A name that this
// package did not give is nobody's orphan.
func (s *Service) Orphans(ctx context.Context, files []string) ([]string, error) {
	keys := make([]Key, 0, len(files))
	for _, file := range files {
		if key, _, ok := parseFileKey(file); ok {
			keys = append(keys, key)
		}
	}
	rows, err := s.among(ctx, keys)
	if err != nil {
		return nil, err
	}
	var orphans []string
	for _, file := range files {
		key, fileID, ok := parseFileKey(file)
		if row := rows[key]; ok && (row == nil || row.FileID != fileID) {
			orphans = append(orphans, file)
		}
	}
	return orphans, nil
}
