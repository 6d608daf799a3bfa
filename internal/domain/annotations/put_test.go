package annotations_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tagma/internal/base/contour"
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
