package annotations_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tagma/internal/base/caller"
	"tagma/internal/base/contour"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/bench/dataset"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

func TestPut_ManyAreAddedOnceEachWhoeverElseAddsThem(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { putMany(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { putMany(t, testenv.Postgres(t)) })
}

func putMany(t *testing.T, databaseURL string) {
	var interleave func() // called once, before many are written
	db, err := database.Open(t.Context(), databaseURL, database.Options{Observe: func(_ context.Context, query string) {
		if do := interleave; do != nil && strings.HasPrefix(query, "COPY annotations") {
			interleave = nil
			do()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	data := dataset.Options{Devices: 1, Images: 700, Points: 3, Seed: 1}
	if err := dataset.Fill(t.Context(), db, data); err != nil {
		t.Fatal(err)
	}
	limits := page.Limits{Default: 10, Max: 100}
	service := annotations.New(db, images.New(db, nil, instant.System, images.Limits{Page: limits}), instant.System, limits)
	var notifiedIDs []int64
	service.OnAdded(func(ids ...int64) { notifiedIDs = append(notifiedIDs, ids...) })

	input := make([]annotations.Addition, data.Images)
	for n := range input {
		input[n] = annotations.Addition{
			Image: images.Key{Device: data.Device(0), TakenAt: data.TakenAt(0, n)}, MD5: data.MD5(0, n),
			Algorithm: annotations.Algorithm{Name: "a\tb\\N", Version: "é"},
			Objects: slices.Repeat([]annotations.NewObject{{
				Name: "a \"moth\"\\\n", Contour: contour.Uncheck(contour.Polygon{{0, 0}, {float64(n + 1), 0}, {0, 2}}),
			}}, n%3),
		}
	}
	interleave = func() {
		if _, err := service.Put(t.Context(), input[5:6], true); err != nil {
			t.Errorf("put while another request is between two statements: %v", err)
		}
	}
	for range 2 { // the second time they are there
		results, err := service.Put(t.Context(), input, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(notifiedIDs) != len(input) {
			t.Errorf("%d were told of, want %d", len(notifiedIDs), len(input))
		}
		for n, result := range results {
			row, err := db.Annotation.Get(t.Context(), result.Annotation.ID)
			if err != nil {
				t.Fatal(err)
			}
			want, err := annotations.Encode(input[n].Objects)
			if err != nil || row.ImageID != int64(n+1) || row.AlgorithmName != "a\tb\\N" || row.AlgorithmVersion != "é" ||
				row.ObjectCount != n%3 || string(row.Objects) != string(want) || !slices.Contains(notifiedIDs, row.ID) {
				t.Fatalf("%d: %+v with %s, want %s; %v", n, row, row.Objects, want, err)
			}
		}
	}
}

// eachWithOneImage runs a test on both databases with one image, an annotation of the
// image to add, and a hook that is called once before the query of existing
// annotations.
func eachWithOneImage(t *testing.T, test func(t *testing.T, db *database.DB, service *annotations.Service, input annotations.Addition, setHook func(hook func()))) {
	t.Helper()
	for name, url := range map[string]string{
		"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "tagma.db"), "PostgreSQL": testenv.Postgres(t),
	} {
		t.Run(name, func(t *testing.T) {
			var hook func()
			db, err := database.Open(t.Context(), url, database.Options{Observe: func(_ context.Context, query string) {
				if call := hook; call != nil && strings.HasPrefix(query, "SELECT") && strings.Contains(query, "algorithm_name") {
					hook = nil
					call()
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			data := dataset.Options{Devices: 1, Images: 1, Points: 3, Seed: 1}
			if err := dataset.Fill(t.Context(), db, data); err != nil {
				t.Fatal(err)
			}
			limits := page.Limits{Default: 10, Max: 100}
			service := annotations.New(db, images.New(db, nil, instant.System, images.Limits{Page: limits}), instant.System, limits)
			test(t, db, service, annotations.Addition{
				Image: images.Key{Device: data.Device(0), TakenAt: data.TakenAt(0, 0)}, MD5: data.MD5(0, 0),
				Algorithm: annotations.Algorithm{Name: "another", Version: "1"},
			}, func(h func()) { hook = h })
		})
	}
}

func TestPut_AnImageThatIsDeletedMeanwhileIsAProblemOfItsAnnotation(t *testing.T) {
	eachWithOneImage(t, func(t *testing.T, db *database.DB, service *annotations.Service, input annotations.Addition, setHook func(func())) {
		setHook(func() {
			if _, err := db.Image.Delete().Exec(context.Background()); err != nil {
				t.Errorf("delete the image: %v", err)
			}
		})
		results, err := service.Put(t.Context(), []annotations.Addition{input}, false)
		if err != nil {
			t.Fatalf("put an annotation of an image that is deleted meanwhile: got %v, want a problem of the annotation", err)
		}
		if problems := results[0].Problems; len(problems) != 1 || problems[0].Code != fault.NotFound {
			t.Errorf("put an annotation of an image that is deleted meanwhile: got %v, want one problem NOT_FOUND", problems)
		}
	})
}

func TestPut_AForeignKeyOtherThanTheImageIsNotTriedAgain(t *testing.T) {
	eachWithOneImage(t, func(t *testing.T, _ *database.DB, service *annotations.Service, input annotations.Addition, _ func(func())) {
		ctx := caller.With(t.Context(), &caller.Caller{UserID: 999})
		if _, err := service.Put(ctx, []annotations.Addition{input}, true); !database.IsForeignKey(err) {
			t.Errorf("put an annotation by an account that does not exist: got %v, want the error of the foreign key", err)
		}
	})
}
