package bundles_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ent "tagma/ent/generated"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/domain/bundles"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/bucket/buckettest"
	"tagma/internal/testing/testenv"
)

func TestPublish_WhatWasSentToTheStoreItselfAndIsAnotherFileIsRefused(t *testing.T) {
	w := newWorldInS3(t)
	for content, text := range map[string]string{"WEIGHTS": md5Of("WEIGHTS"), "weights!": "8 bytes, not 7", "": "0 bytes, not 7"} {
		upload := w.request(w.maria, "insects", folder{"output/w": "weights", "data/a": "right"})
		for _, file := range upload.Requested {
			if file.Key == "output/w" {
				must(t, w.take(file, content))
			} else {
				must(t, w.take(file, "right"))
			}
		}
		_, err := w.Publish(w.maria, upload.ID)
		refused(t, err, fault.BadInput, "upload.output/w", text, "given up")
	}
	if row, err := w.ByName(t.Context(), "insects"); row != nil || err != nil {
		t.Errorf("there is %v, %v", row, err)
	}
}

func TestPublish_WhatCameThroughTheServerAndPastItIsOneVersion(t *testing.T) {
	w := newWorldInS3(t)
	upload := w.request(w.maria, "insects", insects)
	for n, file := range upload.Requested {
		w.straight = n%2 == 0 // as with a file that is large, and goes through the server
		must(t, w.take(file, insects[file.Key]))
	}
	if repeat := w.request(w.maria, "insects", insects); repeat.ID != upload.ID || len(repeat.Requested) != 0 {
		t.Errorf("second request: got %+v, want the same upload without wanted files", repeat)
	}
	published, err := w.Publish(w.maria, upload.ID)
	must(t, err)
	w.holds(published.Version, insects)
}

// Files that begin as the two of collision, and go on alike, have one MD5 and
// one size, so that no store tells them apart by what a target says of them.
func TestPublish_WhatIsSentAnewWhileItIsCheckedOrLaterChangesNothing(t *testing.T) {
	w := newWorldInS3(t)
	var versions []*bundles.PublishResult
	var contents []string
	for n := range 20 {
		either := [2]string{collision[0] + fmt.Sprint(n), collision[1] + fmt.Sprint(n)}
		upload := w.request(w.maria, "insects", folder{"output/w": either[0]})
		w.send(upload, folder{"output/w": either[0]})
		// A store that minds no condition takes both, again and again.
		repeat := func(ctx context.Context, content string) error {
			return bucket.WriteAll(ctx, w.bucket, upload.Requested[0].Incoming, []byte(content))
		}
		ctx, stop := context.WithCancel(t.Context())
		var rival sync.WaitGroup
		rival.Go(func() {
			for turn := n; ctx.Err() == nil; turn++ {
				_ = repeat(ctx, either[turn%2])
			}
		})
		published, err := w.Publish(w.maria, upload.ID)
		stop()
		rival.Wait()
		must(t, err)
		content, other := either[0], either[1]
		if w.sha256(published) == *sha256Of(other) {
			content, other = other, content
		}
		must(t, repeat(t.Context(), other))
		versions, contents = append(versions, published), append(contents, content)
	}
	for n, published := range versions {
		w.holds(published.Version, folder{"output/w": contents[n]})
	}
}

// sha256 is that of the one file of a version.
func (w *world) sha256(published *bundles.PublishResult) string {
	w.t.Helper()
	files, err := w.Files(w.t.Context(), []*ent.BundleVersion{published.Version}, bundles.All)
	must(w.t, err)
	return files[published.Version.ID][0].SHA256
}

func TestPublish_OneUploadOnTwoServersAtOnceIsOneVersion(t *testing.T) {
	w := newWorldInS3(t)
	other := bundles.New(w.db, w.bucket, instant.System, bundles.Limits{Page: page.Limits{Default: 10, Max: 100}, Files: 3000, FileBytes: 1 << 20, Bytes: 2 << 20})
	for n := range 2 {
		many := folder{}
		for i := range 20 {
			many[fmt.Sprint("data/", i)] = fmt.Sprint(n, i)
		}
		upload := w.request(w.maria, "insects", many)
		w.send(upload, many)
		var together sync.WaitGroup
		for _, server := range []*bundles.Service{w.Service, other, w.Service, other} {
			together.Go(func() {
				published, err := server.Publish(w.maria, upload.ID)
				if err != nil || published.Version.Number != n+1 {
					t.Errorf("publish: got %+v, error %v, want number %d", published, err, n+1)
				} else {
					w.holds(published.Version, many)
				}
			})
		}
		together.Wait()
		for _, name := range buckettest.Keys(w.t, w.bucket) {
			if strings.HasPrefix(name, "incoming/") {
				t.Errorf("%s has stayed", name)
			}
		}
	}
	w.ahead.Store((26 * time.Hour).Milliseconds())
	if _, err := w.Sweep(t.Context()); err != nil || len(buckettest.Keys(w.t, w.bucket)) != 2*20 {
		t.Errorf("%d files are left, %v", len(buckettest.Keys(w.t, w.bucket)), err)
	}
}

func TestSweep_TakesWhatCameToTheStoreItselfWhenItIsPublishedOrTooLate(t *testing.T) {
	w := newWorldInS3(t)
	upload := w.request(w.maria, "insects", folder{"output/w": "weights"})
	w.send(upload, folder{"output/w": "weights"})
	w.ahead.Store((2 * time.Hour).Milliseconds())
	if removed, err := w.Sweep(t.Context()); removed != 0 || err != nil {
		t.Errorf("%d are removed of an upload that waits, %v", removed, err)
	}
	published, err := w.Publish(w.maria, upload.ID)
	must(t, err)
	// Its target still holds.
	must(t, bucket.WriteAll(t.Context(), w.bucket, upload.Requested[0].Incoming, []byte("others!")))
	unpublished := w.request(w.maria, "insects", folder{"output/w": "others!"})
	w.send(unpublished, folder{"output/w": "others!"})
	if removed, err := w.Sweep(t.Context()); removed != 1 || err != nil {
		t.Errorf("%d are removed, %v: %q", removed, err, buckettest.Keys(w.t, w.bucket))
	}
	w.ahead.Store((27 * time.Hour).Milliseconds())
	if removed, err := w.Sweep(t.Context()); removed != 1 || err != nil {
		t.Errorf("%d are removed a day later, %v: %q", removed, err, buckettest.Keys(w.t, w.bucket))
	}
	w.holds(published.Version, folder{"output/w": "weights"})
	if remaining := buckettest.Keys(w.t, w.bucket); len(remaining) != 1 {
		t.Errorf("there are left %q", remaining)
	}
}

func TestPublish_WhateverTheStoreDoesNoVersionLacksItsFiles(t *testing.T) {
	server := testenv.S3(t)
	server.Enter(t)
	proxy := testenv.ProxyTo(t, server.Host)
	w := newWorldIn(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"), inS3(t, server.Through(proxy.Host)))
	w.straight = true
	w.bucket = inS3(t, server.URL()) // as clients reach it
	t.Cleanup(func() { must(t, w.bucket.Close()) })
	const atOnce = 6
	sent := map[string]folder{} // by the bundle's name
	acknowledged := map[string]*bundles.PublishResult{}
	for round, fault := range testenv.Faults() {
		results := make([]*bundles.PublishResult, atOnce)
		name := proxy.While(t, fault, func() {
			var together sync.WaitGroup
			for i := range atOnce {
				name := fmt.Sprintf("insects-%d-%d", round, i)
				f := folder{"data/shared": fmt.Sprint("of round ", round), "output/w": strings.Repeat(name, 500), "README.md": name}
				sent[name] = f
				together.Go(func() { results[i], _ = w.pushWithin(3*time.Second, name, f) })
			}
			together.Wait()
		})
		count := 0
		for i, published := range results {
			if published != nil {
				acknowledged[fmt.Sprintf("insects-%d-%d", round, i)] = published
				count++
			}
		}
		t.Logf("%s: %d of %d acknowledged", name, count, atOnce)
	}
	check := func() (count int) {
		t.Helper()
		for name, f := range sent {
			row, err := w.ByName(t.Context(), name)
			must(t, err)
			if row == nil {
				if acknowledged[name] != nil {
					t.Errorf("%s was acknowledged and is not there", name)
				}
				continue
			}
			count++
			pages, err := w.Versions(t.Context(), []*ent.Bundle{row}, page.Request{})
			must(t, err)
			for _, v := range pages[row.ID].Nodes {
				w.holds(v, f)
			}
		}
		return count
	}
	if count := check(); count < atOnce || count > len(sent)-atOnce {
		t.Errorf("%d of %d are there: too little went wrong, or too much", count, len(sent))
	}

	// Who tries again gets in, and what the failures left is swept.
	for name, f := range sent {
		published, err := w.pushWithin(time.Minute, name, f)
		must(t, err)
		if published.Version.Number != 1 {
			t.Errorf("%s is version %d", name, published.Version.Number)
		}
	}
	if count := check(); count != len(sent) {
		t.Errorf("%d of %d are there", count, len(sent))
	}
	w.ahead.Store((26 * time.Hour).Milliseconds())
	swept, err := w.Sweep(t.Context())
	if contents := w.db.BundleContent.Query().CountX(t.Context()); err != nil || len(buckettest.Keys(w.t, w.bucket)) != contents {
		t.Errorf("%d files are there for %d contents after %d were swept, %v", len(buckettest.Keys(w.t, w.bucket)), contents, swept, err)
	}
	t.Logf("%d files that nothing speaks of were swept", swept)
}

// pushWithin is push that may take so long. What is there is not sent again.
func (w *world) pushWithin(patience time.Duration, name string, f folder) (*bundles.PublishResult, error) {
	ctx, cancel := context.WithTimeout(w.maria, patience)
	defer cancel()
	upload, err := w.Request(ctx, name, f.manifest())
	if err != nil {
		return nil, err
	}
	for _, file := range upload.Requested {
		if err := w.take(file, f[file.Key]); err != nil {
			return nil, err
		}
	}
	return w.Publish(ctx, upload.ID)
}
