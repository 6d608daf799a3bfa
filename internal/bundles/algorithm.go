package bundles

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundle"
	"tagma/ent/generated/bundlecontent"
	"tagma/ent/generated/bundlefile"
	"tagma/ent/generated/bundleversion"
	"tagma/internal/database"
)

// Algorithm is what an annotation says that made it.
type Algorithm struct{ Name, Version string }

// What an algorithm's version may carry: the number of a version of the bundle
// that is called as the algorithm; the name of a version of any bundle; or an
// MD5, alone or after a dash, as in 1598113346-ad2cd78dfaca12821046dfb8994724d5.
var (
	numberForm = regexp.MustCompile(`^v?([1-9][0-9]{0,8})$`)
	namedForm  = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]{0,99})@([1-9][0-9]{0,8})$`)
	carryForm  = regexp.MustCompile(`^(?:.*-)?([0-9a-fA-F]{32})$`)
)

// numbered is a version by its bundle's name and its number.
type numbered struct {
	name   string
	number int
}

func (a Algorithm) number() (numbered, bool) {
	name, digits := a.Name, ""
	if found := numberForm.FindStringSubmatch(a.Version); found != nil {
		digits = found[1]
	} else if found := namedForm.FindStringSubmatch(a.Version); found != nil {
		name, digits = found[1], found[2]
	}
	number, err := strconv.Atoi(digits)
	return numbered{name, number}, err == nil
}

func (a Algorithm) md5() (string, bool) {
	found := carryForm.FindStringSubmatch(a.Version)
	if found == nil {
		return "", false
	}
	return strings.ToLower(found[1]), true
}

// Behind gives the version that each algorithm speaks of, where there is one:
// by number, by name, or by the MD5 of the version or of a file in its output/,
// which is where the weights are. Where several versions have that MD5, those
// of a bundle that is called as the algorithm come first, then the version's
// own MD5, then the oldest: so the answer stays the same as others are
// published. It takes at most four statements, however many algorithms.
func (b *Bundles) Behind(ctx context.Context, algorithms []Algorithm) (map[Algorithm]*ent.BundleVersion, error) {
	var names, md5s []string
	var numbers []int64
	for _, a := range algorithms {
		if n, ok := a.number(); ok {
			names, numbers = append(names, n.name), append(numbers, int64(n.number))
		}
		if sum, ok := a.md5(); ok {
			md5s = append(md5s, sum)
		}
	}
	byNumber, err := b.numbers(ctx, names, numbers)
	if err != nil {
		return nil, err
	}
	byMD5, err := b.carriers(ctx, md5s)
	if err != nil {
		return nil, err
	}
	chosen := map[Algorithm]int64{}
	var ids []int64
	for _, a := range algorithms {
		id := int64(0)
		if n, ok := a.number(); ok {
			id = byNumber[n]
		} else if sum, ok := a.md5(); ok {
			id = best(byMD5[sum], a.Name)
		}
		if id != 0 {
			chosen[a] = id
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	versions, err := b.VersionsByID(ctx, ids)
	found := make(map[Algorithm]*ent.BundleVersion, len(chosen))
	for a, id := range chosen {
		found[a] = versions[id]
	}
	return found, err
}

// numbers gives the ids of versions by their numbers.
func (b *Bundles) numbers(ctx context.Context, names []string, numbers []int64) (map[numbered]int64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var rows []struct {
		ID     int64
		Name   string
		Number int
	}
	err := b.db.BundleVersion.Query().Where(database.AmongNumbers(bundleversion.FieldNumber, numbers)).
		Modify(func(s *sql.Selector) {
			of := sql.Table(bundle.Table)
			s.Join(of).On(s.C(bundleversion.FieldBundleID), of.C(bundle.FieldID))
			database.AmongTexts(of.C(bundle.FieldName), names)(s)
			s.Select(s.C(bundleversion.FieldID), of.C(bundle.FieldName), s.C(bundleversion.FieldNumber))
		}).Scan(ctx, &rows)
	found := make(map[numbered]int64, len(rows))
	for _, row := range rows {
		found[numbered{row.Name, row.Number}] = row.ID
	}
	return found, err
}

// carrier is a version that has an MD5: its own, or that of one of its weights.
type carrier struct {
	ID   int64
	Name string // its bundle's
	MD5  string `sql:"md5"`
	own  bool
}

// carriers gives the versions that have an MD5, by that: of each bundle the
// oldest.
func (b *Bundles) carriers(ctx context.Context, md5s []string) (map[string][]carrier, error) {
	if len(md5s) == 0 {
		return nil, nil
	}
	var own, weighing []carrier
	err := b.db.BundleVersion.Query().Where(database.AmongTexts(bundleversion.FieldMd5, md5s)).
		Modify(func(s *sql.Selector) {
			of := sql.Table(bundle.Table)
			s.Join(of).On(s.C(bundleversion.FieldBundleID), of.C(bundle.FieldID))
			s.Select(sql.As(sql.Min(s.C(bundleversion.FieldID)), "id"), of.C(bundle.FieldName), s.C(bundleversion.FieldMd5))
			s.GroupBy(of.C(bundle.FieldName), s.C(bundleversion.FieldMd5))
		}).Scan(ctx, &own)
	if err != nil {
		return nil, err
	}
	err = b.db.BundleContent.Query().Where(database.AmongTexts(bundlecontent.FieldMd5, md5s)).
		Modify(func(s *sql.Selector) {
			files, versions, of := sql.Table(bundlefile.Table), sql.Table(bundleversion.Table), sql.Table(bundle.Table)
			s.Join(files).On(s.C(bundlecontent.FieldID), files.C(bundlefile.FieldContentID))
			s.Join(versions).On(files.C(bundlefile.FieldVersionID), versions.C(bundleversion.FieldID))
			s.Join(of).On(versions.C(bundleversion.FieldBundleID), of.C(bundle.FieldID))
			s.Where(sql.HasPrefix(files.C(bundlefile.FieldKey), weights))
			s.Select(sql.As(sql.Min(versions.C(bundleversion.FieldID)), "id"), of.C(bundle.FieldName), s.C(bundlecontent.FieldMd5))
			s.GroupBy(of.C(bundle.FieldName), s.C(bundlecontent.FieldMd5))
		}).Scan(ctx, &weighing)
	found := map[string][]carrier{}
	for _, c := range own {
		c.own = true
		found[c.MD5] = append(found[c.MD5], c)
	}
	for _, c := range weighing {
		found[c.MD5] = append(found[c.MD5], c)
	}
	return found, err
}

// best chooses the version that an algorithm of that name means.
func best(all []carrier, name string) int64 {
	var best carrier
	for _, c := range all {
		if best.ID == 0 || before(c, best, name) {
			best = c
		}
	}
	return best.ID
}

func before(c, other carrier, name string) bool {
	switch {
	case (c.Name == name) != (other.Name == name):
		return c.Name == name
	case c.own != other.own:
		return c.own
	}
	return c.ID < other.ID
}
