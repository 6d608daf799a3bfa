package e2e

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
	"testing"

	ent "tagma/ent/generated"
	"tagma/internal/storage/database"
)

// connectionOf is a page of images, or of anything with a time and a device.
type connectionOf[T any] struct {
	TotalCount int
	Nodes      []T
	Edges      []struct {
		Cursor string
		Node   T
	}
	PageInfo pageInfo
}

type pageInfo struct {
	HasNextPage, HasPreviousPage bool
	StartCursor, EndCursor       *string
}

// place is where an image is in a series.
type place struct {
	Device  struct{ Name string }
	TakenAt string
}

func (p place) String() string { return p.Device.Name + " " + p.TakenAt }

// whole is a series with everything in it.
func whole(pattern string) vars {
	return vars{"device": pattern, "start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
}

const seriesPage = `query Series($series: [SeriesInput!]!, $orderBy: ImageOrder, $first: Int, $after: String, $last: Int, $before: String) {
  imageSeries(series: $series, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
    nodes { device { name } takenAt } edges { cursor node { device { name } takenAt } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`

// series asks for a page of a series.
func (c *client) series(arguments vars) connectionOf[place] {
	c.t.Helper()
	var got struct{ ImageSeries connectionOf[place] }
	c.must(&got, seriesPage, arguments)
	return got.ImageSeries
}

func TestSeries_SelectsByPatternAndTimeAndGivesEachImageOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		addDevices(t, db, "0a5bb6f4", "0a5bb6ff", "1b74105a")
		addRows(t, db, row(db, "0a5bb6f4", 0), row(db, "0a5bb6f4", 10), row(db, "0a5bb6ff", 10), row(db, "1b74105a", 5))
		for _, c := range []struct {
			series []vars
			want   string // in the order of DEVICE_TIME
		}{
			{[]vars{}, ""},
			{[]vars{whole("%")}, "f4/0 f4/10 ff/10 5a/5"},
			{[]vars{whole("0a5bb6f%")}, "f4/0 f4/10 ff/10"},
			{[]vars{whole("0a5bb6f_")}, "f4/0 f4/10 ff/10"},
			{[]vars{whole("0A5BB6FF")}, "ff/10"},
			{[]vars{whole("%B6F_")}, "f4/0 f4/10 ff/10"},
			{[]vars{whole("_b74105a")}, "5a/5"},
			{[]vars{whole("%5_")}, "5a/5"},
			{[]vars{whole(`0a5bb6f\_`)}, ""},
			{[]vars{whole(`0a5bb6f\%`)}, ""},
			{[]vars{whole(`\0a5bb6f4`)}, "f4/0 f4/10"},
			{[]vars{whole("0a5bb6f")}, ""},
			{[]vars{whole("")}, ""},
			{[]vars{whole("' OR 1=1 --")}, ""},
			{[]vars{{"device": "%", "start": at(0), "end": at(10)}}, "f4/0 5a/5"},
			{[]vars{{"device": "%", "start": at(10), "end": at(11)}}, "f4/10 ff/10"},
			{[]vars{{"device": "%", "start": "2020-06-20_20-00-10", "end": "2020-06-20T22:00:11+02:00"}}, "f4/10 ff/10"},
			{[]vars{{"device": "%", "start": at(10), "end": at(10)}}, ""},
			{[]vars{whole("0a5bb6f4"), whole("0a5bb6f%"), {"device": "%", "start": at(0), "end": at(6)}}, "f4/0 f4/10 ff/10 5a/5"},
		} {
			var got string
			for n, p := range admin.series(vars{"series": c.series}).Nodes {
				for seconds := range 11 {
					if p.TakenAt == at(seconds) {
						got += fmt.Sprint(map[bool]string{true: " "}[n > 0], p.Device.Name[6:], "/", seconds)
					}
				}
			}
			if got != c.want {
				t.Errorf("%v is %q, want %q", c.series, got, c.want)
			}
		}
		for _, wrong := range []struct {
			series []vars
			path   []string
		}{
			{[]vars{whole("%"), whole(`0a5bb6f4\`)}, []string{"series", "1", "device"}},
			{[]vars{whole("a\x00")}, []string{"series", "0", "device"}},
			{[]vars{{"device": "%", "start": at(10), "end": at(9)}}, []string{"series", "0", "end"}},
			{slices.Repeat([]vars{whole("%")}, 101), []string{"series"}},
		} {
			got := admin.do(seriesPage, vars{"series": wrong.series})
			if len(got.Errors) != 1 || len(got.Errors[0].Extensions.Problems) != 1 || !slices.Equal(got.Errors[0].Extensions.Problems[0].Path, wrong.path) {
				t.Errorf("%d series are answered %s", len(wrong.series), got.Body)
			}
		}
	})
}

func TestSeries_IsWalkedInBothOrdersFromBothEnds(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		devices := []string{"00000001", "0000000a", "a0000000"}
		addDevices(t, db, devices...)
		type spot struct {
			device string
			n      int
		}
		var all []spot
		for n := range 7 {
			for d, device := range devices {
				if (n+d)%3 > 0 {
					all = append(all, spot{device, n})
					addRows(t, db, row(db, device, n))
				}
			}
		}
		for order, compare := range map[string]func(a, b spot) int{
			"DEVICE_TIME": func(a, b spot) int { return cmp.Or(cmp.Compare(a.device, b.device), cmp.Compare(a.n, b.n)) },
			"TIME_DEVICE": func(a, b spot) int { return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.device, b.device)) },
		} {
			slices.SortFunc(all, compare)
			want := make([]string, len(all))
			for n, one := range all {
				want[n] = fmt.Sprint(one.device, " ", at(one.n))
			}
			for _, size := range []int{1, 4, 7, 14, 50} {
				forwards := admin.walk(vars{"series": []vars{whole("%")}, "orderBy": order}, size, false)
				backwards := admin.walk(vars{"series": []vars{whole("%")}, "orderBy": order}, size, true)
				if !slices.Equal(forwards, want) || !slices.Equal(backwards, want) {
					t.Errorf("%s by %d:\n%q\n%q, want\n%q", order, size, forwards, backwards, want)
				}
			}
		}
		// Between two cursors.
		page := admin.series(vars{"series": []vars{whole("%")}})
		between := admin.series(vars{"series": []vars{whole("%")}, "after": page.Edges[2].Cursor, "before": page.Edges[6].Cursor, "last": 2})
		if len(between.Nodes) != 2 || between.Nodes[0] != page.Nodes[4] || between.Nodes[1] != page.Nodes[5] ||
			!between.PageInfo.HasPreviousPage || !between.PageInfo.HasNextPage {
			t.Errorf("between two cursors there is %+v", between)
		}
		empty := admin.series(vars{"series": []vars{whole("%")}, "first": 0})
		if len(empty.Nodes) != 0 || !empty.PageInfo.HasNextPage || empty.PageInfo.StartCursor != nil || empty.PageInfo.EndCursor != nil {
			t.Errorf("a page of none is %+v", empty)
		}
	})
}

// walk asks for all pages of a series, from the start or from the end, and
// gives the images from the start.
func (c *client) walk(arguments vars, size int, backwards bool) []string {
	c.t.Helper()
	length, cursor := "first", "after"
	if backwards {
		length, cursor = "last", "before"
	}
	arguments[length] = size
	defer delete(arguments, length)
	defer delete(arguments, cursor)
	var all []string
	for {
		page := c.series(arguments)
		some := make([]string, len(page.Nodes))
		for n, node := range page.Nodes {
			some[n] = node.String()
			if page.Edges[n].Node != node {
				c.t.Fatalf("edges and nodes differ: %+v", page)
			}
		}
		info := page.PageInfo
		more, end, other := info.HasNextPage, info.EndCursor, info.HasPreviousPage
		if backwards {
			all = append(some, all...)
			more, end, other = info.HasPreviousPage, info.StartCursor, info.HasNextPage
		} else {
			all = append(all, some...)
		}
		if _, began := arguments[cursor]; other != began {
			c.t.Fatalf("the page after %v says of the way back %v", arguments[cursor], other)
		}
		if len(some) > 0 && (*info.StartCursor != page.Edges[0].Cursor || *info.EndCursor != page.Edges[len(some)-1].Cursor) {
			c.t.Fatalf("the cursors differ: %+v", page)
		}
		if !more {
			return all
		}
		if arguments[cursor] == *end {
			c.t.Fatalf("the page after %v ends where it begins", *end)
		}
		arguments[cursor] = *end
	}
}

func TestSeries_ACursorThatIsMadeUpOrOfAnotherOrderIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		addDevices(t, db, trap)
		addRows(t, db, row(db, trap, 0), row(db, trap, 1))
		deviceTime := admin.series(vars{"series": []vars{whole("%")}}).Edges[0].Cursor
		timeDevice := admin.series(vars{"series": []vars{whole("%")}, "orderBy": "TIME_DEVICE"}).Edges[0].Cursor
		made := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
		for _, cursor := range []string{
			"", "x", "!", deviceTime + "A", deviceTime[1:], timeDevice,
			made(``), made(`{}`), made(`[]`), made(`["0a5bb6f4"]`), made(`["0a5bb6f4",1,1]`), made(`["0a5bb6f4","1"]`),
			made(`["0a5bb6f4",1.5]`), made(`["0a5bb6f4",null]`), made(`[null,1]`), made(`["0a5bb6f4", 1]`),
			made(`["\u0000",1]`), made("[\"\xff\",1]"), made(`["0a5bb6f4",9223372036854775808]`),
		} {
			for _, argument := range []string{"after", "before"} {
				got := admin.do(seriesPage, vars{"series": []vars{whole("%")}, argument: cursor})
				if got.code() != "BAD_USER_INPUT" || !slices.Equal(got.Errors[0].Extensions.Problems[0].Path, []string{argument}) {
					t.Errorf("%s: %q is answered %s", argument, cursor, got.Body)
				}
			}
		}
		if got := admin.do(seriesPage, vars{"series": []vars{whole("%")}, "orderBy": "TIME_DEVICE", "after": deviceTime}); got.code() != "BAD_USER_INPUT" {
			t.Errorf("a cursor of the other order is answered %s", got.Body)
		}
		if got := admin.do(`{ devices(after: "`+made(`["\u0000"]`)+`") { nodes { name } } }`, nil); got.code() != "BAD_USER_INPUT" {
			t.Errorf("a made-up cursor of devices is answered %s", got.Body)
		}
	})
}

// churn adds and deletes images at odd seconds, over and over, until stop is
// called. The ones at even seconds it leaves alone.
func churn(t *testing.T, db *database.DB, device string, seconds int) (stop func()) {
	t.Helper()
	ended, finished := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-ended:
				finished <- nil
				return
			default:
			}
			second := 2*((n*7919)%(seconds/2)) + 1 // prime steps, all over the series
			_, err := db.SQL.ExecContext(t.Context(), fmt.Sprintf(`DELETE FROM images WHERE device = '%s' AND taken_at = %d`, device, int64(night)+int64(second)*1000))
			if err == nil && n%3 > 0 {
				err = row(db, device, second).Exec(t.Context())
			}
			if err != nil {
				finished <- err
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(ended)
		if err := <-finished; err != nil {
			t.Error(err)
		}
	})
}

func TestSeries_AWalkWhileOthersComeAndGoRepeatsNoneAndSkipsNone(t *testing.T) {
	const seconds = 3000
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		addDevices(t, db, trap)
		stable := map[string]bool{}
		var rows []*ent.ImageCreate
		for second := 0; second < seconds; second += 2 {
			rows = append(rows, row(db, trap, second))
			stable[trap+" "+at(second)] = true
		}
		addRows(t, db, rows...)
		stop := churn(t, db, trap, seconds)
		defer stop()
		for _, order := range []string{"DEVICE_TIME", "TIME_DEVICE"} {
			for _, backwards := range []bool{false, true} {
				seen := map[string]bool{}
				for _, one := range admin.walk(vars{"series": []vars{whole("0a%")}, "orderBy": order}, 200, backwards) {
					if seen[one] {
						t.Errorf("%s, backwards %v: %s comes twice", order, backwards, one)
					}
					seen[one] = true
				}
				if n := skipped(stable, seen); n > 0 {
					t.Errorf("%s, backwards %v: %d are skipped", order, backwards, n)
				}
			}
		}
		// By the device's own pages.
		seen, after := map[string]bool{}, (*string)(nil)
		for {
			var got struct {
				Device struct{ Images connectionOf[place] }
			}
			admin.must(&got, `query($name: String!, $after: String) { device(name: $name) { images(first: 200, after: $after) { nodes { device { name } takenAt } pageInfo { hasNextPage endCursor } } } }`,
				vars{"name": trap, "after": after})
			for _, node := range got.Device.Images.Nodes {
				if seen[node.String()] {
					t.Errorf("%s comes twice among the device's", node)
				}
				seen[node.String()] = true
			}
			if after = got.Device.Images.PageInfo.EndCursor; !got.Device.Images.PageInfo.HasNextPage {
				break
			}
		}
		if n := skipped(stable, seen); n > 0 {
			t.Errorf("%d are skipped among the device's", n)
		}
		stop()
	})
}

// skipped is how many were there and were not seen.
func skipped(there, seen map[string]bool) int {
	n := 0
	for one := range there {
		if !seen[one] {
			n++
		}
	}
	return n
}
