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
	"tagma/internal/storage/database"
)

// Algorithm is the name and version of the algorithm of an annotation.
type Algorithm struct{ Name, Version string }

// Forms of an algorithm's version: the number of a version of the bundle with
// the algorithm's name; the name of a version of any bundle; or an MD5, alone
// or after a dash, as in 1598113346-ad2cd78dfaca12821046dfb8994724d5.
var (
	numberForm      = regexp.MustCompile(`^v?([1-9][0-9]{0,8})$`)
	versionNameForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]{0,99})@([1-9][0-9]{0,8})$`)
	md5SuffixForm   = regexp.MustCompile(`^(?:.*-)?([0-9a-fA-F]{32})$`)
)

// versionRef identifies a version by the name of its bundle and its number.
type versionRef struct {
	name   string
	number int
}

func (a Algorithm) number() (versionRef, bool) {
	name, digits := a.Name, ""
	if match := numberForm.FindStringSubmatch(a.Version); match != nil {
		digits = match[1]
	} else if match := versionNameForm.FindStringSubmatch(a.Version); match != nil {
		name, digits = match[1], match[2]
	}
	number, err := strconv.Atoi(digits)
	return versionRef{name, number}, err == nil
}

func (a Algorithm) md5() (string, bool) {
	match := md5SuffixForm.FindStringSubmatch(a.Version)
	if match == nil {
		return "", false
	}
	return strings.ToLower(match[1]), true
}

// VersionsOfAlgorithms returns the bundle version that each algorithm refers to, by
// algorithm. Algorithms without a version are missing from the map. The
// reference is a number, a name, or the MD5 of a version or of a file in the
// version's output/, the folder of the weights. If several versions match an
// MD5, a bundle with the algorithm's name comes first, then the version's own
// MD5, then the oldest version. So the result stays the same when others are
// published. VersionsOfAlgorithms runs at most four statements, for any number of algorithms.
func (s *Service) VersionsOfAlgorithms(ctx context.Context, algorithms []Algorithm) (map[Algorithm]*ent.BundleVersion, error) {
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
	byNumber, err := s.idsByNumber(ctx, names, numbers)
	if err != nil {
		return nil, err
	}
	byMD5, err := s.md5Matches(ctx, md5s)
	if err != nil {
		return nil, err
	}
	versionIDs := map[Algorithm]int64{}
	var ids []int64
	for _, a := range algorithms {
		id := int64(0)
		if n, ok := a.number(); ok {
			id = byNumber[n]
		} else if sum, ok := a.md5(); ok {
			id = bestMatch(byMD5[sum], a.Name)
		}
		if id != 0 {
			versionIDs[a] = id
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	versions, err := s.VersionsByID(ctx, ids)
	result := make(map[Algorithm]*ent.BundleVersion, len(versionIDs))
	for a, id := range versionIDs {
		result[a] = versions[id]
	}
	return result, err
}

// idsByNumber returns the ids of versions, by bundle name and number.
func (s *Service) idsByNumber(ctx context.Context, names []string, numbers []int64) (map[versionRef]int64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var rows []struct {
		ID     int64
		Name   string
		Number int
	}
	err := s.db.BundleVersion.Query().Where(database.AmongNumbers(bundleversion.FieldNumber, numbers)).
		Modify(func(s *sql.Selector) {
			bundleTable := sql.Table(bundle.Table)
			s.Join(bundleTable).On(s.C(bundleversion.FieldBundleID), bundleTable.C(bundle.FieldID))
			database.AmongTexts(bundleTable.C(bundle.FieldName), names)(s)
			s.Select(s.C(bundleversion.FieldID), bundleTable.C(bundle.FieldName), s.C(bundleversion.FieldNumber))
		}).Scan(ctx, &rows)
	idByRef := make(map[versionRef]int64, len(rows))
	for _, row := range rows {
		idByRef[versionRef{row.Name, row.Number}] = row.ID
	}
	return idByRef, err
}

// md5Match is a version that matches an MD5: the version's own MD5, or the MD5
// of one of its weights.
type md5Match struct {
	ID   int64
	Name string // name of the bundle
	MD5  string `sql:"md5"`
	own  bool
}

// md5Matches returns the versions that match each MD5, of each bundle the
// oldest.
func (s *Service) md5Matches(ctx context.Context, md5s []string) (map[string][]md5Match, error) {
	if len(md5s) == 0 {
		return nil, nil
	}
	var versionMatches, fileMatches []md5Match
	err := s.db.BundleVersion.Query().Where(database.AmongTexts(bundleversion.FieldMd5, md5s)).
		Modify(func(s *sql.Selector) {
			bundleTable := sql.Table(bundle.Table)
			s.Join(bundleTable).On(s.C(bundleversion.FieldBundleID), bundleTable.C(bundle.FieldID))
			s.Select(sql.As(sql.Min(s.C(bundleversion.FieldID)), "id"), bundleTable.C(bundle.FieldName), s.C(bundleversion.FieldMd5))
			s.GroupBy(bundleTable.C(bundle.FieldName), s.C(bundleversion.FieldMd5))
		}).Scan(ctx, &versionMatches)
	if err != nil {
		return nil, err
	}
	err = s.db.BundleContent.Query().Where(database.AmongTexts(bundlecontent.FieldMd5, md5s)).
		Modify(func(s *sql.Selector) {
			files, versions, bundleTable := sql.Table(bundlefile.Table), sql.Table(bundleversion.Table), sql.Table(bundle.Table)
			s.Join(files).On(s.C(bundlecontent.FieldID), files.C(bundlefile.FieldContentID))
			s.Join(versions).On(files.C(bundlefile.FieldVersionID), versions.C(bundleversion.FieldID))
			s.Join(bundleTable).On(versions.C(bundleversion.FieldBundleID), bundleTable.C(bundle.FieldID))
			s.Where(sql.HasPrefix(files.C(bundlefile.FieldKey), weights))
			s.Select(sql.As(sql.Min(versions.C(bundleversion.FieldID)), "id"), bundleTable.C(bundle.FieldName), s.C(bundlecontent.FieldMd5))
			s.GroupBy(bundleTable.C(bundle.FieldName), s.C(bundlecontent.FieldMd5))
		}).Scan(ctx, &fileMatches)
	bySum := map[string][]md5Match{}
	for _, c := range versionMatches {
		c.own = true
		bySum[c.MD5] = append(bySum[c.MD5], c)
	}
	for _, c := range fileMatches {
		bySum[c.MD5] = append(bySum[c.MD5], c)
	}
	return bySum, err
}

// bestMatch returns the id of the version that an algorithm of the given name
// refers to.
func bestMatch(matches []md5Match, name string) int64 {
	var winner md5Match
	for _, c := range matches {
		if winner.ID == 0 || isBetter(c, winner, name) {
			winner = c
		}
	}
	return winner.ID
}

func isBetter(c, other md5Match, name string) bool {
	switch {
	case (c.Name == name) != (other.Name == name):
		return c.Name == name
	case c.own != other.own:
		return c.own
	}
	return c.ID < other.ID
}
