// Package bundles owns what training and inference need: bundles of files, in
// versions that are numbered and never change. It owns how a version comes in,
// file by file, and is published as a whole; how bundles, versions and files
// are found; and which version an annotation's algorithm speaks of.
//
// Bytes go first and rows second, in one short transaction, so that a version
// never lacks its files. Bytes are kept once, however many files have them: a
// content is what its SHA-256 says. Only what a published version holds is
// taken for another, because everybody with an account may read that; what
// somebody else is just sending is not.
//
// It does not own how a client gets a file to the store or out of it (package
// filelink), nor who may do what.
package bundles

import (
	"context"
	"math"
	"strconv"
	"sync"

	"entgo.io/ent/dialect/sql"
	"gocloud.dev/blob"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundle"
	"tagma/ent/generated/bundleversion"
	"tagma/internal/batch"
	"tagma/internal/database"
	"tagma/internal/instant"
	"tagma/internal/like"
	"tagma/internal/page"
)

// Bundles is the bundles of one server. It is safe for concurrent use.
type Bundles struct {
	db     *database.DB
	bucket *blob.Bucket
	clock  instant.Clock
	limits Limits
	checks *checks
}

// Limits bounds what Bundles takes.
type Limits struct {
	Page      page.Limits
	Files     int   // of one version
	FileBytes int64 // of one file
	Bytes     int64 // of one version
}

// New is the bundles in db and bucket. The caller closes both.
func New(db *database.DB, bucket *blob.Bucket, clock instant.Clock, limits Limits) *Bundles {
	return &Bundles{db: db, bucket: bucket, clock: clock, limits: limits, checks: newChecks()}
}

func setGroup(rows []*ent.Bundle) []*ent.Bundle {
	group := batch.NewGroup(rows)
	for _, row := range rows {
		row.Group = group
	}
	return rows
}

func setVersionGroup(rows []*ent.BundleVersion) []*ent.BundleVersion {
	group := batch.NewGroup(rows)
	for _, row := range rows {
		row.Group = group
	}
	return rows
}

// List gives a page of the bundles whose name matches the pattern, by name.
func (b *Bundles) List(ctx context.Context, pattern string, request page.Request) (*page.Page[*ent.Bundle], error) {
	match, err := like.Parse(pattern)
	if err != nil {
		return nil, err
	}
	query := func() *ent.BundleQuery {
		return b.db.Bundle.Query().Where(func(s *sql.Selector) { s.Where(match.Match(s.C(bundle.FieldName))) })
	}
	byName := page.Order[*ent.Bundle]{
		Columns: []page.Column{{Name: bundle.FieldName, Text: true}},
		Key:     func(row *ent.Bundle) page.Key { return page.Key{row.Name} },
	}
	return page.Fetch(ctx, b.limits.Page, request, byName,
		func(ctx context.Context, narrow func(*sql.Selector)) ([]*ent.Bundle, error) {
			rows, err := query().Where(narrow).All(ctx)
			return setGroup(rows), err
		},
		func(ctx context.Context) (int, error) { return query().Count(ctx) })
}

// Named gives the bundle of that name, or nil.
func (b *Bundles) Named(ctx context.Context, name string) (*ent.Bundle, error) {
	if !nameForm.MatchString(name) {
		return nil, nil //nolint:nilnil // the schema's null
	}
	row, err := b.db.Bundle.Query().Where(bundle.Name(name)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, nil //nolint:nilnil // the schema's null
	}
	return row, err
}

// ByIDs gives the bundles with these ids that are there.
func (b *Bundles) ByIDs(ctx context.Context, ids []int64) (map[int64]*ent.Bundle, error) {
	rows, err := b.db.Bundle.Query().Where(database.AmongNumbers(bundle.FieldID, ids)).All(ctx)
	result := make(map[int64]*ent.Bundle, len(rows))
	for _, row := range setGroup(rows) {
		result[row.ID] = row
	}
	return result, err
}

// VersionsByID gives the versions with these ids that are there.
func (b *Bundles) VersionsByID(ctx context.Context, ids []int64) (map[int64]*ent.BundleVersion, error) {
	rows, err := b.db.BundleVersion.Query().Where(database.AmongNumbers(bundleversion.FieldID, ids)).All(ctx)
	result := make(map[int64]*ent.BundleVersion, len(rows))
	for _, row := range setVersionGroup(rows) {
		result[row.ID] = row
	}
	return result, err
}

func ids(rows []*ent.Bundle) []int64 {
	ids := make([]int64, len(rows))
	for n, row := range rows {
		ids[n] = row.ID
	}
	return ids
}

// Latest gives the last version of each bundle, by the bundle's id.
func (b *Bundles) Latest(ctx context.Context, parents []*ent.Bundle) (map[int64]*ent.BundleVersion, error) {
	return b.byBundle(b.db.BundleVersion.Query().Where(database.AmongNumbers(bundleversion.FieldBundleID, ids(parents)), func(s *sql.Selector) {
		newer := sql.Table(bundleversion.Table).As("newer")
		s.Where(sql.NotExists(sql.Select().From(newer).Where(sql.And(
			sql.ColumnsEQ(newer.C(bundleversion.FieldBundleID), s.C(bundleversion.FieldBundleID)),
			sql.ColumnsGT(newer.C(bundleversion.FieldNumber), s.C(bundleversion.FieldNumber)),
		))))
	}).All(ctx))
}

// Numbered gives the version of that number of each bundle that has one, by the
// bundle's id.
func (b *Bundles) Numbered(ctx context.Context, parents []*ent.Bundle, number int) (map[int64]*ent.BundleVersion, error) {
	return b.byBundle(b.db.BundleVersion.Query().
		Where(database.AmongNumbers(bundleversion.FieldBundleID, ids(parents)), bundleversion.Number(number)).All(ctx))
}

func (b *Bundles) byBundle(rows []*ent.BundleVersion, err error) (map[int64]*ent.BundleVersion, error) {
	result := make(map[int64]*ent.BundleVersion, len(rows))
	for _, row := range setVersionGroup(rows) {
		result[row.BundleID] = row
	}
	return result, err
}

// byNumber is the order of the versions of one bundle.
var byNumber = page.Order[*ent.BundleVersion]{ //nolint:gochecknoglobals // a table
	Columns: []page.Column{{Name: bundleversion.FieldNumber}},
	Key:     func(v *ent.BundleVersion) page.Key { return page.Key{int64(v.Number)} },
}

// Versions gives for each bundle the first page of its versions, by the
// bundle's id. It takes two statements, however many bundles.
func (b *Bundles) Versions(ctx context.Context, parents []*ent.Bundle, request page.Request) (map[int64]*page.Page[*ent.BundleVersion], error) {
	plan, err := byNumber.Plan(b.limits.Page, request)
	if err != nil {
		return nil, err
	}
	first := database.First{
		Table: bundleversion.Table, Parent: bundleversion.FieldBundleID,
		Column: bundleversion.FieldNumber, Before: math.MaxInt64, Most: plan.Length + 1,
	}
	if plan.After != nil {
		first.From = min(plan.After[0].(int64), math.MaxInt64-1) + 1 // a made-up one may be the last there is
	}
	versionIDs, err := database.FirstOfEach(ctx, b.db, first, ids(parents))
	if err != nil {
		return nil, err
	}
	versions, err := b.db.BundleVersion.Query().Where(database.AmongNumbers(bundleversion.FieldID, versionIDs)).
		Order(bundleversion.ByNumber()).All(ctx)
	if err != nil {
		return nil, err
	}
	versionsOf := map[int64][]*ent.BundleVersion{}
	for _, v := range setVersionGroup(versions) {
		versionsOf[v.BundleID] = append(versionsOf[v.BundleID], v)
	}
	counts := sync.OnceValues(func() (map[int64]int, error) { return b.count(ctx, parents) })
	pages := make(map[int64]*page.Page[*ent.BundleVersion], len(parents))
	for _, parent := range parents {
		pages[parent.ID] = byNumber.Page(plan, versionsOf[parent.ID], func(context.Context) (int, error) {
			counts, err := counts()
			return counts[parent.ID], err
		})
	}
	return pages, nil
}

// count gives how many versions each bundle has.
func (b *Bundles) count(ctx context.Context, parents []*ent.Bundle) (map[int64]int, error) {
	var rows []struct {
		BundleID int64 `sql:"bundle_id"`
		Count    int
	}
	err := b.db.BundleVersion.Query().Where(database.AmongNumbers(bundleversion.FieldBundleID, ids(parents))).
		GroupBy(bundleversion.FieldBundleID).Aggregate(ent.As(ent.Count(), "count")).Scan(ctx, &rows)
	counts := make(map[int64]int, len(rows))
	for _, row := range rows {
		counts[row.BundleID] = row.Count
	}
	return counts, err
}

// VersionName names a version wherever one is asked for, such as insects@3.
func VersionName(parent *ent.Bundle, v *ent.BundleVersion) string {
	return parent.Name + "@" + strconv.Itoa(v.Number)
}
