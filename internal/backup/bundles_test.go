package backup

import (
	"crypto/md5"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tagma/internal/bundles"
	"tagma/internal/caller"
	"tagma/internal/instant"
)

// ship sends the one file of a bundle, and publishes it or leaves it on its
// way. It gives the file's name in the store.
func (h *house) ship(content string, publish bool) string {
	h.t.Helper()
	packs := bundles.New(h.db, h.bucket, instant.System, bundles.Limits{Files: 1, FileBytes: 100, Bytes: 100})
	ctx := caller.With(h.t.Context(), &caller.Caller{UserID: 1, Role: caller.Writer})
	sum := md5.Sum([]byte(content))
	upload, err := packs.Request(ctx, "insects", []bundles.NewFile{{Key: "output/w", MD5: hex.EncodeToString(sum[:]), Size: int64(len(content))}})
	if err != nil {
		h.t.Fatal(err)
	}
	name := upload.Wanted[0].StoredAs
	err = packs.Receive(ctx, name, int64(len(content)), strings.NewReader(content))
	if err == nil && publish {
		_, err = packs.Publish(ctx, upload.ID)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return name
}

func TestRestore_BringsVersionsOfBundlesWithTheirFilesAndNoUploads(t *testing.T) {
	each(t, func(t *testing.T, from, to *house) {
		from.furnish()
		published := from.ship("weights", true)
		from.ship("on its way", false)
		folder := filepath.Join(t.TempDir(), "backup")
		made, err := Make(t.Context(), from.db, from.bucket, folder)
		if err != nil || made.Files != 9+1 {
			t.Fatalf("%+v, %v", made, err)
		}
		restored, err := Restore(t.Context(), folder, to.db, to.bucket)
		if err != nil || restored.Rows != made.Rows {
			t.Fatalf("%+v of %+v: %v", restored, made, err)
		}
		before, after := from.dump(), to.dump()
		for _, table := range []string{"bundles", "bundle_versions", "bundle_files", "bundle_contents"} {
			if len(after[table]) != 1 || !slices.Equal(before[table], after[table]) {
				t.Errorf("%s: %q, not %q", table, after[table], before[table])
			}
		}
		if len(after["bundle_uploads"])+len(after["bundle_arrivals"]) != 0 {
			t.Errorf("%q, %q", after["bundle_uploads"], after["bundle_arrivals"])
		}
		if content, err := to.bucket.ReadAll(t.Context(), published); string(content) != "weights" || err != nil {
			t.Errorf("%q, %v", content, err)
		}
		if right, findings := to.verify(); right != 9+1 || len(findings) > 0 {
			t.Errorf("%d files are right, not so %v", right, findings)
		}
	})
}

func TestVerify_ReadsTheFilesOfBundles(t *testing.T) {
	h := open(t, "")
	h.furnish()
	altered, missing := h.ship("weights", true), h.ship("better weights", true)
	h.ship("on its way", false)
	orphan := "bundles/0123456789abcdef/" + altered[len(altered)-32:]
	for _, name := range []string{altered, orphan} {
		if err := h.bucket.WriteAll(t.Context(), name, []byte("x"), nil); err != nil {
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
