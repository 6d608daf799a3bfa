package demo

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tagma/internal/base/contour"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/domain/series"
	"tagma/internal/photo"
	"tagma/internal/server/config"
	"tagma/internal/server/store"
	"tagma/internal/testing/testenv"
)

// open opens an empty store, as the command does.
func open(t *testing.T, database string) (*images.Service, *annotations.Service) {
	t.Helper()
	c := config.Default()
	c.Data, c.Database = t.TempDir(), database
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	photos := images.New(st.DB, st.Bucket, instant.System, c.Images())
	return photos, annotations.New(st.DB, photos, instant.System, c.Page())
}

var everything = []series.Series{{Device: "%", End: math.MaxInt64}}

// content is all that a server has, but for what depends on when and in which
// order it came: a line for each annotation.
func content(t *testing.T, notes *annotations.Service) string {
	t.Helper()
	many := 1000
	all, err := notes.Series(t.Context(), everything, nil, page.Request{First: &many})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := notes.Objects(t.Context(), all.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int64, len(all.Nodes))
	for n, a := range all.Nodes {
		ids[n] = a.ID
	}
	withImages, err := notes.ByIDsWithImages(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, a := range all.Nodes {
		on := withImages[a.ID].Edges.Image
		fmt.Fprintln(&b, on.DeviceID, on.TakenAt, on.Md5, a.AlgorithmName, a.AlgorithmVersion, string(objects[a.ID]))
	}
	return b.String()
}

// plausible fails the test unless the weather is a meadow's, and each trap has
// its oddities.
func plausible(t *testing.T, photos *images.Service) {
	t.Helper()
	many := 100
	all, err := photos.Series(t.Context(), everything, series.DeviceTime, page.Request{First: &many})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all.Nodes {
		if i.Temperature == nil || *i.Temperature < 5 || *i.Temperature > 25 || i.Humidity == nil || *i.Humidity < 50 || *i.Humidity > 99 {
			t.Errorf("%s at %s: %v °C, %v %%", i.DeviceID, i.TakenAt, i.Temperature, i.Humidity)
		}
		if lost := i.DeviceID == "0a17c2e9"; lost != (i.Latitude == nil) {
			t.Errorf("%s: the latitude is %v", i.DeviceID, i.Latitude)
		}
		if later := i.DeviceID == "5c0de42b"; later != (i.DeviceVersion != nil) || later == (i.NoFlashIso != nil) {
			t.Errorf("%s: the version is %v", i.DeviceID, i.DeviceVersion)
		}
	}
}

// some is every fifth of the photographs: with the race detector, all take
// long. The tests of internal/testing/e2e take them all.
func some() []Shot {
	var few []Shot
	for n, shot := range Shots() {
		if n%5 == 0 {
			few = append(few, shot)
		}
	}
	return few
}

func TestFill_BothDatabasesGetTheSameAndOnlyOnce(t *testing.T) {
	var first string
	for name, database := range map[string]func(testing.TB) string{
		"SQLite":     func(testing.TB) string { return "" },
		"PostgreSQL": testenv.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			photos, notes := open(t, database(t))
			made, err := fill(t.Context(), photos, notes, some())
			if err != nil {
				t.Fatal(err)
			}
			if made != (Made{Devices: 3, Images: 12, Annotations: 18, Objects: 180}) {
				t.Errorf("made %+v", made)
			}
			plausible(t, photos)
			got := content(t, notes)
			if first == "" {
				first = got
			}
			if got != first || strings.Count(got, "\n") != 18 {
				t.Errorf("this database has\n%s\nand the other\n%s", got, first)
			}
			if _, err := Fill(t.Context(), photos, notes); err == nil || content(t, notes) != got {
				t.Errorf("a second time it says %v and leaves something else", err)
			}
		})
	}
}

func TestShots_TheExamplesOfTheDocsAreAmongThem(t *testing.T) {
	for _, example := range []string{"0a5bb6f4.2020-06-30_20-41-05.jpg", "card/5c0de42b.2020-06-30_20-54-05.jpg"} {
		drawn(t, filepath.FromSlash(example))
	}
}

func drawn(t *testing.T, path string) {
	t.Helper()
	example := filepath.Base(path)
	shots := Shots()
	n := slices.IndexFunc(shots, func(s Shot) bool { return s.Name.String() == example })
	if n < 0 {
		t.Fatal("the demo has no such photograph")
	}
	path = filepath.Join("..", "..", "..", "docs", "examples", path)
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if drawn := shots[n].JPEG(); !bytes.Equal(kept, drawn) {
		fresh := filepath.Join(t.ArtifactDir(), example)
		if err := os.WriteFile(fresh, drawn, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s is not what the demo draws: go test -artifacts keeps that as %s; its MD5 stands in README.md, docs/api.md, docs/cli.md or the playground's examples too", path, fresh)
	}
}

func TestShots_NamesAreInOrderAndEachOnce(t *testing.T) {
	var names []string
	for _, shot := range Shots() {
		name, err := photo.ParseName(shot.Name.String())
		if err != nil {
			t.Error(err)
		}
		names = append(names, name.String())
	}
	slices.Sort(names)
	if got := len(slices.Compact(names)); got != 60 {
		t.Errorf("%d names", got)
	}
}

func TestShots_APictureIsDarkWhereItsInsectsAreAndNowhereElse(t *testing.T) {
	shots := Shots()
	shot := shots[len(shots)-1]
	picture, err := jpeg.Decode(bytes.NewReader(shot.JPEG()))
	if err != nil {
		t.Fatal(err)
	}
	luma := picture.(*image.YCbCr)
	dark := func(x, y int) bool { return luma.Y[luma.YOffset(x, y)] < 100 }
	all := shot.annotations()
	var seen []contour.Polygon
	for _, object := range all[len(all)-1].Objects {
		polygon, err := object.Contour.Check()
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, polygon)
	}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			if !dark(x, y) {
				continue
			}
			within := slices.ContainsFunc(seen, func(p contour.Polygon) bool {
				box := p.Box()
				return float64(x) >= box[0]-1 && float64(x) <= box[0]+box[2]+1 && float64(y) >= box[1]-1 && float64(y) <= box[1]+box[3]+1
			})
			if !within {
				t.Fatalf("there is something at %d, %d that has no contour", x, y)
			}
		}
	}
	for _, p := range seen {
		box := p.Box()
		if !dark(int(box[0]+box[2]/2), int(box[1]+box[3]/2)) {
			t.Errorf("the contour %v is of nothing", p)
		}
	}
}
