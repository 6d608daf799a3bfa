package integrity

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	entimage "tagma/ent/generated/image"
	"tagma/internal/base/instant"
	"tagma/internal/domain/images"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
	"tagma/internal/storage/bucket"
)

func md5Of(content string) string {
	sum := md5.Sum([]byte(content))
	return hex.EncodeToString(sum[:])
}

func TestVerify_AFlippedBitInAnyOfAHundredFilesIsNamed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		must(t, w.upload(0, 35))
		contents := []string{w.publish("weights"), w.publish("better weights")}
		if report, findings := w.verify(false); report.Files != 107 || len(findings) > 0 {
			t.Fatalf("at first: %v, %v", report, findings)
		}
		random := rand.New(rand.NewPCG(3, 4))
		var want []string
		for _, key := range append(w.keys(), contents...) {
			w.flip(key, random)
			want = append(want, "altered "+key+" false")
		}
		report, findings := w.verify(false)
		demand(t, findings, want...)
		if report.Files != 0 || report.Left() != 107 {
			t.Errorf("it says: %s", report)
		}
		said := findings[1].String() + findings[len(findings)-1].String()
		for _, part := range []string{"thumbnail of the image of 0a5bb6f4 at 2020-06-20T21:53:20", "insects@2 output/w"} {
			if !strings.Contains(said, part) {
				t.Errorf("%q does not say %q", said, part)
			}
		}
	})
}

func TestVerify_GoesOnAfterWhatIsMissingOrCannotBeRead(t *testing.T) {
	w := inFolder(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))
	must(t, w.upload(0, 6))
	path := func(key string) string { return filepath.Join(w.folder, filepath.FromSlash(key)) }
	all := w.stored()
	replace := func(key string, by func(path string) error) {
		t.Helper()
		must(t, errors.Join(os.Remove(path(key)), by(path(key))))
	}
	replace(all[0].Original, func(path string) error { return os.Mkdir(path, 0o700) })
	replace(all[1].Thumbnails[0], func(path string) error { return os.Symlink("/etc/hostname", path) })
	replace(all[2].Thumbnails[1], func(path string) error { return os.Symlink(filepath.Base(path), path) })
	replace(all[3].Original, func(string) error { return nil })
	report, findings := w.verify(false)
	var keys []string
	for _, f := range findings {
		keys = append(keys, f.Key)
		if f.Kind != Missing && f.Kind != Unreadable {
			t.Errorf("got %v", f)
		}
	}
	want := []string{all[0].Original, all[1].Thumbnails[0], all[2].Thumbnails[1], all[3].Original}
	if !slices.Equal(keys, want) || report.Files != 14 {
		t.Errorf("got %v and %d files, want %v and 14", keys, report.Files, want)
	}
	// A file in the place of the folder in which all of them are.
	month := filepath.Dir(path(all[0].Original))
	must(t, errors.Join(os.RemoveAll(month), os.WriteFile(month, nil, 0o600)))
	content := w.publish("weights")
	if report, findings := w.verify(false); len(findings) != 18 || report.Files != 1 {
		t.Errorf("%v, %v: want 18 findings, and %s", report, findings, content)
	}
}

func TestVerify_TheFilesOfAnotherDatabaseAreForeign(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		must(t, bucket.WriteAll(t.Context(), w.Bucket, "pairing", []byte("of another")))
		_, findings := w.verify(false)
		demand(t, findings, "foreign pairing false")
	})
}

func TestVerify_OlderRowsLearnTheSumsOfPicturesOfTheRightSize(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		must(t, w.upload(0, 4))
		before := w.stored()
		w.DB.Image.Update().ClearThumbnailSha256().ClearThumbnailMiniSha256().ExecX(t.Context())
		var other bytes.Buffer
		must(t, jpeg.Encode(&other, image.NewGray(image.Rect(0, 0, 100, 75)), nil))
		must(t, bucket.WriteAll(t.Context(), w.Bucket, before[1].Thumbnails[0], other.Bytes()))
		must(t, bucket.WriteAll(t.Context(), w.Bucket, before[2].Thumbnails[1], []byte("no picture")))
		for range 2 {
			report, findings := w.verify(false)
			demand(t, findings, "altered "+before[1].Thumbnails[0]+" false", "altered "+before[2].Thumbnails[1]+" false")
			if report.Files != 10 {
				t.Errorf("%d files are right, want 10", report.Files)
			}
		}
		for n, one := range w.stored() {
			want := slices.Clone(before[n].ThumbnailSums)
			if n == 1 || n == 2 {
				want[n-1] = ""
			}
			if !slices.Equal(one.ThumbnailSums, want) {
				t.Errorf("image %d: the row has %q, want %q", n, one.ThumbnailSums, want)
			}
		}
		w.flip(before[0].Thumbnails[0], rand.New(rand.NewPCG(1, 1)))
		if _, findings := w.verify(false); len(findings) != 3 {
			t.Errorf("got %v, want one more", findings)
		}
	})
}

func TestVerify_MendsThumbnailsFromTheirOriginals(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		must(t, w.upload(0, 6))
		all := w.stored()
		random := rand.New(rand.NewPCG(5, 6))
		w.flip(all[0].Thumbnails[0], random)
		must(t, w.Bucket.Delete(t.Context(), all[1].Thumbnails[1]))
		w.flip(all[2].Thumbnails[0], random)
		w.flip(all[2].Thumbnails[1], random)
		// As after an older Tagma, whose pictures had other bytes.
		w.DB.Image.Update().Where(entimage.ID(all[3].ImageID)).SetThumbnailSha256(make([]byte, 32)).ExecX(t.Context())
		w.flip(all[4].Original, random)
		w.flip(all[4].Thumbnails[0], random)
		report, findings := w.verify(true)
		left := []string{"altered " + all[4].Original + " false", "altered " + all[4].Thumbnails[0] + " false"}
		demand(t, findings, append(left,
			"altered "+all[0].Thumbnails[0]+" true", "missing "+all[1].Thumbnails[1]+" true",
			"altered "+all[2].Thumbnails[0]+" true", "altered "+all[2].Thumbnails[1]+" true", "altered "+all[3].Thumbnails[0]+" true")...)
		if report.Mended != 5 || report.Left() != 2 {
			t.Errorf("it says: %s", report)
		}
		_, findings = w.verify(true)
		demand(t, findings, left...)
		if why := findings[1].Err; !errors.Is(why, images.ErrOriginal) {
			t.Errorf("it says %v", why)
		}
	})
}

func TestVerify_BesideUploadsAndDeletionsFindsNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		must(t, w.upload(0, 10))
		ctx, stop := context.WithCancel(t.Context())
		var work errgroup.Group
		work.Go(func() error {
			for n := 10; ctx.Err() == nil; n++ {
				if err := w.upload(n, n+1); err != nil {
					return err
				}
				if n%2 == 0 {
					key := images.Key{Device: "0a5bb6f4", TakenAt: night + instant.Instant(1000*(n-5))}
					if _, err := w.Images.Delete(t.Context(), []images.Key{key}, false); err != nil {
						return err
					}
				}
			}
			return nil
		})
		for range 5 {
			var findings []Finding
			c := &Checker{Store: w.Store, Mend: true, Found: func(f Finding) { findings = append(findings, f) }}
			if report, err := c.Verify(t.Context(), time.Now()); err != nil || len(findings) > 0 || report.Files == 0 {
				t.Errorf("Verify during uploads: got %v with findings %v, %v, want files and no findings", report, findings, err)
			}
		}
		stop()
		must(t, work.Wait())
	})
}

func TestVerify_AnImageThatIsDeletedWhileItIsReadIsNoFinding(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		must(t, w.upload(0, 3))
		deleted := false
		c := &Checker{Store: w.Store, Found: func(f Finding) { t.Errorf("got %v", f) }, Pace: func(ctx context.Context, _ int64) error {
			if deleted {
				return nil
			}
			deleted = true
			_, err := w.Images.Delete(ctx, []images.Key{w.stored()[0].Key}, false)
			return err
		}}
		report, err := c.Verify(t.Context(), time.Now())
		must(t, err)
		if report.Files != 6 {
			t.Errorf("%d files are right, want 6", report.Files)
		}
	})
}

func TestUpload_TheRowKnowsTheSumsOfItsThumbnailsAndOfThoseOfItsReplacement(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		must(t, w.upload(0, 1))
		for _, seed := range []uint64{1, 2} {
			one := w.stored()[0]
			for n, key := range one.Thumbnails {
				content, err := bucket.ReadAll(t.Context(), w.Bucket, key)
				must(t, err)
				sum := sha256.Sum256(content)
				if want := hex.EncodeToString(sum[:]); one.ThumbnailSums[n] != want {
					t.Errorf("of %s the row says %q, want %s", key, one.ThumbnailSums[n], want)
				}
			}
			content := scene.JPEG(scene.Options{Width: 160, Height: 120, Seed: 100 + seed})
			name := photo.Name{Device: "0a5bb6f4", TakenAt: night}.String()
			results, err := w.Images.Upload(w.by, []images.File{{Name: name, Size: int64(len(content)), Content: bytes.NewReader(content)}}, images.Replace)
			if err != nil || results[0].Verdict != images.Replaced {
				t.Errorf("upload: got %v, %v, want %v", results, err, images.Replaced)
			}
		}
	})
}

func TestVerify_ADamagedLabelRepositoryIsNotedAndMendedWithoutAnotherCommitID(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := w.label(20)
		git := func(args ...string) string {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "safe.directory=*"}, args...)...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("git %v: %v\n%s", args, err, out)
			}
			return string(out)
		}
		commits := git("rev-list", "main")
		if report, findings := w.verify(false); len(findings) > 0 || report.Objects < 60 {
			t.Fatalf("verify: got %v with findings %v, want at least 60 objects and no findings", report, findings)
		}
		// A bit of the last file in the pack, which is stored after its commit's parent.
		packs, err := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
		must(t, err)
		content, err := os.ReadFile(packs[0])
		must(t, err)
		at := bytes.LastIndex(content, []byte("tree")) // the last commit follows upon its file and folders
		at = bytes.LastIndex(content[:at], []byte("annotations"))
		content[at+15] ^= 1
		must(t, errors.Join(os.Chmod(packs[0], 0o600), os.WriteFile(packs[0], content, 0o600)))

		_, findings := w.verify(false)
		if len(findings) < 2 {
			t.Fatalf("got %v, want the pack and an object", findings)
		}
		if damage, err := w.Labels.Damage(t.Context()); damage == "" || err != nil {
			t.Errorf("%q is noted, %v", damage, err)
		}
		if report, findings := w.verify(true); report.Left() > 0 || report.Mended < 2 {
			t.Errorf("verify with mending: got %v with findings %v, want at least 2 mended and none left", report, findings)
		}
		if damage, err := w.Labels.Damage(t.Context()); damage != "" || err != nil {
			t.Errorf("%q is still noted, %v", damage, err)
		}
		if report, findings := w.verify(false); len(findings) > 0 {
			t.Errorf("verify after mending: got %v with findings %v, want no findings", report, findings)
		}
		git("fsck", "--strict", "--full")
		if now := git("rev-list", "main"); now != commits {
			t.Errorf("the commits are\n%s, want\n%s", now, commits)
		}
	})
}

func TestChecker_ThePaceSeesEveryByteAndMayEndTheCheck(t *testing.T) {
	w := inFolder(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))
	must(t, w.upload(0, 2))
	total, read := int64(0), int64(0)
	for _, key := range w.keys() {
		info, err := w.Bucket.Stat(t.Context(), key)
		must(t, err)
		total += info.Size
	}
	c := &Checker{Store: w.Store, Found: func(f Finding) { t.Error(f) }, Pace: func(_ context.Context, n int64) error { read += n; return nil }}
	_, err := c.Verify(t.Context(), time.Now())
	must(t, err)
	if read != total {
		t.Errorf("%d bytes were paced, want %d", read, total)
	}
	c.Pace = func(context.Context, int64) error { return errPaced }
	if _, err := c.Verify(t.Context(), time.Now()); !errors.Is(err, errPaced) {
		t.Errorf("got %v", err)
	}
}
