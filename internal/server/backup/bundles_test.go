package backup

import (
	"crypto/md5"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ent "tagma/ent/generated"
	"tagma/internal/base/caller"
	"tagma/internal/base/instant"
	"tagma/internal/domain/bundles"
	"tagma/internal/storage/bucket"
)

func md5Of(content string) string {
	sum := md5.Sum([]byte(content))
	return hex.EncodeToString(sum[:])
}

// ship sends the one file of a bundle, and publishes it or leaves it on its
// way. It gives the file's name in the store.
func (h *house) ship(content string, publish bool) string {
	h.t.Helper()
	packs := bundles.New(h.db, h.bucket, instant.System, bundles.Limits{Files: 1, FileBytes: 100, Bytes: 100})
	ctx := caller.With(h.t.Context(), &caller.Caller{UserID: 1, Role: caller.Writer})
	upload, err := packs.Request(ctx, "insects", []bundles.NewFile{{Key: "output/w", MD5: md5Of(content), Size: int64(len(content))}})
	if err != nil {
		h.t.Fatal(err)
	}
	to := upload.Requested[0]
	if h.inS3 {
		err = bucket.WriteAll(ctx, h.bucket, to.Incoming, []byte(content))
	} else {
		err = packs.Receive(ctx, to.StoredAs, to.Size, strings.NewReader(content))
	}
	if err == nil && publish {
		var made *bundles.PublishResult
		if made, err = packs.Publish(ctx, upload.ID); err == nil {
			var files map[int64][]bundles.File
			if files, err = packs.Files(ctx, []*ent.BundleVersion{made.Version}, bundles.All); err == nil {
				return files[made.Version.ID][0].StoredAs
			}
		}
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return to.StoredAs
}

func TestRestore_BringsVersionsOfBundlesWithTheirFilesAndNoUploads(t *testing.T) {
	each(t, func(t *testing.T, from, to *house) {
		from.furnish()
		published := from.ship("weights", true)
		from.ship("on its way", false)
		folder := filepath.Join(t.TempDir(), "backup")
		made, err := from.backup(folder)
		if err != nil || made.Files != 9+1 {
			t.Fatalf("backup: got %+v, %v, want 10 files", made, err)
		}
		restored, err := to.restore(folder)
		if err != nil || restored.Rows != made.Rows {
			t.Fatalf("restore: got %+v, %v, want %d rows", restored, err, made.Rows)
		}
		before, after := from.dump(), to.dump()
		for _, table := range []string{"bundles", "bundle_versions", "bundle_files", "bundle_contents"} {
			if len(after[table]) != 1 || !slices.Equal(before[table], after[table]) {
				t.Errorf("%s: %q, not %q", table, after[table], before[table])
			}
		}
		if len(after["bundle_uploads"])+len(after["bundle_arrivals"]) != 0 {
			t.Errorf("bundle uploads and arrivals: got %q and %q, want none", after["bundle_uploads"], after["bundle_arrivals"])
		}
		if content, err := bucket.ReadAll(t.Context(), to.bucket, published); string(content) != "weights" || err != nil {
			t.Errorf("restored file: got %q, %v, want weights", content, err)
		}
		if right, findings := to.verify(); right != 9+1 || len(findings) > 0 {
			t.Errorf("%d files are right, not so %v", right, findings)
		}
	})
}

func TestVerify_ReadsTheFilesOfBundles(t *testing.T) {
	for name, house := range map[string]*house{"in a folder": open(t, ""), "in S3": openInS3(t)} {
		t.Run(name, house.verifiesBundles)
	}
}

func (h *house) verifiesBundles(t *testing.T) {
	h.furnish()
	altered, missing := h.ship("weights", true), h.ship("better weights", true)
	h.ship("on its way", false)
	orphan := "bundles/0123456789abcdef/" + md5Of("weights")
	for _, name := range []string{altered, orphan} {
		if err := bucket.WriteAll(t.Context(), h.bucket, name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.bucket.Delete(t.Context(), missing); err != nil {
		t.Fatal(err)
	}
	right, findings := h.verify()
	want := []Finding{{"altered", altered}, {"missing", missing}, {"orphaned", orphan}}
	if right != 9 || !slices.Equal(findings, want) {
		t.Errorf("%d are right, not so %v, want %v", right, findings, want)
	}
}
