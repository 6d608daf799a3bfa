package database

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"entgo.io/ent/dialect/sql"
	"pgregory.net/rapid"
)

// brute returns the ids that SelectFirst is to select, from rows (id, parent,
// place, kind).
func brute(rows [][4]int64, want First, parents []string) []int64 {
	var ids []int64
	for _, parent := range parents {
		taken := 0
		for _, row := range rows { // which are in the order of place
			fits := fmt.Sprint("p", row[1]) == parent && row[2] >= want.From && row[2] < want.Before && (want.Filter == "" || want.Value == row[3])
			if fits && taken < want.Most {
				taken++
				ids = append(ids, row[0])
			}
		}
	}
	slices.Sort(ids)
	return ids
}

func TestSelectFirst_GivesTheFirstRowsOfEachParentAndNoOthers(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		db.exec(t, "CREATE TABLE rows_of (id integer, parent text, place bigint, kind bigint)")
		db.exec(t, "CREATE UNIQUE INDEX rows_of_parent ON rows_of (parent, place)")
		const most = 3
		var rows [][4]int64
		for parent, length := range []int{0, most - 1, most, most + 1, 5 * most} { // p0 has none
			for n := range length {
				rows = append(rows, [4]int64{int64(100*parent + n), int64(parent), int64(10 * n), int64(n % 2)})
			}
		}
		// The ends of the range of places.
		rows = append(rows, [4]int64{901, 9, math.MinInt64, 0}, [4]int64{902, 9, 0, 0}, [4]int64{903, 9, math.MaxInt64, 0})
		for _, row := range rows {
			db.exec(t, "INSERT INTO rows_of VALUES ($1, $2, $3, $4)", row[0], fmt.Sprint("p", row[1]), row[2], row[3])
		}
		bounds := rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 1, 10, 20, 21, 30, math.MaxInt64})
		rapid.Check(t, func(r *rapid.T) {
			want := First{
				Table: "rows_of", Parent: "parent", Column: "place",
				From: bounds.Draw(r, "from"), Before: bounds.Draw(r, "before"), Most: rapid.IntRange(1, most+2).Draw(r, "most"),
			}
			if rapid.Bool().Draw(r, "filtered") {
				want.Filter, want.Value = "kind", rapid.Int64Range(0, 2).Draw(r, "value")
			}
			parents := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"p0", "p1", "p2", "p3", "p4", "p9", "nobody"}), 0, 7, rapid.ID).Draw(r, "parents")
			expected := brute(rows, want, parents)
			s := sql.Dialect(db.Dialect).Select(sql.Table("rows_of").C("id")).From(sql.Table("rows_of"))
			SelectFirst(s, want, parents)
			s.OrderBy(sql.Table("rows_of").C("place"))
			query, args := s.Query()
			result, err := db.SQL.QueryContext(t.Context(), query, args...)
			if err != nil {
				r.Fatal(err)
			}
			defer result.Close()
			var got []int64
			if err := errors.Join(sql.ScanSlice(result, &got), result.Err()); err != nil {
				r.Fatal(err)
			}
			slices.Sort(got)
			if !slices.Equal(got, expected) {
				r.Errorf("%+v of %q: got %v, want %v", want, parents, got, expected)
			}
		})
	})
}

func TestStartAfter_TakesAnyCursor(t *testing.T) {
	for _, c := range []struct{ from, after, want int64 }{
		{0, 5, 6}, {10, 5, 10}, {0, -1, 0}, {0, math.MinInt64, 0}, {0, math.MaxInt64 - 1, math.MaxInt64}, {0, math.MaxInt64, math.MaxInt64},
	} {
		first := First{From: c.from}
		if first.StartAfter(c.after); first.From != c.want {
			t.Errorf("from %d after %d: got %d, want %d", c.from, c.after, first.From, c.want)
		}
	}
}
