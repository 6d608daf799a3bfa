package database

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOpenReadOnly_ReadsAndChangesNothing(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "tagma.db")
	made, err := Open(t.Context(), "sqlite:"+path, Options{})
	if err != nil {
		t.Fatalf("make a database: got %v, want no error", err)
	}
	if err := made.Close(); err != nil {
		t.Fatalf("close: got %v, want no error", err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	latest, err := Latest()
	if err != nil {
		t.Fatal(err)
	}
	db := OpenReadOnly(path)
	if got, err := db.Version(t.Context()); err != nil || got != latest {
		t.Errorf("version: got %d, %v, want %d", got, err, latest)
	}
	if err := db.Checkpoint.Create().SetID("x").SetValue("y").Exec(t.Context()); err == nil {
		t.Error("write: got no error, want a refusal")
	}
	if err := db.Close(); err != nil {
		t.Errorf("close: got %v, want no error", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the file: got %d bytes, %v, want the %d bytes of before", len(after), err, len(before))
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder: got %v, %v, want tagma.db alone", entries, err)
	}
	missing := OpenReadOnly(filepath.Join(folder, "missing.db"))
	defer missing.Close()
	if _, err := missing.Version(t.Context()); err == nil {
		t.Error("a file that is missing: got no error, want one")
	}
	if _, err := os.Stat(filepath.Join(folder, "missing.db")); err == nil {
		t.Error("a file that is missing: it was created")
	}
}
