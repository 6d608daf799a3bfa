package activity

import (
	"cmp"
	"context"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	ent "tagma/ent/generated"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/rawjson"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/series"
	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

func onBoth(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	for name, url := range map[string]string{
		"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "tagma.db"), "PostgreSQL": testenv.Postgres(t),
	} {
		t.Run(name, func(t *testing.T) {
			db, err := database.Open(t.Context(), url, database.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			test(t, db)
		})
	}
}

// imageRow is an image, and how many objects each algorithm saw in it.
type imageRow struct {
	device                string
	takenAt               instant.Instant
	temperature, humidity *float64
	luminosity            *float64
	objects               map[string]int
}

var (
	devices    = []string{"0a5bb6f4", "0a5bb6f5", "ffffffff"}
	algorithms = []string{"insects", "Insects", "moths"}
)

// anyImages are images within three days, at most one of a device at a time.
func anyImages() *rapid.Generator[[]imageRow] {
	measure := func(low, high float64) *rapid.Generator[*float64] {
		return rapid.Ptr(rapid.Float64Range(low, high), true)
	}
	anyImage := rapid.Custom(func(r *rapid.T) imageRow {
		return imageRow{
			device:      rapid.SampledFrom(devices).Draw(r, "device"),
			takenAt:     midnight + instant.Instant(rapid.Int64Range(0, 3*24*3600).Draw(r, "second")*1000),
			temperature: measure(-39, 60).Draw(r, "temperature"),
			humidity:    measure(0.1, 100).Draw(r, "humidity"),
			luminosity:  measure(-5, 5).Draw(r, "luminosity"),
			objects:     rapid.MapOfN(rapid.SampledFrom(algorithms), rapid.IntRange(0, 9), 0, 2).Draw(r, "objects"),
		}
	})
	return rapid.SliceOfNDistinct(anyImage, 0, 25, func(s imageRow) any {
		return struct {
			string
			instant.Instant
		}{s.device, s.takenAt}
	})
}

const midnight = instant.Instant(1592611200000) // 2020-06-20T00:00:00Z

// storeImages makes the images those that the database holds.
func storeImages(t *rapid.T, db *database.DB, rows []imageRow) {
	err := db.InTx(t.Context(), func(tx *ent.Tx) error {
		ctx := t.Context()
		tx.Annotation.Delete().ExecX(ctx)
		tx.Image.Delete().ExecX(ctx)
		tx.Device.Delete().ExecX(ctx)
		tx.Device.MapCreateBulk(devices, func(c *ent.DeviceCreate, n int) { c.SetID(devices[n]).SetCreatedAt(0) }).ExecX(ctx)
		images := tx.Image.MapCreateBulk(rows, func(c *ent.ImageCreate, n int) {
			c.SetDeviceID(rows[n].device).SetTakenAt(rows[n].takenAt).SetMd5("").SetSha256("").SetSize(1).SetWidth(1).SetHeight(1).
				SetNillableTemperature(rows[n].temperature).SetNillableHumidity(rows[n].humidity).SetNillableLuminosity(rows[n].luminosity).
				SetFileID("").SetMetadata(rawjson.Value("{}")).SetCreatedAt(0)
		}).SaveX(ctx)
		var annotations []*ent.AnnotationCreate
		for n, s := range rows {
			for name, count := range s.objects {
				annotations = append(annotations, tx.Annotation.Create().SetImage(images[n]).SetAlgorithmName(name).
					SetAlgorithmVersion("1").SetObjectCount(count).SetObjects(rawjson.Value("[]")).SetCreatedAt(0))
			}
		}
		tx.Annotation.CreateBulk(annotations...).ExecX(ctx)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// reference sums up in plain Go what lies in [start, end) of the devices.
func reference(rows []imageRow, device string, start, end instant.Instant, every time.Duration, algorithm string) []Bucket {
	rows = slices.SortedFunc(slices.Values(rows), func(a, b imageRow) int {
		return cmp.Or(cmp.Compare(a.device, b.device), cmp.Compare(a.takenAt, b.takenAt))
	})
	add := func(to **Summary, n, value *float64) {
		if value == nil {
			return
		}
		if *to == nil {
			*to = &Summary{Min: math.Inf(1), Max: math.Inf(-1)}
		}
		s := *to
		s.Min, s.Max = math.Min(s.Min, *value), math.Max(s.Max, *value)
		s.Mean = (s.Mean**n + *value) / (*n + 1)
		*n++
	}
	var buckets []Bucket
	var temperatures, humidities, luminosities float64
	for _, s := range rows {
		if device != "%" && s.device != device || s.takenAt < start || s.takenAt >= end {
			continue
		}
		span := s.takenAt - s.takenAt%instant.Instant(every.Milliseconds())
		if last := len(buckets) - 1; last < 0 || buckets[last].Device != s.device || buckets[last].Start != span {
			buckets = append(buckets, Bucket{Device: s.device, Start: span})
			temperatures, humidities, luminosities = 0, 0, 0
		}
		b := &buckets[len(buckets)-1]
		b.Images++
		add(&b.Temperature, &temperatures, s.temperature)
		add(&b.Humidity, &humidities, s.humidity)
		add(&b.Luminosity, &luminosities, s.luminosity)
		for name, count := range s.objects {
			if algorithm == "" || name == algorithm {
				b.Objects += count
			}
		}
	}
	return buckets
}

func almostEqual(a, b *Summary) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Min == b.Min && a.Max == b.Max && math.Abs(a.Mean-b.Mean) < 1e-9
}

func TestBuckets_SumsUpAsPlainGoDoesOnBothDatabases(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		rapid.Check(t, func(r *rapid.T) {
			rows := anyImages().Draw(r, "images")
			storeImages(r, db, rows)
			for range 5 { // questions of each night are cheaper than nights
				device := rapid.SampledFrom(append(devices, "%", "00000000")).Draw(r, "device")
				start := midnight + instant.Instant(rapid.IntRange(-1, 72).Draw(r, "start")*3600_000)
				end := start + instant.Instant(rapid.IntRange(0, 80).Draw(r, "hours")*3600_000)
				every := rapid.SampledFrom([]time.Duration{
					time.Minute, 7 * time.Minute, time.Hour, 25 * time.Hour, 24 * time.Hour, 61 * time.Second, maxSpan,
				}).Draw(r, "every")
				algorithm := rapid.SampledFrom(append(algorithms, "")).Draw(r, "algorithm")
				request := Request{
					// Twice, which must not count twice.
					Series: []series.Series{{Device: device, Start: start, End: end}, {Device: device, Start: start, End: end}},
					Every:  every, Objects: true, Luminosity: true,
				}
				if algorithm != "" {
					request.Algorithm = &annotations.Filter{Name: &algorithm}
				}
				got, err := Buckets(r.Context(), db, request)
				if err != nil {
					r.Fatal(err)
				}
				want := reference(rows, device, start, end, every, algorithm)
				if len(got) != len(want) {
					r.Fatalf("%d spans, want %d: %+v, %+v", len(got), len(want), got, want)
				}
				for n, g := range got {
					w := want[n]
					if g.Device != w.Device || g.Start != w.Start || g.Images != w.Images || g.Objects != w.Objects ||
						!almostEqual(g.Temperature, w.Temperature) || !almostEqual(g.Humidity, w.Humidity) || !almostEqual(g.Luminosity, w.Luminosity) {
						r.Errorf("span %d is %+v (%+v, %+v, %+v), want %+v (%+v, %+v, %+v)",
							n, g, g.Temperature, g.Humidity, g.Luminosity, w, w.Temperature, w.Humidity, w.Luminosity)
					}
					if int64(g.Start)%every.Milliseconds() != 0 {
						r.Errorf("the span from %s is no multiple of %s", g.Start, every)
					}
				}
			}
		})
	})
}

func TestBuckets_WithoutObjectsTheAnnotationsAreNotRead(t *testing.T) {
	var queries []string
	db, err := database.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"), database.Options{
		Observe: func(_ context.Context, query string) { queries = append(queries, query) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	request := Request{Series: []series.Series{{Device: "%", Start: 0, End: midnight}}, Every: time.Hour}
	if _, err := Buckets(t.Context(), db, request); err != nil {
		t.Fatal(err)
	}
	if len(queries) != 1 || strings.Contains(queries[0], "annotations") {
		t.Errorf("without objects: got queries %q, want one query without annotations", queries)
	}
	request.Objects = true
	if _, err := Buckets(t.Context(), db, request); err != nil || len(queries) != 2 || !strings.Contains(queries[1], "annotations") {
		t.Errorf("with objects: got queries %q, error %v, want one query with annotations", queries[1:], err)
	}
}

func TestBuckets_ARequestThatCannotBeMeantIsRefused(t *testing.T) {
	db, err := database.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"), database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	good := []series.Series{{Device: "%", Start: 0, End: midnight}}
	lone := `\`
	for name, request := range map[string]Request{
		"no length":                        {Series: good},
		"a negative one":                   {Series: good, Every: -time.Hour},
		"too short":                        {Series: good, Every: time.Second},
		"a part of a second":               {Series: good, Every: time.Hour + time.Millisecond},
		"too long":                         {Series: good, Every: maxSpan + time.Second},
		"the end first":                    {Series: []series.Series{{Device: "%", Start: 1, End: 0}}, Every: time.Hour},
		"no pattern":                       {Series: []series.Series{{Device: lone, Start: 0, End: 1}}, Every: time.Hour},
		"no algorithm":                     {Series: good, Every: time.Hour, Objects: true, Algorithm: &annotations.Filter{Name: &lone}},
		"nor if objects are not asked for": {Series: good, Every: time.Hour, Algorithm: &annotations.Filter{Name: &lone}},
	} {
		if _, err := Buckets(t.Context(), db, request); fault.CodeOf(err) != fault.BadInput {
			t.Errorf("%s: got error %v, want code %s", name, err, fault.BadInput)
		}
	}
}

func TestBuckets_MoreSpansThanFitAreRefused(t *testing.T) {
	db, err := database.Open(t.Context(), testenv.Postgres(t), database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`INSERT INTO devices VALUES ('0a5bb6f4', 0)`,
		`INSERT INTO images (device, taken_at, md5, sha256, size, width, height, file_id, metadata, created_at)
			SELECT '0a5bb6f4', n * 60000::bigint, '', '', 1, 1, 1, '', '{}', 0 FROM generate_series(0, 100000) n`,
	} {
		if _, err := db.SQL.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	rows := []series.Series{{Device: "%", Start: 0, End: midnight}}
	if _, err := Buckets(t.Context(), db, Request{Series: rows, Every: time.Minute}); fault.CodeOf(err) != fault.TooLarge {
		t.Errorf("too many spans: got error %v, want code %s", err, fault.TooLarge)
	}
	buckets, err := Buckets(t.Context(), db, Request{Series: rows, Every: time.Hour})
	if err != nil || len(buckets) != 100_000/60+1 {
		t.Errorf("by the hour: got %d spans, error %v, want %d", len(buckets), err, 100_000/60+1)
	}
}
