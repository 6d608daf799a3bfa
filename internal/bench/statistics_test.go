package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/lib/pq"

	ent "tagma/ent/generated"
	"tagma/ent/generated/image"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/bench/dataset"
	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/domain/labels"
	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

// size is how many rows the tables of labels, bundles and people have.
type size struct {
	videos, submissions int // submissions of each video
	bundles, versions   int // versions of each bundle
	people              int
}

// n is a table of the numbers from 1 to its argument.
const n = `WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < $1) `

// fillOthers writes the rows of the tables that package dataset leaves empty.
func fillOthers(t *testing.T, db *database.DB, s size) {
	t.Helper()
	for _, table := range []struct {
		insert string
		rows   int
	}{
		{`INSERT INTO users (id, username, email, role, password_hash, disabled, created_at)
			` + n + `SELECT n, 'person' || n, 'person' || n || '@tagma.invalid', 'READER', '', false, n FROM n`, s.people},
		{`INSERT INTO access_tokens (id, kind, name, hash, role, created_at, expires_at, user_id)
			` + n + `SELECT n, 'TOKEN', 'token', 'hash' || n, 'READER', n, NULL, 1 + n % ` + fmt.Sprint(s.people) + ` FROM n`, 4 * s.people},
		{`INSERT INTO label_sets (id, name, version, labels, created_at) ` + n + `SELECT n, 'set', n, '[]', n FROM n`, 3},
		{`INSERT INTO videos (id, url, hash, total_frames, fps, frame_width, frame_height, created_at)
			` + n + `SELECT n, 'https://tagma.invalid/' || n, 'hash' || n, 1000000, 30, 640, 480, n FROM n`, s.videos},
		{`INSERT INTO label_submissions (id, frame_index, timestamp, filename, revision, content, status, created_at, author, label_set_id, submitted_by, video_id)
			` + n + `SELECT n, n % 500, n, 'file' || n, 1, '{}', 'PUSHED', n, 'a person', 1 + n % 3, 1 + n % ` + fmt.Sprint(s.people) + `, 1 + n % ` + fmt.Sprint(s.videos) + ` FROM n`, s.videos * s.submissions},
		{`INSERT INTO bundles (id, name, created_at) ` + n + `SELECT n, 'bundle' || n, n FROM n`, s.bundles},
		{`INSERT INTO bundle_versions (id, number, md5, created_at, bundle_id, created_by)
			` + n + `SELECT n, 1 + n / ` + fmt.Sprint(s.bundles) + `, 'md5' || n, n, 1 + n % ` + fmt.Sprint(s.bundles) + `, 1 FROM n`, s.bundles * s.versions},
		{`INSERT INTO bundle_contents (id, sha256, md5, size, stored_as, created_at) ` + n + `SELECT n, 'sum' || n, 'md5' || n, 1, 'file' || n, n FROM n`, s.bundles * s.versions},
		{`INSERT INTO bundle_files (id, key, modified_at, content_id, version_id) ` + n + `SELECT n, 'data/file' || n, n, n, n FROM n`, s.bundles * s.versions},
	} {
		if _, err := db.SQL.ExecContext(t.Context(), table.insert, table.rows); err != nil {
			t.Fatalf("%.40s: got %v, want no error", table.insert, err)
		}
	}
}

// lists are the paths of every list that the domain gives, and of what lists
// lead to, besides those of paths.
func lists() map[string]func(context.Context, *world) error {
	first := 100
	pageOf := page.Request{First: &first}
	all := paths()
	deviceAt := func(places ...int) []*ent.Device {
		devices := make([]*ent.Device, len(places))
		for at, place := range places {
			devices[at] = &ent.Device{ID: made.Device(place)}
		}
		return devices
	}
	start, end := made.TakenAt(0, 100), made.TakenAt(0, 900)
	for name, within := range map[string]images.Range{"": {}, " in a range": {Start: &start, End: &end}, " from a moment": {Start: &start}} {
		all["images of some devices"+name] = func(ctx context.Context, w *world) error {
			if _, err := w.images.OfDevices(ctx, deviceAt(0, 3, 17), within, pageOf); err != nil {
				return err
			}
			_, _, narrow, count, err := w.images.NarrowToPagesOfDevices([]string{made.Device(0), made.Device(3), made.Device(17)}, within, pageOf)
			if err != nil {
				return err
			}
			if err := w.whole(ctx, image.Table, narrow); err != nil {
				return err
			}
			_, err = count(ctx)
			return err
		}
	}
	all["devices"] = func(ctx context.Context, w *world) error { _, err := w.images.Devices(ctx, "%", pageOf); return err }
	all["devices of a prefix"] = func(ctx context.Context, w *world) error {
		_, err := w.images.Devices(ctx, made.Device(17)[:2]+"%", pageOf)
		return err
	}
	all["neighbours, compiled"] = func(ctx context.Context, w *world) error {
		return errors.Join(w.whole(ctx, image.Table, images.NarrowToNeighbours([]int64{5, 7}, true)), w.whole(ctx, image.Table, images.NarrowToNeighbours([]int64{5, 7}, false)))
	}
	all["diffImages"] = func(ctx context.Context, w *world) error {
		_, err := w.images.Diff(ctx, []images.Fingerprint{{Device: made.Device(17), TakenAt: made.TakenAt(17, 5), MD5: made.MD5(17, 5)}, {Device: made.Device(3), TakenAt: made.TakenAt(3, 5), MD5: made.MD5(3, 5)}}, true)
		return err
	}
	all["images and devices by id"] = func(ctx context.Context, w *world) error {
		_, err := w.images.ByIDs(ctx, []int64{5, 7})
		_, also := w.images.DevicesByName(ctx, []string{made.Device(3), made.Device(17)})
		_, too := w.annotations.ByIDs(ctx, []int64{5, 7})
		return errors.Join(err, also, too)
	}
	videos := []*ent.Video{{ID: 1}, {ID: 2}, {ID: 7}}
	frame := 17
	all["submissions of videos"] = func(ctx context.Context, w *world) error {
		_, err := w.labels.OfVideos(ctx, videos, nil, pageOf)
		return err
	}
	all["submissions of a frame of videos"] = func(ctx context.Context, w *world) error {
		_, err := w.labels.OfVideos(ctx, videos, &frame, pageOf)
		return err
	}
	all["videos"] = func(ctx context.Context, w *world) error { _, err := w.labels.Videos(ctx, pageOf); return err }
	url, name, set, status := "https://tagma.invalid/7", "person7", "set", labelsubmission.StatusPUSHED
	since, until := instant.Instant(100), instant.Instant(900)
	for what, filter := range map[string]*labels.Filter{
		"all": nil, "a video": {Video: &url}, "a frame": {Video: &url, FrameIndex: &frame}, "a person": {SubmittedBy: &name},
		"a set": {LabelSet: &set}, "a status": {Status: &status}, "a time": {Since: &since, Until: &until},
		"a person's video": {Video: &url, SubmittedBy: &name}, "a video in a time": {Video: &url, Since: &since, Until: &until},
		"a status in a time": {Status: &status, Since: &since},
	} {
		all["submissions of "+what] = func(ctx context.Context, w *world) error {
			_, err := w.labels.Submissions(ctx, filter, pageOf)
			return err
		}
		all["submissions of "+what+", from the end"] = func(ctx context.Context, w *world) error {
			_, err := w.labels.Submissions(ctx, filter, page.Request{Last: &first})
			return err
		}
	}
	all["labelled frames"] = func(ctx context.Context, w *world) error { _, err := w.labels.LabelledFrames(ctx, videos); return err }
	some := []*ent.Bundle{{ID: 1}, {ID: 2}, {ID: 7}}
	all["versions of bundles"] = func(ctx context.Context, w *world) error { _, err := w.bundles.Versions(ctx, some, pageOf); return err }
	all["bundles"] = func(ctx context.Context, w *world) error { _, err := w.bundles.List(ctx, "%", pageOf); return err }
	all["latest versions of bundles"] = func(ctx context.Context, w *world) error { _, err := w.bundles.Latest(ctx, some); return err }
	all["numbered versions of bundles"] = func(ctx context.Context, w *world) error { _, err := w.bundles.ByNumber(ctx, some, 3); return err }
	all["files of versions"] = func(ctx context.Context, w *world) error {
		for _, part := range []bundles.Part{bundles.All, bundles.Model, bundles.Data} {
			if _, err := w.bundles.Files(ctx, []*ent.BundleVersion{{ID: 1}, {ID: 7}}, part); err != nil {
				return err
			}
		}
		return nil
	}
	all["people"] = func(ctx context.Context, w *world) error { _, err := w.people.List(ctx, nil, pageOf); return err }
	all["tokens of people"] = func(ctx context.Context, w *world) error {
		_, err := w.people.TokensOf(ctx, []*ent.User{{ID: 1}, {ID: 7}})
		return err
	}
	return all
}

// whole asks for all rows of a narrowed query, as package selection does for the
// rows that an edge leads to.
func (w *world) whole(ctx context.Context, table string, narrow func(*entsql.Selector)) error {
	s := entsql.Dialect(w.db.Dialect).Select().From(entsql.Table(table))
	s.Select(s.C("id"))
	narrow(s)
	query, args := s.Query()
	rows, err := w.spied.SQL.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var ids []int64
	return errors.Join(entsql.ScanSlice(rows, &ids), rows.Err())
}

// base is the name of a table, or of one that a statement gives it.
const base = `(images|annotations|devices|i|n|f|row|origin|label_submissions|videos|label_sets|bundles|bundle_versions|bundle_files|content|users|access_tokens|t\d+)`

var (
	scans  = regexp.MustCompile(`^SCAN ` + base + `\b`)
	sorted = regexp.MustCompile(`TEMP B-TREE FOR ORDER BY`)
)

// subquery is a step whose rows another SELECT makes, and not a table of that name.
var subquery = regexp.MustCompile(`^(?:CO-ROUTINE|MATERIALIZE) (\w+)$`)

// suspicious returns the steps of a plan of SQLite's that read a whole table, or
// sort more than a page.
func suspicious(s statement, plan map[int][]string) []string {
	var found []string
	for _, level := range slices.Sorted(maps.Keys(plan)) {
		steps := plan[level]
		limited := slices.ContainsFunc(steps, few.MatchString) || slices.ContainsFunc(steps, parents.MatchString) || !strings.Contains(s.query, "LIMIT")
		subqueries := map[string]bool{}
		for _, step := range steps {
			if made := subquery.FindStringSubmatch(step); made != nil {
				subqueries[made[1]] = true
			}
		}
		for _, step := range steps {
			scanned := scans.FindStringSubmatch(step)
			if scanned != nil && !subqueries[scanned[1]] || sorted.MatchString(step) && !limited {
				found = append(found, step)
			}
		}
	}
	return found
}

// parents is a step that reads the parents of nested lists. What follows reads no
// more than a page of each.
var parents = regexp.MustCompile(`^SCAN parent VIRTUAL TABLE`)

// walks are lists without a condition: they read a table in their own order, and
// end with the page.
var walks = regexp.MustCompile(`^(bundles|devices|people|videos|submissions of all.*)$`)

// owedBySQLite reads more than its page whatever the statistics: see "Plans" in
// docs/performance.md.
var owedBySQLite = regexp.MustCompile(`^submissions of a time|^images of a prefix by TIME_DEVICE`)

var mostFilled = size{videos: 20, submissions: 1000, bundles: 20, versions: 100, people: 1000}

// statistics are what SQLite may know of its tables.
func statistics() map[string]func(*testing.T, *world) {
	fresh := func(limit int) func(*testing.T, *world) {
		return func(t *testing.T, w *world) { w.exec(t, fmt.Sprintf(`PRAGMA analysis_limit = %d`, limit), `ANALYZE`) }
	}
	part := made // a hundredth, by fewer images of as many devices, and by fewer devices
	part.Images /= 100
	fewer := made
	fewer.Devices, fewer.Images = 1, made.Total()/100
	demo := made
	demo.Devices, demo.Images = 3, 20
	return map[string]func(*testing.T, *world){
		"none":                       func(*testing.T, *world) {},
		"of a hundredth":             func(t *testing.T, w *world) { w.stale(t, part, size{20, 10, 20, 1, 10}) },
		"of a hundredth, one parent": func(t *testing.T, w *world) { w.stale(t, fewer, size{1, 200, 1, 20, 10}) },
		"of a demo":                  func(t *testing.T, w *world) { w.stale(t, demo, size{1, 3, 1, 2, 1}) },
		"fresh":                      fresh(0),
		"fresh, of some rows":        fresh(400),
	}
}

// Whatever statistics a database brings along, a server drops them when it starts,
// and its connections plan without them from then on.
func TestPlans_SQLiteNeedsNoStatistics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tagma.db")
	w := newWorld(t, "sqlite:"+path, file{path})
	fillOthers(t, w.db, mostFilled)
	statements := w.statements(t)
	for name, set := range statistics() {
		w.forget(t)
		set(t, w)
		w.reopen(t, path)
		for _, s := range statements { // the connections know the statistics now
			w.steps(t, s.statement)
		}
		if err := w.db.DropStatistics(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range statements {
			found := suspicious(s.statement, w.steps(t, s.statement))
			if len(found) > 0 && !walks.MatchString(s.name) && !owedBySQLite.MatchString(s.name) {
				t.Errorf("statistics %s, dropped: %s\n%s\n%v", name, s.name, s.query, found)
			}
		}
	}
}

// Nested lists hold with statistics too, those that somebody makes while the server
// runs.
func TestPlans_SQLiteReadsNestedListsByTheirParentsWhateverItsStatistics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tagma.db")
	w := newWorld(t, "sqlite:"+path, file{path})
	fillOthers(t, w.db, mostFilled)
	nested := slices.DeleteFunc(w.statements(t), func(s asked) bool { return !strings.Contains(s.query, "AS parent") })
	if len(nested) < 9 {
		t.Fatalf("%d statements are of nested lists, want at least 9", len(nested))
	}
	for name, set := range statistics() {
		w.forget(t)
		set(t, w)
		w.reopen(t, path)
		for _, s := range nested {
			if found := suspicious(s.statement, w.steps(t, s.statement)); len(found) > 0 {
				t.Errorf("statistics %s: %s\n%s\n%v", name, s.name, s.query, found)
			}
		}
	}
}

// asked is a statement of a list.
type asked struct {
	name string
	statement
}

// statements returns the statements of all lists.
func (w *world) statements(t *testing.T) []asked {
	t.Helper()
	all := lists()
	var statements []asked
	for _, name := range slices.Sorted(maps.Keys(all)) {
		w.spy.seen = nil
		if err := all[name](t.Context(), w); err != nil {
			t.Fatalf("%s: got %v, want no error", name, err)
		}
		for _, s := range w.spy.seen {
			statements = append(statements, asked{name, s})
		}
	}
	return statements
}

// forget takes SQLite's statistics away.
func (w *world) forget(t *testing.T) {
	t.Helper()
	for _, table := range []string{"sqlite_stat1", "sqlite_stat4"} {
		if _, err := w.db.SQL.ExecContext(t.Context(), `DROP TABLE IF EXISTS `+table); err != nil {
			t.Fatal(err)
		}
	}
}

// stale gives the database the statistics of another.
func (w *world) stale(t *testing.T, o dataset.Options, s size) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.db")
	other, err := database.Open(t.Context(), "sqlite:"+path, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := dataset.Fill(t.Context(), other, o); err != nil {
		t.Fatal(err)
	}
	fillOthers(t, other, s)
	if _, err := other.SQL.ExecContext(t.Context(), `ANALYZE`); err != nil {
		t.Fatal(err)
	}
	if _, err := other.SQL.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	conn, err := w.db.SQL.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, statement := range []string{
		`ATTACH '` + path + `' AS other`, `ANALYZE sqlite_schema`,
		`INSERT INTO main.sqlite_stat1 SELECT * FROM other.sqlite_stat1`, `INSERT INTO main.sqlite_stat4 SELECT * FROM other.sqlite_stat4`,
		`DETACH other`,
	} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: got %v, want no error", statement, err)
		}
	}
}

// mostFetched is how many rows a statement of a list of 100 may fetch from
// PostgreSQL's tables, for each series of a union.
const mostFetched = 1_500

// byID is a statement that looks rows up by their ids.
var byID = regexp.MustCompile(`WHERE "\w+"."(id|image_id|bundle_id|version_id)" = ANY\(\$1\)( ORDER BY \S+)?$|"bundle_files"|"newer"`)

// owedByPostgres depends on statistics: see "Plans" in docs/performance.md.
var owedByPostgres = regexp.MustCompile(`^images of all devices|^submissions of (a|all)\b`)

func TestPlans_PostgreSQLFetchesFewRowsWhateverItsStatistics(t *testing.T) {
	databaseURL := testenv.Postgres(t)
	connector, err := pq.NewConnector(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, databaseURL, connector)
	fillOthers(t, w.db, mostFilled)
	w.blind(t)
	// What counts reads what it counts. What looks rows up by a list of ids may as
	// well read a table that is as short as here.
	statements := slices.DeleteFunc(w.statements(t), func(s asked) bool {
		return strings.Contains(s.query, "COUNT(") || byID.MatchString(s.query)
	})
	judge := func(t *testing.T) {
		for _, s := range statements {
			for _, mode := range []string{"auto", "force_custom_plan"} {
				rows, plan := w.fetched(t, s.statement, mode)
				if !owedByPostgres.MatchString(s.name) && rows > mostFetched*(1+strings.Count(s.query, " UNION ")) {
					t.Errorf("%s\n%s\n%d rows are fetched (%s)\n%s", s.name, s.query, rows, mode, plan)
				}
			}
		}
	}
	t.Run("never analysed", judge)
	w.part(t, 1000)
	t.Run("of a table a thousandth as long", judge)
}

// tables are those whose rows are counted.
var tables = []string{"annotations", "images", "label_submissions", "videos", "bundle_files", "bundle_versions", "bundle_contents", "bundles", "access_tokens"}

func (w *world) exec(t *testing.T, statements ...string) {
	t.Helper()
	conn, err := w.db.SQL.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, statement := range statements {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: got %v, want no error", statement, err)
		}
	}
}

// blind makes each table anew, as one that PostgreSQL has not looked at. The new
// tables have no foreign keys.
func (w *world) blind(t *testing.T) {
	t.Helper()
	for _, table := range tables {
		w.exec(t, `CREATE TABLE anew (LIKE `+table+` INCLUDING ALL) WITH (autovacuum_enabled = off)`, `INSERT INTO anew SELECT * FROM `+table,
			`DROP TABLE `+table+` CASCADE`, `ALTER TABLE anew RENAME TO `+table)
	}
}

// part gives each table the statistics that it has with one of so many rows.
func (w *world) part(t *testing.T, of int) {
	t.Helper()
	for _, table := range tables {
		w.exec(t, `CREATE TEMPORARY TABLE whole AS SELECT * FROM `+table, `TRUNCATE `+table,
			fmt.Sprintf(`INSERT INTO %s SELECT * FROM whole WHERE id %% %d = 1`, table, of), `ANALYZE `+table,
			fmt.Sprintf(`INSERT INTO %s SELECT * FROM whole WHERE id %% %d <> 1`, table, of), `DROP TABLE whole`)
	}
}

// fetched runs a statement and returns how many rows of tables PostgreSQL has
// fetched for it, and its plan.
func (w *world) fetched(t *testing.T, s statement, mode string) (rows int, plan string) {
	t.Helper()
	tx, err := w.db.SQL.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	args := make([]string, len(s.args))
	for n, arg := range s.args {
		args[n] = pq.QuoteLiteral(fmt.Sprint(arg))
	}
	execute := `EXPLAIN (ANALYZE, TIMING OFF) EXECUTE explained`
	if len(args) > 0 {
		execute += ` (` + strings.Join(args, ", ") + `)`
	}
	for _, statement := range []string{`SET LOCAL plan_cache_mode = ` + mode, `PREPARE explained AS ` + s.query} {
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: got %v, want no error", statement, err)
		}
	}
	const read = `SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) FROM pg_stat_xact_user_tables`
	var before, after int
	if err := tx.QueryRowContext(t.Context(), read).Scan(&before); err != nil {
		t.Fatal(err)
	}
	const times = 7 // PostgreSQL makes up its mind after five
	for range times {
		plan = w.lines(t, tx, execute)
	}
	if err := tx.QueryRowContext(t.Context(), read).Scan(&after); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `DEALLOCATE explained`); err != nil {
		t.Fatal(err)
	}
	return (after - before) / times, plan
}
