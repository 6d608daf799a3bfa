package backup

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tagma/internal/base/filelock"
	"tagma/internal/base/instant"
	"tagma/internal/storage/identity"
)

// tree describes every file and folder below the paths, with the hash of what is
// in the files.
func tree(t *testing.T, paths ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			all[path] = info.Mode().String()
			if d.Type().IsRegular() {
				content, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				all[path] += fmt.Sprintf(" %x", sha256.Sum256(content))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func makeFolder(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// made makes a backup, which must succeed.
func (h *house) made(path string) Report {
	h.t.Helper()
	report, err := h.backup(path)
	if err != nil {
		h.t.Fatalf("backup: got %v, want no error", err)
	}
	return report
}

func TestMake_AFolderThatIsNoBackupOfTheStoreIsRefusedAndNothingChanges(t *testing.T) {
	h, other := open(t, ""), open(t, "")
	h.furnish()
	other.furnish()
	place := Place{Data: makeFolder(t, filepath.Join(t.TempDir(), "data")), Files: h.folder, Database: filepath.Join(t.TempDir(), "tagma.db")}
	write(t, place.Database, "x")
	makeFolder(t, filepath.Join(place.Data, "below"))
	for name, c := range map[string]struct {
		build func(t *testing.T, folder string) string // returns the target
		want  []string
	}{
		"the data":           {func(*testing.T, string) string { return place.Data }, []string{place.Data, "--data", "give a folder outside"}},
		"below the data":     {func(*testing.T, string) string { return filepath.Join(place.Data, "below", "new") }, []string{"--data"}},
		"above the data":     {func(*testing.T, string) string { return filepath.Dir(place.Data) }, []string{"holds", "--data"}},
		"the files":          {func(*testing.T, string) string { return place.Files }, []string{"--storage"}},
		"above the files":    {func(*testing.T, string) string { return filepath.Dir(place.Files) }, []string{"--storage"}},
		"above the database": {func(*testing.T, string) string { return filepath.Dir(place.Database) }, []string{"--database"}},
		"a link to the data": {func(t *testing.T, folder string) string {
			link := filepath.Join(folder, "link")
			if err := os.Symlink(place.Data, link); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(link, "backup")
		}, []string{"--data"}},
		"a store": {func(t *testing.T, folder string) string {
			write(t, filepath.Join(folder, databaseFile), "x")
			makeFolder(t, filepath.Join(folder, filesFolder))
			return folder
		}, []string{databaseFile, "as a store does", "give another folder"}},
		"a store over which an old backup went": {func(t *testing.T, folder string) string {
			other.unmark(folder)
			write(t, filepath.Join(folder, databaseFile), "a server has worked here")
			return folder
		}, []string{"is no whole backup", "give another folder"}},
		"a backup that a server works in": {func(t *testing.T, folder string) string {
			h.made(folder)
			write(t, filepath.Join(folder, databaseFile), "x")
			return folder
		}, []string{"a server has put its database there"}},
		"another store's backup":                                   {func(t *testing.T, folder string) string { other.made(folder); return folder }, []string{"the backup of another store", "give another folder"}},
		"another store's backup in the layout without generations": {func(t *testing.T, folder string) string { other.unmark(folder); return folder }, []string{"the backup of another store"}},
		"a backup without an id": {func(t *testing.T, folder string) string {
			h.unmarkWithoutID(folder)
			return folder
		}, []string{"--adopt"}},
		"a backup of a newer Tagma": {func(t *testing.T, folder string) string {
			write(t, filepath.Join(folder, markFile), `{"format": 2, "store": "x"}`)
			return folder
		}, []string{"format 2", "newer Tagma"}},
		"a damaged mark": {func(t *testing.T, folder string) string {
			write(t, filepath.Join(folder, markFile), `{`)
			return folder
		}, []string{markFile + " is damaged"}},
		"a file": {func(t *testing.T, folder string) string {
			write(t, filepath.Join(folder, "file"), "x")
			return filepath.Join(folder, "file")
		}, []string{"is a file"}},
		"other things": {func(t *testing.T, folder string) string {
			write(t, filepath.Join(folder, "thesis.tex"), "x")
			return folder
		}, []string{"thesis.tex", "an empty folder"}},
		"a folder whose disk is not mounted": {func(_ *testing.T, folder string) string { return filepath.Join(folder, "disk", "backup") }, []string{"mounted"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			target := c.build(t, makeFolder(t, filepath.Join(root, "folder")))
			before := tree(t, root, place.Data, place.Files, filepath.Dir(place.Database))
			source := h.source()
			source.Place = place
			report, err := Make(t.Context(), source, target, Options{Keep: 1})
			for _, want := range append(c.want, target) {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("backup into %s: got %+v, %v, want an error with %q", target, report, err, want)
				}
			}
			if after := tree(t, root, place.Data, place.Files, filepath.Dir(place.Database)); !maps.Equal(before, after) {
				t.Errorf("after the refusal: got %v, want %v", after, before)
			}
		})
	}
}

func TestMake_AStoreWithoutAnIDIsNotBackedUp(t *testing.T) {
	h, good := open(t, ""), open(t, "")
	good.furnish()
	folder := t.TempDir()
	good.made(folder)
	before := tree(t, folder)
	for _, target := range []string{folder, filepath.Join(t.TempDir(), "new")} {
		if _, err := h.backup(target); err == nil || !strings.Contains(err.Error(), "no store id") {
			t.Errorf("backup into %s: got %v, want %v", target, err, identity.ErrNone)
		}
	}
	// The same with an id: an empty store never goes over a good backup.
	if _, err := identity.Ensure(t.Context(), h.db, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := h.backup(folder); err == nil || !strings.Contains(err.Error(), "another store") {
		t.Errorf("backup of an empty store over a good backup: got %v, want a refusal", err)
	}
	if after := tree(t, folder); !maps.Equal(before, after) {
		t.Errorf("the backup: got %v, want %v", after, before)
	}
}

func TestMake_TheSecondOfTwoAtOnceIsRefused(t *testing.T) {
	h := open(t, "")
	h.furnish()
	folder := t.TempDir()
	h.made(folder)
	lock, err := filelock.Lock(filepath.Join(folder, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	before := tree(t, folder)
	if _, err := h.backup(folder); err == nil || !strings.Contains(err.Error(), ErrBusy.Error()) || !strings.Contains(err.Error(), folder) {
		t.Errorf("the second: got %v, want %v", err, ErrBusy)
	}
	if after := tree(t, folder); !maps.Equal(before, after) {
		t.Errorf("the backup: got %v, want %v", after, before)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	h.made(folder)
}

func TestMake_WithoutRoomItDoesNotBegin(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		h.furnish()
		path := t.TempDir()
		h.made(path)
		if err := h.upload(5, 8); err != nil {
			t.Fatal(err)
		}
		before := tree(t, path)
		f := folder{path, realDisk()}
		f.disk.free = func(string) (uint64, bool) { return 100_000, true }
		_, err := maker{h.source(), f, Options{Keep: 1}}.make(t.Context())
		if err == nil || !strings.Contains(err.Error(), "are missing: make room") || !strings.Contains(err.Error(), path) {
			t.Errorf("backup without room: got %v, want what is missing", err)
		}
		if after := tree(t, path); !maps.Equal(before, after) {
			t.Errorf("the backup: got %v, want %v", after, before)
		}
	})
}

func TestMake_ExistingRefusesToBeginANewBackup(t *testing.T) {
	h := open(t, "")
	h.furnish()
	root := t.TempDir()
	for _, path := range []string{makeFolder(t, filepath.Join(root, "empty")), filepath.Join(root, "missing")} {
		_, err := Make(t.Context(), h.source(), path, Options{Keep: 1, Existing: true, Clock: instant.System})
		if err == nil || !strings.Contains(err.Error(), "is the disk mounted") {
			t.Errorf("backup into %s: got %v, want a refusal", path, err)
		}
	}
	if after := tree(t, root); len(after) != 2 {
		t.Errorf("after the refusals: got %v, want the two folders", after)
	}
}
