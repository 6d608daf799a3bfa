package database

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"entgo.io/ent/dialect/sql"
	"pgregory.net/rapid"
)

// odd are texts that one way of writing lists or another trips over.
var odd = []string{
	"", " ", "a", "A", `"`, `""`, `'`, `\`, `\\`, `\"`, "{", "}", "{}", "[", "]", ",", "a,b", "NULL", "null", "nil",
	"0", "1.0", "%", "_", "$1", "?", "\n", "\t", "\r", "\u2028", "<&>", "ä", "e\u0301", "😀", "\U0010ffff", `\u0041`,
}

// where gives the values of a column of a table for which a condition holds.
func where[T any](t testing.TB, db *DB, table, column string, condition func(*sql.Selector)) []T {
	t.Helper()
	s := sql.Dialect(db.Dialect).Select(column).From(sql.Table(table)).OrderBy(column)
	condition(s)
	query, args := s.Query()
	rows, err := db.SQL.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: got %v, want rows", query, err)
	}
	defer rows.Close()
	found := []T{}
	must(t, errors.Join(sql.ScanSlice(rows, &found), rows.Err()))
	return found
}

func TestAmongTexts_AnyTextIsTakenAsItIs(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		db.exec(t, "CREATE TABLE names (id integer, name text)")
		for n, name := range odd {
			db.exec(t, "INSERT INTO names VALUES ($1, $2)", n, name)
		}
		db.exec(t, "INSERT INTO names VALUES (1000, NULL)")
		for n, name := range odd {
			if got := where[int](t, db, "names", "id", AmongTexts("name", []string{name, "elsewhere"})); !slices.Equal(got, []int{n}) {
				t.Errorf("%q finds %v, want %d", name, got, n)
			}
		}
		rapid.Check(t, func(r *rapid.T) {
			wanted := rapid.SliceOfN(rapid.IntRange(0, len(odd)-1), 0, 8).Draw(r, "wanted")
			texts := make([]string, len(wanted))
			for i, n := range wanted {
				texts[i] = odd[n]
			}
			slices.Sort(wanted)
			if got := where[int](t, db, "names", "id", AmongTexts("name", texts)); !slices.Equal(got, slices.Compact(wanted)) {
				r.Errorf("%q finds %v, want %v", texts, got, wanted)
			}
		})
	})
}

func TestAmong_NoneFindsNothing(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		db.exec(t, "CREATE TABLE places (name text, at bigint)")
		db.exec(t, "INSERT INTO places VALUES ('', 0), (NULL, NULL), ('null', 1)")
		for what, condition := range map[string]func(*sql.Selector){
			"no texts":    AmongTexts("name", []string{}),
			"nil texts":   AmongTexts("name", nil),
			"no numbers":  AmongNumbers("at", []int64{}),
			"nil numbers": AmongNumbers[int64]("at", nil),
			"no pairs":    AmongPairs("name", "at", []string{}, []int64{}),
			"nil pairs":   AmongPairs[int64]("name", "at", nil, nil),
		} {
			if got := where[*string](t, db, "places", "name", condition); len(got) > 0 {
				t.Errorf("%s: %d rows", what, len(got))
			}
		}
	})
}

func TestAmong_TenThousandAreFoundInOneStatement(t *testing.T) {
	const many = 10_000
	each(t, func(t *testing.T, db *DB) {
		// Odd numbers are there, and all are asked for.
		db.exec(t, "CREATE TABLE places (name text, at bigint, PRIMARY KEY (name, at))")
		db.exec(t, "INSERT INTO places SELECT CAST(2 * n - 1 AS text), 2 * n - 1 FROM ("+counting+") AS x", 1, many)
		numbers, texts := make([]int64, many), make([]string, many)
		for n := range numbers {
			numbers[n], texts[n] = int64(n), strconv.Itoa(n)
		}
		for what, condition := range map[string]func(*sql.Selector){
			"numbers": AmongNumbers("at", numbers),
			"texts":   AmongTexts("name", texts),
			"pairs":   AmongPairs("name", "at", texts, numbers),
		} {
			if got := where[int64](t, db, "places", "at", condition); len(got) != many/2 || got[0] != 1 || got[many/2-1] != many-1 {
				t.Errorf("%s: %d rows, want %d", what, len(got), many/2)
			}
		}
	})
}

func TestAmongPairs_BothOfAPairMustAgree(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		db.exec(t, "CREATE TABLE places (id integer, name text, at bigint)")
		const instants = 3
		numbers := []int64{-1 << 63, 0, 1<<63 - 1}
		for n, name := range odd {
			for m, at := range numbers {
				db.exec(t, "INSERT INTO places VALUES ($1, $2, $3)", n*instants+m, name, at)
			}
		}
		rapid.Check(t, func(r *rapid.T) {
			wanted := rapid.SliceOfN(rapid.IntRange(0, len(odd)*instants-1), 0, 8).Draw(r, "wanted")
			var names []string
			var at []int64
			for _, n := range wanted {
				names, at = append(names, odd[n/instants]), append(at, numbers[n%instants])
			}
			slices.Sort(wanted)
			if got := where[int](t, db, "places", "id", AmongPairs("name", "at", names, at)); !slices.Equal(got, slices.Compact(wanted)) {
				r.Errorf("%q at %d finds %v, want %v", names, at, got, wanted)
			}
		})
	})
}

func TestAmong_TheStatementIsTheSameWhateverTheLength(t *testing.T) {
	text := func(condition func(*sql.Selector)) string {
		s := sql.Dialect("postgres").Select("id").From(sql.Table("t"))
		condition(s)
		query, _ := s.Query()
		return query
	}
	if a, b := text(AmongTexts("c", []string{"a"})), text(AmongTexts("c", odd)); a != b || !strings.Contains(a, "ANY") {
		t.Errorf("statement of 1 and %d texts: got\n%s\n%s\nwant the same one with ANY", len(odd), a, b)
	}
}

func TestLists_EachTextHasItsOwnNumbers(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		db.exec(t, "CREATE TABLE places (name text, at bigint)")
		numbers := []int64{-1 << 63, 0, 1<<63 - 1}
		for _, name := range odd {
			for _, at := range numbers {
				db.exec(t, "INSERT INTO places VALUES ($1, $2)", name, at)
			}
		}
		rapid.Check(t, func(r *rapid.T) {
			texts := rapid.SliceOfN(rapid.SampledFrom(append(odd, "elsewhere")), 0, 5).Draw(r, "texts")
			lists := make([][]int64, len(texts))
			want := make([]int, len(texts))
			for n, text := range texts {
				lists[n] = rapid.SliceOfNDistinct(rapid.SampledFrom(append(numbers, 7)), 0, 4, rapid.ID).Draw(r, "numbers")
				for _, number := range lists[n] {
					if slices.Contains(odd, text) && slices.Contains(numbers, number) {
						want[n]++
					}
				}
			}
			table, among, arguments := Lists(db.Dialect, texts, lists)
			rows, err := db.SQL.QueryContext(t.Context(), "SELECT list.place, (SELECT count(*) FROM places WHERE name = list.text AND at"+among+") FROM "+table, arguments...)
			if err != nil {
				r.Fatal(err)
			}
			defer rows.Close()
			got := make([]int, len(texts))
			for rows.Next() {
				var place, count int
				if err := rows.Scan(&place, &count); err != nil {
					r.Fatal(err)
				}
				got[place] = count
			}
			if rows.Err() != nil || !slices.Equal(got, want) {
				r.Errorf("%q with %v: %v, want %v; %v", texts, lists, got, want, rows.Err())
			}
		})
	})
}
