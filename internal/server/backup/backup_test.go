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

	"golang.org/x/sync/errgroup"

	"tagma/internal/base/contour"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/base/password"
	"tagma/internal/base/throttle"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/domain/labels"
	"tagma/internal/domain/people"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
	"tagma/internal/server/integrity"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
	"tagma/internal/storage/identity"
	"tagma/internal/storage/localblob"
	"tagma/internal/storage/ownership"
	"tagma/internal/storage/s3store"
	"tagma/internal/testing/testenv"
)

// house is a server's database and store.
type house struct {
	t      *testing.T
	db     *database.DB
	bucket bucket.Bucket
	photos *images.Service
	inS3   bool   // where bundles' files are sent to the store itself
	folder string // of the files, if they are not in S3
	file   string // of the database, if it is SQLite's
}

// open opens a server's database, or the embedded one, and a folder of files.
func open(t *testing.T, url string) *house {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "files")
	bucket, err := localblob.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	h := openIn(t, url, bucket)
	h.folder = folder
	return h
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
	h := openIn(t, "", store)
	h.inS3 = true
	return h
}

func openIn(t *testing.T, url string, bucket bucket.Bucket) *house {
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
	file, _ := strings.CutPrefix(url, "sqlite:")
	return &house{t: t, db: db, bucket: bucket, file: file, photos: images.New(db, bucket, instant.System, limits)}
}

// kinds is what opens a server of each kind.
func kinds() map[string]func(t *testing.T) *house {
	return map[string]func(t *testing.T) *house{
		"SQLite":     func(t *testing.T) *house { return open(t, "") },
		"PostgreSQL": func(t *testing.T) *house { return open(t, testenv.Postgres(t)) },
		"S3":         openInS3,
	}
}

// eachKind runs a test with a server of each kind.
func eachKind(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	for name, open := range kinds() {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// each runs a test with a server of each kind, and one of each kind to restore
// it into.
func each(t *testing.T, test func(t *testing.T, from, to *house)) {
	t.Helper()
	for a, from := range kinds() {
		for b, to := range kinds() {
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
		_, err = identity.Ensure(ctx, h.db, 1000)
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
		Objects:   []annotations.NewObject{{Name: name, Contour: contour.NewInput([]any{[]any{1, 1}, []any{9.5, 1}, []any{9, 9}})}},
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
			if !strings.Contains(b.String(), `id="store" `) { // the id of the store, which a restored one does not share
				all[t.Name] = append(all[t.Name], b.String())
			}
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

// generation is the path of a file in the newest generation of a backup.
func generation(t *testing.T, backup, name string) string {
	t.Helper()
	f := folder{path: backup}
	names, err := f.names()
	if err != nil || len(names) == 0 {
		t.Fatalf("generations of %s: got %q, %v, want one or more", backup, names, err)
	}
	return f.in(generationsFolder, names[0], name)
}

// source is the house as a backup sees it.
func (h *house) source() Source { return Source{DB: h.db, Bucket: h.bucket} }

// backup makes a backup of the house.
func (h *house) backup(path string) (Report, error) {
	h.t.Helper()
	return Make(h.t.Context(), h.source(), path, Options{Keep: DefaultKeep})
}

// restore restores the newest generation of a backup into the house.
func (h *house) restore(path string) (Report, error) {
	h.t.Helper()
	found, err := Find(h.t.Context(), path, "")
	if err != nil {
		return Report{}, err
	}
	return Restore(h.t.Context(), found, Target{DB: h.db, Bucket: h.bucket, Folder: h.folder, Temporary: h.t.TempDir()})
}

// Finding is what package integrity finds, without its words.
type Finding struct{ What, Key string }

func (h *house) verify() (right int, findings []Finding) {
	h.t.Helper()
	checker := &integrity.Checker{
		Store: integrity.Store{
			DB: h.db, Bucket: h.bucket, Images: h.photos, Pairing: ownership.New(h.db, h.bucket, instant.System),
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
		made, err := from.backup(folder)
		if err != nil || made.Files != 9 || made.Copied != 9 || made.Rows == 0 {
			t.Fatalf("backup: got %+v, %v, want 9 files, all copied, and rows", made, err)
		}
		before := from.dump()
		for _, table := range []string{"users", "access_tokens", "images", "devices", "annotations", "label_sets", "secrets", "checkpoints"} {
			if len(before[table]) == 0 {
				t.Errorf("the test has no %s", table)
			}
		}
		restored, err := to.restore(folder)
		if err != nil || restored.Rows != made.Rows || restored.Files != made.Files {
			t.Fatalf("restore: got %+v, %v, want %d rows and %d files", restored, err, made.Rows, made.Files)
		}
		same(t, before, to.dump())
		if right, findings := to.verify(); right != 9 || len(findings) > 0 {
			t.Errorf("%d files are right, not so %v", right, findings)
		}
		// Life goes on: new rows get ids of their own.
		if err := errors.Join(to.upload(5, 6), to.annotate(5, "after")); err != nil {
			t.Error(err)
		}
		if _, err := to.restore(folder); !errors.Is(err, ErrNotEmpty) {
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
		if got, err := Make(t.Context(), h.source(), folder, Options{Keep: 1}); err != nil || got.Files != step.files || got.Copied != step.copied {
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
		_, err := from.backup(folder)
		stop()
		if err := errors.Join(err, work.Wait()); err != nil {
			t.Fatal(err)
		}
		if _, err := to.restore(folder); err != nil {
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
	about := func(change func(string) string) func(t *testing.T, folder string) error {
		return func(t *testing.T, folder string) error {
			path := generation(t, folder, sumsFile)
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(change(string(text))), 0o600)
		}
	}
	without := func(suffix string) func(t *testing.T, folder string) error {
		return about(func(text string) string {
			var lines strings.Builder
			for line := range strings.Lines(text) {
				if !strings.HasSuffix(line, suffix+"\n") {
					lines.WriteString(line)
				}
			}
			return lines.String()
		})
	}
	for name, damage := range map[string]func(t *testing.T, folder string) error{
		"no sums":                  func(t *testing.T, folder string) error { return os.Remove(generation(t, folder, sumsFile)) },
		"no line of the database":  without(databaseFile),
		"no line of an original":   without(".jpg"),
		"no line of a small one":   without(".mini.jpg"),
		"a line that is no file's": about(func(text string) string { return strings.Replace(text, filesPrefix, "../", 1) }),
		"another sum of an original": about(func(text string) string {
			first := strings.Index(text, "  "+filesPrefix)
			return strings.Repeat("0", first) + text[first:]
		}),
		"broken sums":   about(func(string) string { return "x\n" }),
		"no generation": func(t *testing.T, folder string) error { return os.RemoveAll(filepath.Join(folder, generationsFolder)) },
		"no files":      func(t *testing.T, folder string) error { return os.RemoveAll(filepath.Join(folder, filesFolder)) },
		"a file is gone": func(t *testing.T, folder string) error {
			return os.RemoveAll(filepath.Join(folder, filesFolder, "images"))
		},
		"another database": func(t *testing.T, folder string) error {
			return os.WriteFile(generation(t, folder, databaseFile), []byte("x"), 0o600)
		},
		"another description": func(t *testing.T, folder string) error {
			return os.WriteFile(generation(t, folder, aboutFile), []byte("{}"), 0o600)
		},
		"a newer database": func(t *testing.T, folder string) error {
			return os.WriteFile(generation(t, folder, aboutFile), []byte(`{"schema": 999999}`), 0o600)
		},
		"a newer layout": func(t *testing.T, folder string) error {
			return os.WriteFile(filepath.Join(folder, markFile), []byte(`{"format": 2, "store": "x"}`), 0o600)
		},
		"another file": func(t *testing.T, folder string) error {
			found, err := filepath.Glob(filepath.Join(folder, filesFolder, "images", "*", "*", "*.mini.jpg"))
			if err != nil {
				return err
			}
			return os.WriteFile(found[0], []byte("x"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder, to := t.TempDir(), open(t, "")
			if _, err := h.backup(folder); err != nil {
				t.Fatal(err)
			}
			if err := damage(t, folder); err != nil {
				t.Fatal(err)
			}
			_, err := to.restore(folder)
			if err == nil {
				t.Error("restore: got no error, want a refusal")
			}
			if rows, err := hasRows(t.Context(), to.db); err != nil || rows {
				t.Errorf("rows after the refusal: got %t, %v, want none", rows, err)
			}
			// Only bytes are found to be damaged after the first write.
			if files := keysOf(t, to.bucket); name != "another file" && len(files) > 0 {
				t.Errorf("files after %v: got %q, want none", err, files)
			}
		})
	}
}

// keysOf is the keys of all files in a bucket.
func keysOf(t *testing.T, files bucket.Bucket) []string {
	t.Helper()
	var keys []string
	for file, err := range files.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, file.Key)
	}
	return keys
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
		bucket.WriteAll(t.Context(), h.bucket, altered, []byte("x")),
		bucket.WriteAll(t.Context(), h.bucket, orphan, []byte("x")),
	); err != nil {
		t.Fatal(err)
	}
	right, findings := h.verify()
	want := []Finding{{"missing", missing}, {"altered", altered}, {"orphaned", orphan}}
	if right != 7 || !slices.Equal(findings, want) {
		t.Errorf("%d are right, not so %v", right, findings)
	}
	if _, err := h.backup(t.TempDir()); err == nil || !strings.Contains(err.Error(), "tagma verify") {
		t.Errorf("a backup of it: %v", err)
	}
}
