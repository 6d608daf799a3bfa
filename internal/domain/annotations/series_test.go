package annotations_test

import (
	"bytes"
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/domain/series"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
	"tagma/internal/storage/database"
	"tagma/internal/storage/localblob"
	"tagma/internal/testing/testenv"
)

// Between two statements, an image that the first has chosen could be deleted,
// and a page without its annotations would look like the last page.
func TestSeries_APageIsReadInOneStatement(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { readInOneStatement(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { readInOneStatement(t, testenv.Postgres(t)) })
}

func readInOneStatement(t *testing.T, databaseURL string) {
	var beforeQuery atomic.Pointer[func()] // called once, before the first statement after it is set
	var statements atomic.Int64            // since beforeQuery is set
	db, err := database.Open(t.Context(), databaseURL, database.Options{Observe: func(context.Context, string) {
		if do := beforeQuery.Load(); do != nil && statements.Add(1) == 1 {
			(*do)()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	bucket, err := localblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	limits := page.Limits{Default: 10, Max: 100}
	photos := images.New(db, bucket, instant.System, images.Limits{Page: limits, Pixels: 1_000_000, FileBytes: 1 << 20, Decoders: 2})
	service := annotations.New(db, photos, instant.System, limits)

	night, _ := instant.Parse("2020-06-20T20:00:00Z")
	var ids []int64
	for n := range 4 {
		key := images.Key{Device: "0a5bb6f4", TakenAt: night + instant.Instant(n*1000)}
		content := scene.JPEG(scene.Options{Width: 64, Height: 48, Seed: uint64(n)})
		sent, err := photos.Upload(t.Context(), []images.File{{Name: photo.Name(key).String(), Size: int64(len(content)), Content: bytes.NewReader(content)}}, images.Refuse)
		if err != nil {
			t.Fatal(err)
		}
		_, err = service.Put(t.Context(), []annotations.Addition{{Image: key, MD5: sent[0].Image.Md5, Algorithm: annotations.Algorithm{Name: "a", Version: "1"}}}, true)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, sent[0].Image.ID)
	}

	remove := func() {
		if err := db.Image.DeleteOneID(ids[1]).Exec(context.Background()); err != nil {
			t.Errorf("delete image %d: %v", ids[1], err)
		}
		statements.Store(1)
	}
	beforeQuery.Store(&remove)
	first := 2
	got, err := service.Series(t.Context(), []series.Series{{Device: "%", Start: night, End: night + 10_000}}, nil, page.Request{First: &first})
	if sent := statements.Load(); err != nil || sent != 1 {
		t.Fatalf("a page of annotations: got %d statements, %v, want 1 statement", sent, err)
	}
	if len(got.Nodes) != 2 || got.Nodes[0].ImageID != ids[0] || got.Nodes[1].ImageID != ids[2] || !got.PageInfo.HasNextPage {
		t.Errorf("a page without the second image: got %+v, want the annotations of the images %d and %d and a next page", got, ids[0], ids[2])
	}
}
