package images_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/domain/images"
	"tagma/internal/photo/scene"
	"tagma/internal/storage/bucket/buckettest"
	"tagma/internal/testing/testenv"
)

// large is a world that takes photographs of 64 megapixels.
func large(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))
	w.Service = images.New(w.db, w.bucket, instant.System, images.Limits{Pixels: 65_000_000, FileBytes: 1 << 20, Decoders: 2})
	return w
}

func TestUpload_APhotographThatIsTooMuchWorkIsRefusedAndLeavesNothing(t *testing.T) {
	w := large(t)
	for name, c := range map[string]struct {
		file testenv.FlatJPEG
		want string
	}{
		"3,000 scans":                {testenv.FlatJPEG{Width: 7900, Height: 7900, Components: 1, Scans: 3000}, "3000 scans, and the limit is 100"},
		"64 megapixels, progressive": {testenv.FlatJPEG{Width: 9248, Height: 6920, Components: 3, Sampling: 0x22, Scans: 3}, "MiB to decode, and the limit is 192 MiB"},
	} {
		results, err := w.Upload(t.Context(), []images.File{photographed(1, c.file.Bytes())}, images.Refuse)
		if err != nil {
			t.Fatal(err)
		}
		problem := results[0].Problem
		if results[0].Verdict != images.Rejected || problem == nil || problem.Code != fault.TooLarge || !strings.Contains(problem.Message, c.want) {
			t.Errorf("%s: got %s, %+v, want REJECTED for TOO_LARGE with %q", name, results[0].Verdict, problem, c.want)
		}
	}
	if left := buckettest.Keys(w.t, w.bucket); len(left) > 0 {
		t.Errorf("the store has %q, want nothing", left)
	}
}

func TestUpload_AnOrdinaryPhotographOf64MegapixelsIsTaken(t *testing.T) {
	w := large(t)
	file := testenv.FlatJPEG{Width: 9248, Height: 6920, Components: 3, Sampling: 0x22}.Bytes()
	results, err := w.Upload(t.Context(), []images.File{photographed(1, file)}, images.Refuse)
	if err != nil || results[0].Verdict != images.Created || results[0].Image.Width != 9248 {
		t.Errorf("got %+v, %v, want CREATED", results, err)
	}
}

func TestUpload_PhotographsWhoseDecodingIsSlowHoldNoOthersUp(t *testing.T) {
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))
	waiting, release := w.HoldSlow()
	slow := testenv.FlatJPEG{Width: 64, Height: 48, Components: 3, Scans: 6}.Bytes()
	const many = 20 // more than are in flight at once with 2 decoders
	files := func() (all []images.File) {
		for n := range many {
			all = append(all, photographed(n, slow))
		}
		return all
	}
	var lookups atomic.Int64
	w.beforeEach(func(string) { lookups.Add(1) })
	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := w.Upload(ctx, files(), images.Refuse)
		ended <- err
	}()
	for lookups.Load() < 8 || !waiting() { // each is looked for before it waits
		select {
		case err := <-ended:
			t.Fatalf("the slow photographs did not wait: %v", err)
		default:
			runtime.Gosched()
		}
	}
	w.beforeEach(nil)
	if got := w.add(many, 1, images.Refuse); got.Verdict != images.Created {
		t.Errorf("an ordinary photograph is %s, %+v, want CREATED", got.Verdict, got.Problem)
	}

	hangUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the slow photographs of a request that ended: %v, want %v", err, context.Canceled)
	}
	release()
	results, err := w.Upload(t.Context(), files(), images.Refuse)
	if err != nil {
		t.Fatal(err)
	}
	for n, result := range results {
		if result.Verdict != images.Created {
			t.Errorf("slow photograph %d is %s, %+v, want CREATED", n, result.Verdict, result.Problem)
		}
	}
}

// A body of unknown length waits in files, each of which is read as a whole.
func TestUpload_FilesFromTheDiskWaitForMemoryAndThoseInMemoryGoBy(t *testing.T) {
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))
	waiting, release := w.HoldContent()
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
	content := scene.JPEG(scene.Options{Width: 64, Height: 48, Seed: 2})
	file := photographed(2, content)
	file.Content = bytes.NewBuffer(content) // which has Bytes
	results, err := w.Upload(t.Context(), []images.File{file}, images.Refuse)
	if err != nil || results[0].Verdict != images.Created {
		t.Errorf("a file in memory: %+v, %v, want CREATED", results, err)
	}
	release()
	if result := <-done; result.Verdict != images.Created {
		t.Errorf("a file from the disk: %+v, want CREATED", result)
	}
}
