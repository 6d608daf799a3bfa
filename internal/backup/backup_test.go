package backup

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"tagma/internal/annotations"
	"tagma/internal/contour"
	"tagma/internal/database"
	"tagma/internal/images"
	"tagma/internal/instant"
	"tagma/internal/integrity"
	"tagma/internal/labels"
	"tagma/internal/localblob"
	"tagma/internal/page"
	"tagma/internal/pairing"
	"tagma/internal/password"
	"tagma/internal/people"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
	"tagma/internal/s3store"
	"tagma/internal/testenv"
	"tagma/internal/throttle"
)

// house is a server's database and store.
type house struct {
	t      *testing.T
	db     *database.DB
	bucket *blob.Bucket
	photos *images.Images
	inS3   bool // where bundles' files are sent to the store itself
}

// open opens a server's database, or the embedded one, and a folder of files.
func open(t *testing.T, url string) *house {
	t.Helper()
	bucket, err := localblob.Open(filepath.Join(t.TempDir(), "files"))
	if err != nil {
		t.Fatal(err)
	}
	return openIn(t, url, bucket)
}

// openInS3 opens an embedded database and an S3 store.
func openInS3(t *testing.T) *house {
	t.Helper()
	server := testenv.S3(t)
	server.Enter(t)
	store, err := s3store.Open(t.Context(), server.URL(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h := openIn(t, "", store.Bucket)
	h.inS3 = true
	return h
}

func openIn(t *testing.T, url string, bucket *blob.Bucket) *house {
	t.Helper()
	t.Cleanup(func() { _ = bucket.Close() })
	if url == "" {
		url = "sqlite:" + filepath.Join(t.TempDir(), "tagma.db")
	}
	db, err := database.Open(t.Context(), url, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	limits := images.Limits{Page: page.Limits{Default: 10, Max: 100}, Pixels: 1e6, FileBytes: 1e6, Decoders: 2}
	return &house{t: t, db: db, bucket: bucket, photos: images.New(db, bucket, instant.System, limits)}
}

// each runs a test with a server of each kind, and one of each kind to restore
// it into.
func each(t *testing.T, test func(t *testing.T, from, to *house)) {
	t.Helper()
	kinds := map[string]func(t *testing.T) *house{
		"SQLite":     func(t *testing.T) *house { return open(t, "") },
		"PostgreSQL": func(t *testing.T) *house { return open(t, testenv.Postgres(t)) },
		"S3":         openInS3,
	}
	for a, from := range kinds {
		for b, to := range kinds {
			if a+b == "S3PostgreSQL" || a+b == "PostgreSQLS3" { // of which each half is tried
				continue
			}
			t.Run(a+" to "+b, func(t *testing.T) { test(t, from(t), to(t)) })
		}
	}
}

const night = instant.Instant(1_592_690_000_000)

// upload puts in the photographs from one number to another.
func (h *house) upload(from, to int) error {
	for n := from; n < to; n++ {
		name := photo.Name{Device: "0a5bb6f4", TakenAt: night + instant.Instant(1000*n)}
		content := scene.JPEG(scene.Options{Width: 64, Height: 48, Seed: uint64(n)})
		_, err := h.photos.Upload(h.t.Context(), []images.File{{Name: name.String(), Size: int64(len(content)), Content: bytes.NewReader(content)}}, images.Refuse)
		if err != nil {
			return err
		}
	}
	return nil
}

// furnish fills every table, with odd values.
func (h *house) furnish() {
	h.t.Helper()
	ctx := h.t.Context()
	persons := people.New(h.db, instant.System, password.New(password.Options{Cheap: true}), throttle.New(instant.System, throttle.Options{}), page.Limits{Default: 10, Max: 10})
	plain, err := persons.EnsureAdmin(ctx)
	if err == nil {
		_, err = persons.Login(ctx, "admin", plain, "192.0.2.1")
	}
	if err == nil {
		err = h.upload(0, 3)
	}
	if err == nil {
		err = h.annotate(0, "ünïcode 🦋 \"'")
	}
	l := labels.New(h.db, instant.System, page.Limits{Default: 10, Max: 10})
	if err == nil {
		err = l.Ensure(ctx)
	}
	if err == nil {
		err = h.db.Checkpoint.Create().SetID("labels").SetValue("0123").Exec(ctx)
	}
	if err == nil {
		err = h.db.Secret.Create().SetID("links").SetValue([]byte{0, 255, 39, 10}).SetCreatedAt(1).Exec(ctx)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) annotate(n int, name string) error {
	there, err := h.photos.ByKeys(h.t.Context(), "keys", []images.Key{{Device: "0a5bb6f4", TakenAt: night + instant.Instant(1000*n)}})
	if err != nil {
		return err
	}
	_, err = annotations.New(h.db, h.photos, instant.System, page.Limits{Default: 10, Max: 10}).Put(h.t.Context(), []annotations.Addition{{
		Image: images.KeyOf(there[0]), MD5: there[0].Md5,
		Algorithm: annotations.Algorithm{Name: name, Version: "1"},
		Objects:   []annotations.NewObject{{Name: name, Contour: contour.Uncheck([]any{[]any{1, 1}, []any{9.5, 1}, []any{9, 9}})}},
	}}, true)
	return err
}

// dump is all that a database holds, as text.
func (h *house) dump() map[string][]string {
	h.t.Helper()
	all := map[string][]string{}
	for _, t := range tables() {
		names := make([]string, len(t.Columns))
		for n, c := range t.Columns {
			names[n] = c.Name
		}
		rows, err := h.db.SQL.QueryContext(h.t.Context(), fmt.Sprintf("SELECT %s FROM %s ORDER BY id", strings.Join(names, ", "), t.Name))
		if err != nil {
			h.t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			row := make([]any, len(t.Columns))
			for n, c := range t.Columns {
				row[n] = holder(c)
			}
			if err := rows.Scan(row...); err != nil {
				h.t.Fatal(err)
			}
			var b strings.Builder
			for n := range row {
				switch v := row[n].(type) {
				case *[]byte:
					fmt.Fprintf(&b, "%s=%x ", names[n], *v)
				case *sql.NullString:
					fmt.Fprintf(&b, "%s=%q %t ", names[n], v.String, v.Valid)
				default:
					fmt.Fprintf(&b, "%s=%v ", names[n], v)
				}
			}
			all[t.Name] = append(all[t.Name], b.String())
		}
		if err := rows.Err(); err != nil {
			h.t.Fatal(err)
		}
	}
	return all
}

// same says whether two servers hold the same, row by row.
func same(t *testing.T, a, b map[string][]string) {
	t.Helper()
	for _, table := range tables() {
		if !slices.Equal(a[table.Name], b[table.Name]) {
			t.Errorf("%s differs:\n%q\n%q", table.Name, a[table.Name], b[table.Name])
		}
	}
}

// Finding is what package integrity finds, without its words.
type Finding struct{ What, Key string }

func (h *house) verify() (right int, findings []Finding) {
	h.t.Helper()
	checker := &integrity.Checker{
		Store: integrity.Store{
			DB: h.db, Bucket: h.bucket, Images: h.photos, Pairing: pairing.New(h.db, h.bucket, instant.System),
			Labels: labels.New(h.db, instant.System, page.Limits{Default: 10, Max: 10}),
		},
		Found: func(f integrity.Finding) { findings = append(findings, Finding{string(f.Kind), f.Key}) },
	}
	report, err := checker.Verify(h.t.Context(), time.Now().Add(2*images.Grace))
	if err != nil {
		h.t.Fatal(err)
	}
	return report.Files, findings
}

func TestRestore_GivesTheSameRowsAndFilesOnEitherDatabase(t *testing.T) {
	each(t, func(t *testing.T, from, to *house) {
		from.furnish()
		folder := filepath.Join(t.TempDir(), "backup")
		made, err := Make(t.Context(), from.db, from.bucket, folder)
		if err != nil || made.Files != 9 || made.Copied != 9 || made.Rows == 0 {
			t.Fatalf("%+v, %v", made, err)
		}
		before := from.dump()
		for _, table := range []string{"users", "access_tokens", "images", "devices", "annotations", "label_sets", "secrets", "checkpoints"} {
			if len(before[table]) == 0 {
				t.Errorf("the test has no %s", table)
			}
		}
		restored, err := Restore(t.Context(), folder, to.db, to.bucket)
		if err != nil || restored.Rows != made.Rows || restored.Files != made.Files {
			t.Fatalf("%+v, %v", restored, err)
		}
		same(t, before, to.dump())
		if right, findings := to.verify(); right != 9 || len(findings) > 0 {
			t.Errorf("%d files are right, not so %v", right, findings)
		}
		// Life goes on: new rows get ids of their own.
		if err := errors.Join(to.upload(5, 6), to.annotate(5, "after")); err != nil {
			t.Error(err)
		}
		if _, err := Restore(t.Context(), folder, to.db, to.bucket); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("restored over what is there: %v", err)
		}
	})
}

func TestMake_AgainCopiesOnlyWhatIsNewAndDropsWhatIsGone(t *testing.T) {
	h := open(t, "")
	h.furnish()
	folder := t.TempDir()
	for _, step := range []struct {
		do            func() error
		files, copied int
	}{
		{func() error { return nil }, 9, 9},
		{func() error { return nil }, 9, 0},
		{func() error { return h.upload(3, 5) }, 15, 6},
		{func() error {
			_, err := h.photos.Delete(t.Context(), []images.Key{{Device: "0a5bb6f4", TakenAt: night}}, false)
			return err
		}, 12, 0},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got, err := Make(t.Context(), h.db, h.bucket, folder); err != nil || got.Files != step.files || got.Copied != step.copied {
			t.Errorf("%+v, %v: want %d and %d", got, err, step.files, step.copied)
		}
		count := 0
		_ = filepath.WalkDir(filepath.Join(folder, filesFolder), func(_ string, d os.DirEntry, _ error) error {
			if d.Type().IsRegular() {
				count++
			}
			return nil
		})
		if count != step.files {
			t.Errorf("%d files are in the folder, not %d", count, step.files)
		}
	}
}

func TestMake_WhileTheServerWorksIsWhole(t *testing.T) {
	each(t, func(t *testing.T, from, to *house) {
		from.furnish()
		ctx, stop := context.WithCancel(t.Context())
		var work errgroup.Group
		begun := make(chan struct{})
		work.Go(func() error {
			for n := 10; ctx.Err() == nil; n++ {
				if err := from.upload(n, n+1); err != nil {
					return err
				}
				if n == 12 {
					close(begun)
				}
				if n%3 == 0 {
					if _, err := from.photos.Delete(t.Context(), []images.Key{{Device: "0a5bb6f4", TakenAt: night + instant.Instant(1000*(n-2))}}, false); err != nil {
						return err
					}
				}
			}
			return nil
		})
		<-begun
		folder := t.TempDir()
		_, err := Make(t.Context(), from.db, from.bucket, folder)
		stop()
		if err := errors.Join(err, work.Wait()); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), folder, to.db, to.bucket); err != nil {
			t.Fatal(err)
		}
		if right, findings := to.verify(); right == 0 || len(findings) > 0 {
			t.Errorf("%d files are right, not so %v", right, findings)
		}
	})
}

func TestRestore_ADamagedBackupIsRefusedAndNothingIsRecorded(t *testing.T) {
	h := open(t, "")
	h.furnish()
	for name, damage := range map[string]func(folder string) error{
		"no sums":        func(folder string) error { return os.Remove(filepath.Join(folder, sumsFile)) },
		"a file is gone": func(folder string) error { return os.RemoveAll(filepath.Join(folder, filesFolder, "images")) },
		"another database": func(folder string) error {
			return os.WriteFile(filepath.Join(folder, databaseFile), []byte("x"), 0o600)
		},
		"broken sums": func(folder string) error { return os.WriteFile(filepath.Join(folder, sumsFile), []byte("x\n"), 0o600) },
		"another file": func(folder string) error {
			found, err := filepath.Glob(filepath.Join(folder, filesFolder, "images", "*", "*", "*.mini.jpg"))
			if err != nil {
				return err
			}
			return os.WriteFile(found[0], []byte("x"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder, to := t.TempDir(), open(t, "")
			if _, err := Make(t.Context(), h.db, h.bucket, folder); err != nil {
				t.Fatal(err)
			}
			if err := damage(folder); err != nil {
				t.Fatal(err)
			}
			if _, err := Restore(t.Context(), folder, to.db, to.bucket); err == nil {
				t.Error("it was restored")
			}
			if n, err := to.db.User.Query().Count(t.Context()); err != nil || n != 0 {
				t.Errorf("%d people, %v", n, err)
			}
		})
	}
}

func TestVerify_NamesEachFileThatIsMissingAlteredOrOrphaned(t *testing.T) {
	h := open(t, "")
	h.furnish()
	there, err := h.photos.ByKeys(t.Context(), "keys", []images.Key{{Device: "0a5bb6f4", TakenAt: night}, {Device: "0a5bb6f4", TakenAt: night + 1000}})
	if err != nil {
		t.Fatal(err)
	}
	missing, altered := images.FileKey(there[0], images.Thumbnail), images.FileKey(there[1], images.Original)
	orphan := strings.Replace(altered, there[1].FileID, "0123456789abcdef", 1)
	if err := errors.Join(
		h.bucket.Delete(t.Context(), missing),
		h.bucket.WriteAll(t.Context(), altered, []byte("x"), nil),
		h.bucket.WriteAll(t.Context(), orphan, []byte("x"), nil),
	); err != nil {
		t.Fatal(err)
	}
	right, findings := h.verify()
	want := []Finding{{"missing", missing}, {"altered", altered}, {"orphaned", orphan}}
	if right != 7 || !slices.Equal(findings, want) {
		t.Errorf("%d are right, not so %v", right, findings)
	}
	if _, err := Make(t.Context(), h.db, h.bucket, t.TempDir()); err == nil || !strings.Contains(err.Error(), "tagma verify") {
		t.Errorf("a backup of it: %v", err)
	}
}
