package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tagma/internal/config"
	"tagma/internal/database"
	"tagma/internal/identity"
	"tagma/internal/store"
)

// checkTarget returns an error for a folder that a backup must not be written
// into: a file, a folder that is, holds or lies in the store, and a folder with
// another store or its backup. It changes nothing.
func checkTarget(ctx context.Context, c *config.Config, st *store.Store, folder string) error {
	whole, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	if about, err := os.Stat(whole); err == nil && !about.IsDir() {
		return fmt.Errorf("the backup's folder %s is a file: give a folder", whole)
	}
	parts := []string{c.Data}
	if st.Folder != "" {
		parts = append(parts, st.Folder)
	}
	if path, ok := strings.CutPrefix(c.Database, "sqlite:"); ok {
		parts = append(parts, path)
	}
	for _, part := range parts {
		if within(part, whole) || within(whole, part) {
			return fmt.Errorf("the backup's folder %s is, holds or lies in the store (%s): give a folder of its own, on another disk", whole, part)
		}
	}
	path := filepath.Join(whole, "tagma.db")
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	if _, err := os.Stat(filepath.Join(whole, "SHA256SUMS")); err != nil {
		return fmt.Errorf("the backup's folder %s holds a database and no SHA256SUMS, as a store does: give another folder", whole)
	}
	db, err := database.OpenExisting(ctx, "sqlite:"+path, database.Options{Connections: 1})
	if err != nil {
		return fmt.Errorf("the backup's folder holds the backup of another version: give another folder: %w", err)
	}
	defer db.Close()
	if found, err := identity.Of(ctx, db.Client); err != nil || found.ID != st.Identity.ID {
		return fmt.Errorf("the backup's folder %s holds the backup of another store: give another folder", whole)
	}
	return nil
}

// checkSource returns an error for a folder that holds no whole backup, before
// a store is made for it.
func checkSource(folder string) error {
	whole, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	for _, name := range []string{"SHA256SUMS", "tagma.db"} {
		if _, err := os.Stat(filepath.Join(whole, name)); err != nil {
			return fmt.Errorf("%s is no whole backup: there is no %s; correct the path", whole, name)
		}
	}
	return nil
}

// within reports whether inner is outer or lies in outer, by whatever names.
func within(outer, inner string) bool {
	about, err := os.Stat(outer)
	if err != nil {
		return false
	}
	inner, err = filepath.Abs(inner)
	for ; err == nil; inner = filepath.Dir(inner) {
		if other, err := os.Stat(inner); err == nil && os.SameFile(about, other) {
			return true
		}
		if inner == filepath.Dir(inner) {
			return false
		}
	}
	return false
}
