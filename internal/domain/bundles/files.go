package bundles

import (
	"cmp"
	"context"
	"slices"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundlecontent"
	"tagma/ent/generated/bundlefile"
	"tagma/ent/generated/predicate"
	"tagma/internal/base/instant"
	"tagma/internal/storage/database"
)

// File is one file of a version.
type File struct {
	VersionID  int64           `sql:"version_id"`
	Key        string          `sql:"key"`
	MD5        string          `sql:"md5"`
	SHA256     string          `sql:"sha256"`
	Size       int64           `sql:"size"`
	ModifiedAt instant.Instant `sql:"modified_at"`
	StoredAs   string          `sql:"stored_as"` // name in the store
}

// Part selects files of a version.
type Part string

// Parts of a version. Training and inference both need the configuration.
const (
	All   Part = "ALL"
	Data  Part = "DATA"  // data/ and config/: for training
	Model Part = "MODEL" // output/ and config/: for inference
)

// weights is the folder of the files that training produces.
const weights = "output/"

var folders = map[Part][]string{
	Data:  {"data/", "config/"},
	Model: {weights, "config/"},
}

func (p Part) condition() predicate.BundleFile {
	if p == All {
		return func(*sql.Selector) {}
	}
	return func(s *sql.Selector) {
		var any []*sql.Predicate
		for _, folder := range folders[p] {
			any = append(any, sql.HasPrefix(s.C(bundlefile.FieldKey), folder))
		}
		s.Where(sql.P(func(b *sql.Builder) {
			if b.Dialect() == dialect.SQLite {
				b.WriteByte('+') // keeps SQLite from reading all files, once for each folder
			}
			b.Wrap(func(b *sql.Builder) { b.Join(sql.Or(any...)) })
		}))
	}
}

// Files returns the files of each version that belong to the part, by the
// version's id, sorted by the bytes of the key.
func (s *Service) Files(ctx context.Context, versions []*ent.BundleVersion, part Part) (map[int64][]File, error) {
	var rows []File
	err := s.db.BundleFile.Query().Where(database.AmongNumbers(bundlefile.FieldVersionID, ent.BundleVersions(versions).IDs()), part.condition()).
		Modify(func(s *sql.Selector) {
			content := sql.Table(bundlecontent.Table).As("content")
			s.Join(content).On(s.C(bundlefile.FieldContentID), content.C(bundlecontent.FieldID))
			s.Select(s.Columns(bundlefile.FieldVersionID, bundlefile.FieldKey, bundlefile.FieldModifiedAt)...)
			s.AppendSelect(content.Columns(bundlecontent.FieldMd5, bundlecontent.FieldSha256, bundlecontent.FieldSize, bundlecontent.FieldStoredAs)...)
		}).Scan(ctx, &rows)
	slices.SortFunc(rows, func(x, y File) int { return cmp.Compare(x.Key, y.Key) })
	byVersion := make(map[int64][]File, len(versions))
	for _, row := range rows {
		byVersion[row.VersionID] = append(byVersion[row.VersionID], row)
	}
	return byVersion, err
}
