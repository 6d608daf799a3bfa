package annotations_test

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	ent "tagma/ent/generated"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/domain/series"
	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

// entry is an annotation as the pages are held against it.
type entry struct {
	device string
	millis int
	id     int64
	name   string
}

// eachPaged runs a test on both databases, with annotations whose pages have at
// most 100.
func eachPaged(t *testing.T, test func(t *testing.T, photos *images.Service, service *annotations.Service, entries []entry)) {
	t.Helper()
	for name, url := range map[string]string{
		"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "tagma.db"), "PostgreSQL": testenv.Postgres(t),
	} {
		t.Run(name, func(t *testing.T) {
			db, err := database.Open(t.Context(), url, database.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			limits := page.Limits{Default: 100, Max: 100}
			photos := images.New(db, nil, instant.System, images.Limits{Page: limits})
			test(t, photos, annotations.New(db, photos, instant.System, limits), addAnnotations(t, db))
		})
	}
}

func TestSeries_PagesGiveWhatIsInAnySeriesOnceAndInOrder(t *testing.T) {
	eachPaged(t, func(t *testing.T, _ *images.Service, service *annotations.Service, entries []entry) {
		rapid.Check(t, func(r *rapid.T) { walk(r, service, entries) })
	})
}

// addAnnotations puts three devices with eight images each into the database,
// which have none to three annotations, not in the images' order.
func addAnnotations(t *testing.T, db *database.DB) []entry {
	t.Helper()
	var rows []*ent.ImageCreate
	for _, device := range []string{"0a000000", "0b000000", "ff000000"} {
		db.Device.Create().SetID(device).SetCreatedAt(0).ExecX(t.Context())
		for millis := range 8 {
			rows = append(rows, db.Image.Create().SetDeviceID(device).SetTakenAt(instant.Instant(millis)).SetMd5("").SetSha256("").
				SetSize(1).SetWidth(1).SetHeight(1).SetFileID("").SetMetadata(rawjson.Value("{}")).SetCreatedAt(0))
		}
	}
	var entries []entry
	added := db.Image.CreateBulk(rows...).SaveX(t.Context())
	for turn, name := range []string{"fly", "moth", "fly 2"} {
		for n := len(added) - 1; n >= 0; n-- {
			if i := added[n]; (n*7+turn*3)%5 > 1 {
				a := db.Annotation.Create().SetImageID(i.ID).SetAlgorithmName(name).SetAlgorithmVersion("1").
					SetObjectCount(0).SetObjects(rawjson.Value("[]")).SetCreatedAt(0).SaveX(t.Context())
				entries = append(entries, entry{i.DeviceID, int(i.TakenAt), a.ID, name})
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.device, b.device), cmp.Compare(a.millis, b.millis), cmp.Compare(a.id, b.id))
	})
	return entries
}

// walk goes through all pages of some series, from either end.
func walk(r *rapid.T, service *annotations.Service, entries []entry) {
	anySeries := rapid.Custom(func(r *rapid.T) series.Series {
		start := rapid.IntRange(0, 8).Draw(r, "start")
		return series.Series{
			Device: rapid.SampledFrom([]string{"%", "0a000000", "0%", "ff000000", "_b%"}).Draw(r, "device"),
			Start:  instant.Instant(start), End: instant.Instant(rapid.IntRange(start, 9).Draw(r, "end")),
		}
	})
	list := rapid.SliceOfN(anySeries, 0, 4).Draw(r, "series")
	filter := &annotations.Filter{}
	if rapid.Bool().Draw(r, "flies") {
		name := "fly%"
		filter.Name = &name
	}
	var want []string
	for _, a := range entries {
		matchesSeries := func(s series.Series) bool {
			matches := map[string]bool{"%": true, "0%": a.device[0] == '0', "_b%": a.device[1] == 'b', a.device: true}[s.Device]
			return matches && int(s.Start) <= a.millis && a.millis < int(s.End)
		}
		if slices.ContainsFunc(list, matchesSeries) && (filter.Name == nil || strings.HasPrefix(a.name, "fly")) {
			want = append(want, fmt.Sprint(a.id))
		}
	}
	length, backwards := rapid.IntRange(1, 6).Draw(r, "length"), rapid.Bool().Draw(r, "backwards")
	request := page.Request{First: &length}
	if backwards {
		request = page.Request{Last: &length}
	}
	var got []string
	for more := true; more; {
		p, err := service.Series(r.Context(), list, filter, request)
		if err != nil {
			r.Fatal(err)
		}
		if total, err := p.TotalCount(r.Context()); err != nil || total != len(want) {
			r.Fatalf("counted %d of %d: %v", total, len(want), err)
		}
		var ids []string
		for _, a := range p.Nodes {
			ids = append(ids, fmt.Sprint(a.ID))
		}
		if more = p.PageInfo.HasNextPage; backwards {
			more = p.PageInfo.HasPreviousPage
		}
		if more && len(ids) != length {
			r.Fatalf("a page of %d that is not the last has %d", length, len(ids))
		}
		if backwards {
			got = append(ids, got...)
			request.Before = p.PageInfo.StartCursor
		} else {
			got = append(got, ids...)
			request.After = p.PageInfo.EndCursor
		}
	}
	if !slices.Equal(got, want) {
		r.Errorf("got %q, want %q", got, want)
	}
}

func TestSeries_AsManySeriesAsMayBeAskedForAreTaken(t *testing.T) {
	eachPaged(t, func(t *testing.T, photos *images.Service, service *annotations.Service, entries []entry) {
		list := make([]series.Series, series.MaxSeries)
		for n := range list {
			list[n] = series.Series{Device: "%", Start: 0, End: instant.Instant(n + 1)}
		}
		i, err := photos.Series(t.Context(), list, series.TimeDevice, page.Request{})
		if err != nil || len(i.Nodes) != 24 {
			t.Errorf("images: got %+v, error %v, want 24", i, err)
		}
		a, err := service.Series(t.Context(), list, nil, page.Request{})
		if err != nil || len(a.Nodes) != len(entries) {
			t.Errorf("annotations: got %+v, error %v, want %d", a, err, len(entries))
		}
	})
}
