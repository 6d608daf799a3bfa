package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/lib/pq"
	"modernc.org/sqlite"

	ent "tagma/ent/generated"
	"tagma/ent/generated/annotation"
	"tagma/ent/generated/image"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/bench/dataset"
	"tagma/internal/bench/jobs"
	"tagma/internal/domain/activity"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/domain/labels"
	"tagma/internal/domain/people"
	"tagma/internal/domain/series"
	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

// made is enough for a planner to prefer an index where one serves.
var made = dataset.Options{Devices: 20, Images: 1000, Objects: 1, Points: 3, Seed: 1}

// statement is one that the domain has sent.
type statement struct {
	query string
	args  []any
}

// spy is a database driver that notes what is asked.
type spy struct {
	driver.Connector
	mu   sync.Mutex
	seen []statement
}

func (s *spy) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := s.Connector.Connect(ctx)
	return spied{c, s}, err
}

type spied struct {
	driver.Conn
	by *spy
}

func (s spied) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s.by.mu.Lock()
	defer s.by.mu.Unlock()
	one := statement{query: query}
	for _, arg := range args {
		one.args = append(one.args, arg.Value)
	}
	s.by.seen = append(s.by.seen, one)
	return s.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

// file opens an SQLite file.
type file struct{ path string }

func (f file) Connect(context.Context) (driver.Conn, error) {
	return f.Driver().Open(f.path + "?_pragma=case_sensitive_like(1)")
}
func (file) Driver() driver.Driver { return &sqlite.Driver{} }

// world is the domain on filled tables.
type world struct {
	db          *database.DB
	spy         *spy
	spied       *database.DB
	images      *images.Service
	annotations *annotations.Service
	labels      *labels.Service
	bundles     *bundles.Service
	people      *people.Service
}

func newWorld(t *testing.T, databaseURL string, connector driver.Connector) *world {
	t.Helper()
	db, err := database.Open(t.Context(), databaseURL, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := dataset.Fill(t.Context(), db, made); err != nil {
		t.Fatal(err)
	}
	w := &world{db: db, spy: &spy{Connector: connector}}
	pool := sql.OpenDB(w.spy)
	t.Cleanup(func() { _ = pool.Close() })
	w.spied = &database.DB{Client: ent.NewClient(ent.Driver(entsql.OpenDB(db.Dialect, pool))), SQL: pool, Dialect: db.Dialect}
	limits := page.Limits{Default: 50, Max: 1000}
	w.images = images.New(w.spied, nil, instant.System, images.Limits{Page: limits})
	w.annotations = annotations.New(w.spied, w.images, instant.System, limits)
	w.labels = labels.New(w.spied, instant.System, limits)
	w.bundles = bundles.New(w.spied, nil, instant.System, bundles.Limits{Page: limits})
	w.people = people.New(w.spied, instant.System, nil, nil, limits)
	return w
}

// paths is what users ask for that must not cost more as the tables grow.
func paths() map[string]func(context.Context, *world) error {
	all := map[string]func(context.Context, *world) error{}
	whole := func(pattern string) series.Series {
		return series.Series{Device: pattern, Start: made.TakenAt(0, 0), End: made.End()}
	}
	night := func(pattern string) series.Series {
		return series.Series{Device: pattern, Start: made.TakenAt(0, 600), End: made.TakenAt(0, 620)}
	}
	first, deep := 100, jobs.Cursor(made.Device(17), made.TakenAt(17, 500))
	for name, of := range map[string][]series.Series{
		"a device":             {whole(made.Device(17))},
		"a device, one night":  {night(made.Device(17))},
		"a prefix":             {whole(made.Device(17)[:2] + "%")},
		"all devices":          {whole("%")},
		"two devices":          {whole(made.Device(3)), whole(made.Device(17))},
		"two devices, nights":  {night(made.Device(3)), night(made.Device(17))},
		"all devices, a night": {night("%")},
	} {
		for _, order := range []series.Order{series.DeviceTime, series.TimeDevice} {
			at := func(request page.Request) func(context.Context, *world) error {
				return func(ctx context.Context, w *world) error {
					if _, err := w.images.Series(ctx, of, order, request); err != nil {
						return err
					}
					wanted, narrow, err := w.images.NarrowToSeries(of, order, request)
					return errors.Join(err, w.compiled(ctx, image.Table, wanted, narrow))
				}
			}
			after := deep
			if order == series.TimeDevice {
				after = timeCursor()
			}
			all[fmt.Sprintf("images of %s by %s", name, order)] = at(page.Request{First: &first})
			all[fmt.Sprintf("images of %s by %s, deep", name, order)] = at(page.Request{First: &first, After: &after})
			all[fmt.Sprintf("images of %s by %s, from the end", name, order)] = at(page.Request{Last: &first})
			all[fmt.Sprintf("images of %s by %s, before", name, order)] = at(page.Request{Last: &first, Before: &after})
		}
		all["annotations of "+name] = func(ctx context.Context, w *world) error {
			request := page.Request{First: &first}
			for range 2 { // the second begins where the first has ended
				p, err := w.annotations.Series(ctx, of, nil, request)
				if err != nil {
					return err
				}
				wanted, narrow, err := w.annotations.NarrowToSeries(of, nil, request)
				if err := errors.Join(err, w.compiled(ctx, annotation.Table, wanted, narrow)); err != nil {
					return err
				}
				request.After = p.PageInfo.EndCursor
			}
			return nil
		}
	}
	all["activity of a device"] = func(ctx context.Context, w *world) error {
		_, err := activity.Buckets(ctx, w.spied, activity.Request{Series: []series.Series{night(made.Device(17))}, Every: dataset.Every, Objects: true})
		return err
	}
	keys := make([]images.Key, 100)
	for n := range keys {
		keys[n] = images.Key{Device: made.Device(n % made.Devices), TakenAt: made.TakenAt(n%made.Devices, n)}
	}
	all["images by keys, with all edges"] = func(ctx context.Context, w *world) error {
		found, err := w.images.ByKeys(ctx, "keys", keys)
		if err != nil {
			return err
		}
		if _, err := w.images.Previous(ctx, found); err != nil {
			return err
		}
		if _, err := w.images.Next(ctx, found); err != nil {
			return err
		}
		if _, err := w.images.Metadata(ctx, found); err != nil {
			return err
		}
		of, err := w.annotations.OfImages(ctx, found, nil)
		if err != nil {
			return err
		}
		var flat []*ent.Annotation
		for _, some := range of {
			flat = append(flat, some...)
		}
		_, err = w.annotations.Objects(ctx, flat)
		return err
	}
	all["a device with its statistics and images"] = func(ctx context.Context, w *world) error {
		d, err := w.images.Device(ctx, made.Device(17))
		if err != nil {
			return err
		}
		if _, err := w.images.Statistics(ctx, []*ent.Device{d}); err != nil {
			return err
		}
		_, err = w.images.OfDevices(ctx, []*ent.Device{d}, images.Range{}, page.Request{First: &first})
		return err
	}
	return all
}

// compiled asks for a page as package selection does: its length is an argument.
func (w *world) compiled(ctx context.Context, table string, wanted page.Keyset, narrow func(*entsql.Selector)) error {
	s := entsql.Dialect(w.db.Dialect).Select().From(entsql.Table(table))
	s.Select(s.C("id"))
	narrow(s)
	query, args := s.Query()
	args = append(args, wanted.Plan.Length+1)
	query += " LIMIT ?"
	if w.db.Dialect == dialect.Postgres {
		query = strings.TrimSuffix(query, "?") + "$" + strconv.Itoa(len(args))
	}
	rows, err := w.spied.SQL.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var ids []int64
	return errors.Join(entsql.ScanSlice(rows, &ids), rows.Err())
}

func timeCursor() string {
	at := []*ent.Image{{DeviceID: made.Device(17), TakenAt: made.TakenAt(17, 500)}}
	return *series.TimeDevice.PageOrder().Page(page.Plan{Length: 1}, at, nil).PageInfo.StartCursor
}

// mostBlocks bounds the blocks of indexes and tables that PostgreSQL reads for a
// page of 100, for each series of a union: some for each row, whatever the size of
// the tables, which have thousands here. The neighbours of 100 images take the most:
// 3 blocks for each image, 3 for its neighbour and 2 for the step between.
const mostBlocks = 820

// sorts is a step of SQLite's plan that sorts all rows of the steps beside it.
var sorts = regexp.MustCompile(`TEMP B-TREE FOR ORDER`)

// few is a step that returns no more rows than a page: the rows of a subquery with a
// limit or with ids from one; sums, all of which are the answer; or the pages of
// several parents, which package database bounds for each parent.
var few = regexp.MustCompile(`^(CO-ROUTINE|MATERIALIZE) (images|activity)$|^LIST SUBQUERY|^SCAN parent VIRTUAL TABLE`)

// whole is a step that reads a whole table.
var whole = regexp.MustCompile(`^SCAN (images|annotations|i|n)$`)

// heavy says whether SQLite's plan reads a whole table, or sorts a whole result
// to give a page of it. Each level is the steps of one SELECT.
func heavy(plan map[int][]string) bool {
	for _, level := range plan {
		has := func(kind *regexp.Regexp) bool { return slices.ContainsFunc(level, kind.MatchString) }
		if (has(sorts) || has(whole)) && !has(few) {
			return true
		}
	}
	return false
}

// owed is what reads more than its page: see "What is left" in
// docs/performance.md. Whoever mends one takes it from this list.
var owed = regexp.MustCompile(`^images of a prefix by TIME_DEVICE`)

func TestPlans_APageCostsItsRowsAndNotTheTable(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		databaseURL := testenv.Postgres(t)
		connector, err := pq.NewConnector(databaseURL)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, databaseURL, connector)
		w.each(t, owed, func(s statement) string {
			for _, mode := range []string{"auto", "force_custom_plan"} {
				if plan, blocks := w.explain(t, s, mode); blocks > mostBlocks*(1+strings.Count(s.query, " UNION ")) {
					return fmt.Sprintf("%d blocks are read (%s)\n%s", blocks, mode, plan)
				}
			}
			return ""
		})
	})
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "tagma.db")
		w := newWorld(t, "sqlite:"+path, file{path})
		judge := func(s statement) string {
			plan := w.steps(t, s)
			if strings.Contains(s.query, "LIMIT") && heavy(plan) {
				return fmt.Sprintf("%v", plan)
			}
			return ""
		}
		w.each(t, owed, judge)
		if err := w.db.DropStatistics(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.each(t, owed, judge)
	})
}

// reopen makes connections that know what SQLite knows of its tables now.
func (w *world) reopen(t *testing.T, path string) {
	t.Helper()
	err := w.db.Close()
	if err == nil {
		w.db, err = database.Open(t.Context(), "sqlite:"+path, database.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	db := w.db
	t.Cleanup(func() { _ = db.Close() })
}

// each lets all statements be judged that the paths send. A judgement that is
// not empty fails the test, unless the path is a known one.
func (w *world) each(t *testing.T, known *regexp.Regexp, judge func(s statement) string) {
	t.Helper()
	all := paths()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		w.spy.seen = nil
		if err := all[name](t.Context(), w); err != nil {
			t.Fatalf("%s: got %v, want no error", name, err)
		}
		for _, s := range w.spy.seen {
			problem := judge(s)
			switch {
			case problem == "":
			case known.MatchString(name):
				t.Logf("owed: %s\n%s\n%s", name, s.query, problem)
			default:
				t.Errorf("%s: got a problem with the plan, want none\n%s\n%s", name, s.query, problem)
			}
		}
	}
}

var blocksRead = regexp.MustCompile(`Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?`)

// explain runs a statement and gives PostgreSQL's plan, made knowing the
// arguments (custom) or not (generic), as it may be from the sixth time on,
// and how many blocks were read.
func (w *world) explain(t *testing.T, s statement, mode string) (plan string, blocks int) {
	t.Helper()
	conn, err := w.db.SQL.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	args := make([]string, len(s.args))
	for n, arg := range s.args {
		args[n] = pq.QuoteLiteral(fmt.Sprint(arg))
	}
	execute := `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) EXECUTE explained`
	if len(args) > 0 {
		execute += ` (` + strings.Join(args, ", ") + `)`
	}
	statements := []string{`SET plan_cache_mode = ` + mode, `PREPARE explained AS ` + s.query}
	for range 7 { // PostgreSQL makes up its mind after five
		statements = append(statements, execute)
	}
	for _, statement := range statements {
		plan = w.lines(t, conn, statement)
	}
	w.lines(t, conn, `DEALLOCATE explained`)
	// The topmost step counts those below it.
	if read := blocksRead.FindStringSubmatch(plan); read != nil {
		hit, _ := strconv.Atoi(read[1])
		missed, _ := strconv.Atoi(read[2])
		blocks = hit + missed
	}
	return plan, blocks
}

func (w *world) lines(t *testing.T, on interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string) string {
	t.Helper()
	rows, err := on.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: got %v, want rows", query, err)
	}
	defer rows.Close()
	var lines []string
	if err := errors.Join(entsql.ScanSlice(rows, &lines), rows.Err()); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// steps is SQLite's plan: the steps of each SELECT, by its number.
func (w *world) steps(t *testing.T, s statement) map[int][]string {
	t.Helper()
	rows, err := w.db.SQL.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+s.query, s.args...)
	if err != nil {
		t.Fatalf("plan of %s: got %v, want rows", s.query, err)
	}
	defer rows.Close()
	plan := map[int][]string{}
	for rows.Next() {
		var step, of, ignored int
		var what string
		if err := rows.Scan(&step, &of, &ignored, &what); err != nil {
			t.Fatal(err)
		}
		plan[of] = append(plan[of], what)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}
