// Package bundles owns the data of training and inference: bundles of files, in
// versions that are numbered and never change. Package bundles owns receiving a
// version file by file, publishing the version as a whole, queries of bundles,
// versions and files, and the version that an annotation's algorithm refers to.
//
// Bytes are stored before rows, and one short transaction writes the rows, so a
// version never lacks its files. Equal bytes are stored once: the SHA-256
// identifies a content. A file replaces an upload only if a published version
// holds the file, because everybody with an account may read published
// versions. Files of unpublished uploads are not shared.
//
// Package bundles does not own the transfer of files between client and store
// (package filelink), nor rights.
package bundles

import (
	"context"
	"math"
	"strconv"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundle"
	"tagma/ent/generated/bundleversion"
	"tagma/internal/base/instant"
	"tagma/internal/base/like"
	"tagma/internal/base/page"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
)

// Service holds the bundles of one server. A Service is safe for concurrent use.
type Service struct {
	db     *database.DB
	bucket bucket.Bucket
	clock  instant.Clock
	limits Limits
	checks *checks
}

// Limits bounds the bundles.
type Limits struct {
	Page      page.Limits
	Files     int   // in one version
	FileBytes int64 // in one file
	Bytes     int64 // in one version
}

// New returns the bundles in db and bucket. The caller closes both.
func New(db *database.DB, bucket bucket.Bucket, clock instant.Clock, limits Limits) *Service {
	return &Service{db: db, bucket: bucket, clock: clock, limits: limits, checks: newChecks()}
}

// List returns a page of the bundles whose name matches the pattern, by name.
func (s *Service) List(ctx context.Context, pattern string, request page.Request) (*page.Page[*ent.Bundle], error) {
	match, err := like.Parse(pattern)
	if err != nil {
		return nil, err
	}
	query := func() *ent.BundleQuery {
		return s.db.Bundle.Query().Where(func(s *sql.Selector) { s.Where(match.Match(s.C(bundle.FieldName))) })
	}
	byName := page.Order[*ent.Bundle]{
		Columns: []page.Column{{Name: bundle.FieldName, IsText: true}},
		Key:     func(row *ent.Bundle) page.Key { return page.Key{row.Name} },
	}
	return page.Fetch(ctx, s.limits.Page, request, byName,
		func(ctx context.Context, narrow func(*sql.Selector)) ([]*ent.Bundle, error) {
			rows, err := query().Where(narrow).All(ctx)
			return ent.Bundles(rows).Siblings(), err
		},
		func(ctx context.Context) (int, error) { return query().Count(ctx) })
}

// ByName returns the bundle of the given name, or nil.
func (s *Service) ByName(ctx context.Context, name string) (*ent.Bundle, error) {
	if !nameForm.MatchString(name) {
		return nil, nil //nolint:nilnil // the schema's null
	}
	row, err := s.db.Bundle.Query().Where(bundle.Name(name)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, nil //nolint:nilnil // the schema's null
	}
	return row, err
}

// ByIDs returns the existing bundles with the given ids, by id.
func (s *Service) ByIDs(ctx context.Context, ids []int64) (map[int64]*ent.Bundle, error) {
	rows, err := s.db.Bundle.Query().Where(database.AmongNumbers(bundle.FieldID, ids)).All(ctx)
	return ent.Bundles(rows).Siblings().ByID(), err
}

// VersionsByID returns the existing versions with the given ids, by id.
func (s *Service) VersionsByID(ctx context.Context, ids []int64) (map[int64]*ent.BundleVersion, error) {
	rows, err := s.db.BundleVersion.Query().Where(database.AmongNumbers(bundleversion.FieldID, ids)).All(ctx)
	return ent.BundleVersions(rows).Siblings().ByID(), err
}

// Latest returns the last version of each bundle, by the bundle's id.
func (s *Service) Latest(ctx context.Context, parents []*ent.Bundle) (map[int64]*ent.BundleVersion, error) {
	return s.byBundle(s.db.BundleVersion.Query().Where(database.AmongNumbers(bundleversion.FieldBundleID, ent.Bundles(parents).IDs()), func(s *sql.Selector) {
		newer := sql.Table(bundleversion.Table).As("newer")
		s.Where(sql.NotExists(sql.Select().From(newer).Where(sql.And(
			sql.ColumnsEQ(newer.C(bundleversion.FieldBundleID), s.C(bundleversion.FieldBundleID)),
			sql.ColumnsGT(newer.C(bundleversion.FieldNumber), s.C(bundleversion.FieldNumber)),
		))))
	}).All(ctx))
}

// ByNumber returns the version of the given number of each bundle, by the
// bundle's id. Bundles without such a version are missing from the map.
func (s *Service) ByNumber(ctx context.Context, parents []*ent.Bundle, number int) (map[int64]*ent.BundleVersion, error) {
	return s.byBundle(s.db.BundleVersion.Query().
		Where(database.AmongNumbers(bundleversion.FieldBundleID, ent.Bundles(parents).IDs()), bundleversion.Number(number)).All(ctx))
}

func (s *Service) byBundle(rows []*ent.BundleVersion, err error) (map[int64]*ent.BundleVersion, error) {
	result := make(map[int64]*ent.BundleVersion, len(rows))
	for _, row := range ent.BundleVersions(rows).Siblings() {
		result[row.BundleID] = row
	}
	return result, err
}

// byNumber is the order of the versions of one bundle.
var byNumber = page.Order[*ent.BundleVersion]{ //nolint:gochecknoglobals // a table
	Columns: []page.Column{{Name: bundleversion.FieldNumber}},
	Key:     func(v *ent.BundleVersion) page.Key { return page.Key{int64(v.Number)} },
}

// Versions returns the first page of the versions of each bundle, by the
// bundle's id. Versions runs one statement for any number of bundles,
// and one more when a caller requests a total.
func (s *Service) Versions(ctx context.Context, parents []*ent.Bundle, request page.Request) (map[int64]*page.Page[*ent.BundleVersion], error) {
	plan, err := byNumber.Plan(s.limits.Page, request)
	if err != nil {
		return nil, err
	}
	first := database.First{
		Table: bundleversion.Table, Parent: bundleversion.FieldBundleID,
		Column: bundleversion.FieldNumber, Before: math.MaxInt64, Most: plan.Length + 1,
	}
	if plan.After != nil {
		first.StartAfter(plan.After[0].(int64))
	}
	parentIDs := ent.Bundles(parents).IDs()
	versions, err := s.db.BundleVersion.Query().Where(func(s *sql.Selector) {
		database.SelectFirst(s, first, parentIDs)
		s.OrderBy(sql.Table(bundleversion.Table).C(bundleversion.FieldNumber))
	}).All(ctx)
	if err != nil {
		return nil, err
	}
	return page.OfParents(byNumber, plan, parentIDs, ent.BundleVersions(versions).Siblings(),
		func(v *ent.BundleVersion) int64 { return v.BundleID },
		func() (map[int64]int, error) { return s.count(ctx, parents) }), nil
}

// count returns the number of versions of each bundle.
func (s *Service) count(ctx context.Context, parents []*ent.Bundle) (map[int64]int, error) {
	var rows []struct {
		BundleID int64 `sql:"bundle_id"`
		Count    int
	}
	err := s.db.BundleVersion.Query().Where(database.AmongNumbers(bundleversion.FieldBundleID, ent.Bundles(parents).IDs())).
		GroupBy(bundleversion.FieldBundleID).Aggregate(ent.As(ent.Count(), "count")).Scan(ctx, &rows)
	counts := make(map[int64]int, len(rows))
	for _, row := range rows {
		counts[row.BundleID] = row.Count
	}
	return counts, err
}

// VersionName returns the name of a version, such as insects@3.
func VersionName(parent *ent.Bundle, v *ent.BundleVersion) string {
	return parent.Name + "@" + strconv.Itoa(v.Number)
}
