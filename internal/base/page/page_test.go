package page

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"entgo.io/ent/dialect/sql"
	"pgregory.net/rapid"

	"tagma/internal/base/fault"
	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

// row is a row of a test's table, whose order is by name and then number.
type row struct {
	name   string
	number int64
}

var byName = Order[row]{
	Columns: []Column{{Name: "name", IsText: true}, {Name: "number"}},
	Key:     func(r row) Key { return Key{r.name, r.number} },
}

var byNumber = Order[row]{
	Columns: []Column{{Name: "number"}, {Name: "name", IsText: true}},
	Key:     func(r row) Key { return Key{r.number, r.name} },
}

// table is a table of rows in a database.
type table struct {
	*database.DB
	t *testing.T
}

func each(t *testing.T, test func(t *testing.T, tbl table)) {
	t.Helper()
	open := func(name, url, text string) {
		t.Run(name, func(t *testing.T) {
			db, err := database.Open(t.Context(), url, database.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			tbl := table{db, t}
			tbl.exec(fmt.Sprintf("CREATE TABLE numbered (name %s, number bigint, PRIMARY KEY (name, number))", text))
			test(t, tbl)
		})
	}
	open("SQLite", "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"), "text")
	open("PostgreSQL", testenv.Postgres(t), `text COLLATE "C"`)
}

func (tbl table) exec(statement string, args ...any) {
	tbl.t.Helper()
	if _, err := tbl.SQL.ExecContext(tbl.t.Context(), statement, args...); err != nil {
		tbl.t.Fatalf("%s: got %v, want no error", statement, err)
	}
}

// storeRows makes the rows those that the table holds.
func (tbl table) storeRows(rows []row) {
	tbl.t.Helper()
	tbl.exec("DELETE FROM numbered")
	for chunk := range slices.Chunk(rows, 100) {
		insert := sql.Dialect(tbl.Dialect).Insert("numbered").Columns("name", "number")
		for _, r := range chunk {
			insert.Values(r.name, r.number)
		}
		statement, args := insert.Query()
		tbl.exec(statement, args...)
	}
}

// query is how the rows of the table are asked for.
func (tbl table) query(ctx context.Context, narrow func(*sql.Selector)) ([]row, error) {
	s := sql.Dialect(tbl.Dialect).Select("name", "number").From(sql.Table("numbered"))
	narrow(s)
	query, args := s.Query()
	records, err := tbl.SQL.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer records.Close()
	var rows []row
	for records.Next() {
		var r row
		if err := records.Scan(&r.name, &r.number); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, records.Err()
}

func (tbl table) fetch(order Order[row], request Request) (*Page[row], error) {
	return Fetch(tbl.t.Context(), Limits{Default: 3, Max: 50}, request, order, tbl.query,
		func(context.Context) (int, error) { panic("nobody asked for the total") })
}

// someRows are rows with equal names and equal numbers among them, and names
// that need care in JSON and SQL.
func someRows() *rapid.Generator[[]row] {
	anyRow := rapid.Custom(func(r *rapid.T) row {
		return row{
			rapid.SampledFrom([]string{"", "a", "A", "ab", "b", "ä", "<&>", `"`, `\`, "%", "😀"}).Draw(r, "name"),
			rapid.OneOf(rapid.Int64Range(-2, 2), rapid.Int64()).Draw(r, "number"),
		}
	})
	return rapid.SliceOfNDistinct(anyRow, 0, 30, rapid.ID[row])
}

// sortRows gives the rows in an order, as it reads.
func sortRows(rows []row, order Order[row]) []row {
	return slices.SortedFunc(slices.Values(rows), func(a, b row) int { return compareKeys(order.Key(a), order.Key(b)) })
}

func compareKeys(a, b Key) int {
	for i := range a {
		var c int
		switch v := a[i].(type) {
		case string:
			c = cmp.Compare(v, b[i].(string))
		case int64:
			c = cmp.Compare(v, b[i].(int64))
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func TestFetch_APageIsThatPieceOfTheSortedRows(t *testing.T) {
	each(t, func(t *testing.T, tbl table) {
		rapid.Check(t, func(r *rapid.T) {
			rows := someRows().Draw(r, "rows")
			tbl.storeRows(rows)
			order := rapid.SampledFrom([]Order[row]{byName, byNumber}).Draw(r, "order")
			want := sortRows(rows, order)

			// A cursor may be of a row that has gone.
			places := append(someRows().Draw(r, "gone"), rows...)
			var request Request
			bound := func(name string, inside func(Key, Key) bool) *string {
				if len(places) == 0 || rapid.Bool().Draw(r, "no "+name) {
					return nil
				}
				key := order.Key(rapid.SampledFrom(places).Draw(r, name))
				want = slices.DeleteFunc(want, func(candidate row) bool { return !inside(order.Key(candidate), key) })
				cursor := key.Cursor()
				return &cursor
			}
			request.After = bound("after", func(candidate, key Key) bool { return compareKeys(candidate, key) > 0 })
			request.Before = bound("before", func(candidate, key Key) bool { return compareKeys(candidate, key) < 0 })
			length, hasMore := 3, false
			if rapid.Bool().Draw(r, "length given") {
				length = rapid.IntRange(0, 10).Draw(r, "length")
				request.First = &length
			}
			hasMore = len(want) > length
			if request.First != nil && rapid.Bool().Draw(r, "backwards") {
				request.First, request.Last = nil, request.First
				want = want[max(0, len(want)-length):]
			} else {
				want = want[:min(length, len(want))]
			}

			p, err := tbl.fetch(order, request)
			if err != nil {
				r.Fatal(err)
			}
			if !slices.Equal(p.Nodes, want) {
				r.Errorf("got %v, want %v", p.Nodes, want)
			}
			wantMore := Info{HasNextPage: hasMore, HasPreviousPage: request.After != nil}
			if request.Last != nil {
				wantMore = Info{HasPreviousPage: hasMore, HasNextPage: request.Before != nil}
			}
			if p.PageInfo.HasNextPage != wantMore.HasNextPage || p.PageInfo.HasPreviousPage != wantMore.HasPreviousPage {
				r.Errorf("got %+v, want %+v", p.PageInfo, wantMore)
			}
			checkCursors(r, p, order)
		})
	})
}

func checkCursors(t *rapid.T, p *Page[row], order Order[row]) {
	cursors := p.Cursors()
	for n, node := range p.Nodes {
		if cursors[n] != order.Key(node).Cursor() || p.Edges()[n].Cursor != cursors[n] || p.Edges()[n].Node != node {
			t.Errorf("row %d has the cursor %q", n, cursors[n])
		}
	}
	start, end := p.PageInfo.StartCursor, p.PageInfo.EndCursor
	if len(cursors) == 0 {
		if start != nil || end != nil {
			t.Error("an empty page has cursors")
		}
	} else if *start != cursors[0] || *end != cursors[len(cursors)-1] {
		t.Errorf("from %q to %q: want %q", *start, *end, cursors)
	}
}

func TestFetch_AWalkWhileOthersInsertAndDeleteRepeatsNoneAndSkipsNone(t *testing.T) {
	each(t, func(t *testing.T, tbl table) {
		rapid.Check(t, func(r *rapid.T) {
			existingRows := someRows().Draw(r, "there throughout")
			tbl.storeRows(existingRows)
			backwards := rapid.Bool().Draw(r, "backwards")
			length := rapid.IntRange(1, 5).Draw(r, "length")
			request := Request{First: &length}
			if backwards {
				request = Request{Last: &length}
			}
			seen := map[row]bool{}
			var newKey Key
			for {
				p, err := tbl.fetch(byName, request)
				if err != nil {
					r.Fatal(err)
				}
				for _, node := range p.Nodes {
					if seen[node] {
						r.Fatalf("%v comes twice", node)
					}
					seen[node] = true
				}
				hasMore := p.PageInfo.HasNextPage
				request.After = p.PageInfo.EndCursor
				if backwards {
					hasMore = p.PageInfo.HasPreviousPage
					request.After, request.Before = nil, p.PageInfo.StartCursor
				}
				if !hasMore {
					break
				}
				if newKey != nil && rapid.Bool().Draw(r, "delete the last") {
					tbl.exec("DELETE FROM numbered WHERE name = $1 AND number = $2", newKey...)
				}
				newRow := row{rapid.SampledFrom([]string{"", "aa", "z"}).Draw(r, "name"), rapid.Int64Range(100, 110).Draw(r, "number")}
				tbl.exec("INSERT INTO numbered VALUES ($1, $2) ON CONFLICT DO NOTHING", newRow.name, newRow.number)
				newKey = Key{newRow.name, newRow.number}
			}
			for _, node := range existingRows {
				if !seen[node] {
					r.Errorf("%v was skipped", node)
				}
			}
		})
	})
}

func TestPlan_ACursorOfAnotherListIsRefusedByName(t *testing.T) {
	r := row{"a", 1}
	byNumberAlone := Order[row]{Columns: byNumber.Columns[:1], Key: func(r row) Key { return Key{r.number} }}
	for _, c := range []struct{ from, to Order[row] }{
		{byName, byNumber}, {byNumber, byName}, {byName, byNumberAlone}, {byNumberAlone, byName},
	} {
		cursor := c.from.Key(r).Cursor()
		for argument, request := range map[string]Request{"after": {After: &cursor}, "before": {Before: &cursor}} {
			_, err := c.to.Plan(Limits{Default: 1, Max: 1}, request)
			if fault.CodeOf(err) != fault.BadInput || !strings.HasPrefix(err.Error(), argument+": ") {
				t.Errorf("%s of %v for %v: got error %v, want code %s and the argument's name", argument, c.from.Columns, c.to.Columns, err, fault.BadInput)
			}
		}
	}
	foreign, invalid := byNumber.Key(r).Cursor(), "?"
	_, err := byName.Plan(Limits{Default: 1, Max: 1}, Request{After: &foreign, Before: &invalid})
	if e, ok := errors.AsType[*fault.Error](err); !ok || len(e.Problems) != 2 {
		t.Errorf("not both are told: %v", err)
	}
}

func TestPlan_AMadeUpCursorIsRefused(t *testing.T) {
	encode := base64.RawURLEncoding.EncodeToString
	for _, cursor := range []string{
		"", "?", "====", "\x00", "😀", encode(nil), encode([]byte("null")), encode([]byte("[]")), encode([]byte("{}")),
		encode([]byte(`["a",null]`)), encode([]byte(`[null,1]`)), encode([]byte(`["a",1.5]`)), encode([]byte(`["a","1"]`)),
		encode([]byte(`["a",9223372036854775808]`)), encode([]byte(`["a",1e3]`)), encode([]byte(`["a",1,2]`)), encode([]byte(`["a",1]x`)),
		encode([]byte(`["\u0000",1]`)), encode([]byte(`[ "a",1]`)), encode([]byte(`["\u0061",1]`)), encode([]byte(`["\ud800",1]`)),
		encode([]byte(`["a",1]`)) + "\n", base64.StdEncoding.EncodeToString([]byte(`["a",1]`)),
		encode([]byte(`["` + strings.Repeat("a", 2000) + `",1]`)), encode([]byte(strings.Repeat("[", 500))),
	} {
		if _, err := byName.Plan(Limits{Default: 1, Max: 1}, Request{After: &cursor}); fault.CodeOf(err) != fault.BadInput {
			t.Errorf("cursor %.40q: got error %v, want code %s", cursor, err, fault.BadInput)
		}
	}
	// The one that it would have given is taken.
	cursor := encode([]byte(`["a",1]`))
	if plan, err := byName.Plan(Limits{Default: 1, Max: 1}, Request{After: &cursor}); err != nil || !slices.Equal(plan.After, Key{"a", int64(1)}) {
		t.Errorf("valid cursor: got key %v, error %v, want [a 1], nil", plan.After, err)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(byName.Key(row{"a", 1}).Cursor())
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`["\u0000",1]`)))
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, order := range []Order[row]{byName, byNumber} {
			if key, ok := parseKey(cursor, order.Columns); ok && key.Cursor() != cursor {
				t.Errorf("%q is read as %v, whose cursor is %q", cursor, key, key.Cursor())
			}
		}
	})
}

func TestPlan_TheLengthsOutsideTheLimitsAreRefused(t *testing.T) {
	number := func(n int) *int { return &n }
	limits := Limits{Default: 10, Max: 20}
	for name, c := range map[string]struct {
		request   Request
		length    int
		backwards bool
		fails     bool
	}{
		"nothing":       {length: 10},
		"first":         {request: Request{First: number(20)}, length: 20},
		"last":          {request: Request{Last: number(1)}, length: 1, backwards: true},
		"none":          {request: Request{First: number(0)}},
		"too many":      {request: Request{First: number(21)}, fails: true},
		"last too many": {request: Request{Last: number(21)}, fails: true},
		"less than 0":   {request: Request{First: number(-1)}, fails: true},
		"both":          {request: Request{First: number(1), Last: number(1)}, fails: true},
	} {
		plan, err := byName.Plan(limits, c.request)
		if c.fails != (fault.CodeOf(err) == fault.BadInput) || plan.Length != c.length || plan.Backwards != c.backwards {
			t.Errorf("%s: got plan %+v, error %v, want length %d, backwards %t, error %t", name, plan, err, c.length, c.backwards, c.fails)
		}
	}
}

func TestMap_ThePageOfOtherValuesHasTheSameCursorsAndTotal(t *testing.T) {
	rows := []row{{"a", 1}, {"b", 2}}
	p := byName.Page(Plan{Length: 5}, rows, func(context.Context) (int, error) { return 7, nil })
	named := Map(Map(p, func(r row) string { return r.name }), strings.ToUpper)
	if !slices.Equal(named.Nodes, []string{"A", "B"}) || !slices.Equal(named.Cursors(), p.Cursors()) || named.PageInfo != p.PageInfo {
		t.Errorf("mapped page: got %+v, want nodes A and B with the cursors %q", named, p.Cursors())
	}
	if edges := named.Edges(); len(edges) != 2 || edges[1].Node != "B" || edges[1].Cursor != p.Cursors()[1] {
		t.Errorf("edges: got %+v, want 2 with the cursors %q", edges, p.Cursors())
	}
	if total, err := named.TotalCount(t.Context()); total != 7 || err != nil {
		t.Errorf("total: got %d, error %v, want 7", total, err)
	}
	empty := Map(byName.Page(Plan{Length: 5}, nil, nil), func(r row) int { return 0 })
	if list, err := json.Marshal(empty.Nodes); string(list) != "[]" || err != nil || len(empty.Edges()) != 0 {
		t.Errorf("an empty page is %s, not a list: %v", list, err)
	}
}
