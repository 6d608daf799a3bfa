package images_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"tagma/internal/domain/images"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/bucket/buckettest"
	"tagma/internal/testing/testenv"
)

// remote is images whose files are in an S3 store behind a proxy that can be
// made to fail. The bucket of the world is that store without the proxy.
func remote(t *testing.T) (*world, *testenv.Proxy) {
	t.Helper()
	server := testenv.S3(t)
	server.Enter(t)
	proxy := testenv.ProxyTo(t, server.Host)
	w := newWorldIn(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"), inS3(t, server.Through(proxy.Host)))
	w.bucket = inS3(t, server.URL())
	return w, proxy
}

func TestUpload_WhateverTheStoreDoesNoRowLacksItsFiles(t *testing.T) {
	w, proxy := remote(t)
	const atOnce = 10
	sent, acknowledged := map[int][]byte{}, map[int]bool{}
	for round, fault := range testenv.Faults() {
		results := make([]error, atOnce)
		name := proxy.While(t, fault, func() {
			var group errgroup.Group
			for i := range atOnce {
				n := round*atOnce + i
				sent[n] = scene.JPEG(scene.Options{Width: 64, Height: 48, Seed: uint64(n)})
				content := sent[n]
				group.Go(func() error {
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
					defer cancel()
					got, err := w.Upload(ctx, []images.File{photographed(n, content)}, images.Refuse)
					if err == nil && got[0].Verdict != images.Created {
						return fmt.Errorf("%d is %s", n, got[0].Verdict)
					}
					results[i] = err
					return nil
				})
			}
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
		})
		for i, err := range results {
			acknowledged[round*atOnce+i] = err == nil
		}
		t.Logf("%s: %d of %d acknowledged", name, atOnce-len(slices.DeleteFunc(results, func(err error) bool { return err == nil })), atOnce)
	}

	check := func() (there int) {
		t.Helper()
		for n := range sent {
			found, err := w.ByKeys(t.Context(), "keys", []images.Key{key(n)})
			if err != nil {
				t.Fatal(err)
			}
			if (len(found) == 1) != acknowledged[n] {
				t.Errorf("%d has %d rows, and was acknowledged: %t", n, len(found), acknowledged[n])
			}
			for _, i := range found {
				there++
				for _, variant := range []images.Variant{images.Original, images.Thumbnail, images.ThumbnailMini} {
					got, err := bucket.ReadAll(t.Context(), w.bucket, images.FileKey(i, variant))
					if err != nil || len(got) == 0 || variant == images.Original && !bytes.Equal(got, sent[n]) {
						t.Errorf("%d has a row and not its %s: %d bytes, %v", n, variant, len(got), err)
					}
				}
			}
		}
		return there
	}
	if there := check(); there < atOnce || there > len(sent)-atOnce {
		t.Errorf("%d of %d are there: too little went wrong, or too much", there, len(sent))
	}

	// Who tries again gets in, and what the failures left is swept.
	for n, content := range sent {
		got, err := w.Upload(t.Context(), []images.File{photographed(n, content)}, images.Refuse)
		if want := map[bool]images.Verdict{true: images.Unchanged, false: images.Created}[acknowledged[n]]; err != nil || got[0].Verdict != want {
			t.Errorf("%d again: %+v, %v", n, got, err)
		}
		acknowledged[n] = true
	}
	if there := check(); there != len(sent) {
		t.Errorf("%d of %d are there", there, len(sent))
	}
	w.ahead.Store((images.Grace + time.Minute).Milliseconds())
	swept, err := w.Sweep(t.Context())
	if stored := buckettest.Keys(w.t, w.bucket); err != nil || len(stored) != 3*len(sent) {
		t.Errorf("%d files are there after %d were swept, %v", len(stored), swept, err)
	}
	t.Logf("%d files without a row were swept", swept)
}

func TestUpload_WhatIsRefusedLeavesNoFile(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		whole := scene.JPEG(scene.Options{Width: 320, Height: 240, Seed: 1})
		for n := range 20 {
			// Its original is on the way into the store when the damage is seen.
			cut := whole[:len(whole)-1-n*len(whole)/21]
			got, err := w.Upload(t.Context(), []images.File{photographed(n, cut)}, images.Refuse)
			if err != nil || got[0].Verdict != images.Rejected {
				t.Errorf("upload of a damaged file: got %+v, %v, want %v", got, err, images.Rejected)
			}
		}
		if stored := buckettest.Keys(w.t, w.bucket); len(stored) > 0 {
			t.Errorf("left: %v", stored)
		}
	})
}

func photographed(n int, content []byte) images.File {
	return images.File{Name: photo.Name(key(n)).String(), Size: int64(len(content)), Content: bytes.NewReader(content)}
}

func TestUpload_APhotographWaitsForTheMemoryThatItTakes(t *testing.T) {
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))
	waiting, release := w.HoldMemory()
	done := make(chan images.Result, 1)
	go func() { done <- w.add(1, 1, images.Refuse) }()
	for !waiting() {
		select {
		case result := <-done:
			t.Fatalf("%+v without memory", result)
		default:
			runtime.Gosched()
		}
	}
	release()
	if result := <-done; result.Verdict != images.Created {
		t.Errorf("upload: got %+v, want %v", result, images.Created)
	}
}

func TestUpload_WithoutItsOriginalThereIsNoRow(t *testing.T) {
	w, proxy := remote(t)
	content := scene.JPEG(scene.Options{Width: 1000, Height: 900, Seed: 1, Grain: 80})
	const passes = 100_000 // bytes of a connection, and more than the small pictures have
	if len(content) < 2*passes {
		t.Fatalf("the photograph has %d bytes", len(content))
	}
	proxy.While(t, fmt.Sprintf(`{"name": "cut", "type": "limit_data", "stream": "upstream", "toxicity": 1, "attributes": {"bytes": %d}}`, passes), func() {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if got, err := w.Upload(ctx, []images.File{photographed(1, content)}, images.Refuse); err == nil {
			t.Errorf("acknowledged: %+v", got)
		}
	})
	if found, err := w.ByKeys(t.Context(), "keys", []images.Key{key(1)}); err != nil || len(found) > 0 {
		t.Errorf("%d rows, %v", len(found), err)
	}
}
