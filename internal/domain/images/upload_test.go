package images_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	ent "tagma/ent/generated"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/domain/images"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
	"tagma/internal/storage/bucket"
)

// send uploads content under a key.
func (w *world) send(k images.Key, content []byte) images.Result {
	w.t.Helper()
	results, err := w.Upload(w.t.Context(), []images.File{{
		Name: photo.Name(k).String(), Size: int64(len(content)), Content: bytes.NewReader(content),
	}}, images.Refuse)
	if err != nil {
		w.t.Fatal(err)
	}
	return results[0]
}

func TestUpload_ATimeMoreThanADayAheadIsRefused(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	content := scene.JPEG(scene.Options{Width: 64, Height: 48})
	second := instant.System() / 1000 * 1000
	for ahead, want := range map[time.Duration]images.Verdict{
		0:                         images.Created,
		24*time.Hour - time.Hour:  images.Created,
		24*time.Hour + time.Hour:  images.Rejected,
		50 * 366 * 24 * time.Hour: images.Rejected,
	} {
		got := w.send(images.Key{Device: trap, TakenAt: second.Add(ahead)}, content)
		if got.Verdict != want {
			t.Errorf("%s ahead: got %s, want %s", ahead, got.Verdict, want)
		}
		if want == images.Rejected && (got.Problem.Code != fault.BadInput || !strings.Contains(got.Problem.Message, "Set the clock of the device")) {
			t.Errorf("%s ahead: got the problem %+v, want %s and the remedy", ahead, got.Problem, fault.BadInput)
		}
	}
}

func TestUpload_AFileWithoutItsContentIsTooLarge(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	content := scene.JPEG(scene.Options{Width: 64, Height: 48})
	results, err := w.Upload(t.Context(), []images.File{
		{Name: photo.Name(key(0)).String(), Size: 2 << 20, Content: bytes.NewReader(nil)},
		{Name: photo.Name(key(1)).String(), Size: int64(len(content)), Content: bytes.NewReader(content)},
	}, images.Refuse)
	if err != nil {
		t.Fatal(err)
	}
	if got := results[0]; got.Verdict != images.Rejected || got.Problem.Code != fault.TooLarge {
		t.Errorf("the large file: got %s, %+v, want %s and %s", got.Verdict, got.Problem, images.Rejected, fault.TooLarge)
	}
	if got := results[1].Verdict; got != images.Created {
		t.Errorf("the other file: got %s, want %s", got, images.Created)
	}
}

func TestKeys_MillisecondsAreRefusedEverywhere(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	w.add(0, 1, images.Refuse)
	whole, fraction := key(0), images.Key{Device: trap, TakenAt: night + 500}
	for name, read := range map[string]func(context.Context, images.Key) error{
		"ByKeys": func(ctx context.Context, k images.Key) error {
			_, err := w.ByKeys(ctx, "keys", []images.Key{whole, k})
			return err
		},
		"NarrowToKeys": func(_ context.Context, k images.Key) error {
			_, _, err := images.NarrowToKeys("keys", []images.Key{whole, k})
			return err
		},
		"Diff": func(ctx context.Context, k images.Key) error {
			const md5 = "0123456789abcdef0123456789abcdef"
			_, err := w.Diff(ctx, []images.Fingerprint{{Device: trap, TakenAt: night, MD5: md5}, {Device: k.Device, TakenAt: k.TakenAt, MD5: md5}}, false)
			return err
		},
		"Delete": func(ctx context.Context, k images.Key) error {
			_, err := w.Delete(ctx, []images.Key{whole, k}, true)
			return err
		},
	} {
		if err := read(t.Context(), key(1)); err != nil {
			t.Errorf("%s of whole seconds: got %v, want no error", name, err)
		}
		err := read(t.Context(), fraction)
		if fault.CodeOf(err) != fault.BadInput || !strings.Contains(err.Error(), "1.takenAt: 2020-06-20T20:00:00.5Z has milliseconds") {
			t.Errorf("%s of milliseconds: got %v, want %s and the path of the second key", name, err, fault.BadInput)
		}
	}
}

// file returns the content of a file of an image.
func (w *world) file(i *ent.Image, v images.Variant) []byte {
	w.t.Helper()
	content, err := bucket.ReadAll(w.t.Context(), w.bucket, images.FileKey(i, v))
	if err != nil {
		w.t.Fatal(err)
	}
	return content
}

func TestUpload_TheThumbnailsHaveTheOrientationOfTheOriginal(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for orientation := 1; orientation <= 8; orientation++ {
			content := photo.WithOrientation(scene.JPEG(scene.Options{Width: 640, Height: 480}), orientation)
			image := w.send(key(orientation), content).Image
			if image.Orientation != orientation || image.Width != 640 || image.Height != 480 {
				t.Errorf("orientation %d: got orientation %d and %d × %d pixels, want 640 × 480 as stored", orientation, image.Orientation, image.Width, image.Height)
			}
			stored, _, err := images.StoredByID(t.Context(), w.db, image.ID)
			if err != nil {
				t.Fatal(err)
			}
			for n, variant := range images.ThumbnailVariants {
				thumbnail := w.file(image, variant)
				if got := photo.ReadMetadata(thumbnail).Orientation; got != orientation {
					t.Errorf("%s of orientation %d: got %d", variant, orientation, got)
				}
				if err := images.CheckThumbnail(t.Context(), stored, n, thumbnail); err != nil {
					t.Errorf("%s of orientation %d: %v, want a thumbnail that verify takes", variant, orientation, err)
				}
			}
			// A row from before the column gets the orientation together with its thumbnails.
			if err := w.db.Image.UpdateOneID(image.ID).SetOrientation(1).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := w.MakeThumbnails(t.Context(), stored); err != nil {
				t.Fatal(err)
			}
			rows, err := w.ByIDs(t.Context(), []int64{image.ID})
			if err != nil || rows[image.ID].Orientation != orientation {
				t.Errorf("after the thumbnails of orientation %d were made again: got %v, %v", orientation, rows[image.ID], err)
			}
		}
	})
}

func TestUpload_TheWarningsOfAWholePhotographAreStored(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		whole := scene.JPEG(scene.Options{Width: 640, Height: 480})
		noEOI := whole[:len(whole)-2]
		spare := slices.Concat(noEOI, []byte("\x7f\xff\xd9"))
		for n, c := range []struct {
			content []byte
			want    []string
		}{{whole, nil}, {noEOI, []string{"NO_EOI"}}, {spare, []string{"SPARE_BYTES"}}} {
			for _, verdict := range []images.Verdict{images.Created, images.Unchanged} {
				got := w.send(key(n), c.content)
				if got.Verdict != verdict || !slices.Equal(got.Warnings, c.want) {
					t.Errorf("file %d: got %s with the warnings %q, want %s with %q", n, got.Verdict, got.Warnings, verdict, c.want)
				}
			}
			rows, err := w.ByKeys(t.Context(), "keys", []images.Key{key(n)})
			if err != nil || len(rows) != 1 || !slices.Equal(rows[0].Warnings, c.want) {
				t.Errorf("row %d: got %+v, %v, want the warnings %q", n, rows, err, c.want)
			}
		}
		if got := w.send(key(1), spare); got.Verdict != images.Conflict || got.Warnings != nil {
			t.Errorf("a conflict: got %s with the warnings %q, want %s with none", got.Verdict, got.Warnings, images.Conflict)
		}
	})
}
