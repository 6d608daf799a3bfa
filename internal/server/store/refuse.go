package store

import (
	"fmt"
	"path/filepath"
	"strings"

	"tagma/internal/server/config"
)

// refuseBackup returns an error if a place in the settings lies in a backup. A
// backup has a database and files, like a store, and a server or command working
// in the backup would destroy the backup.
func refuseBackup(c *config.Config) error {
	places := map[string]string{"--data": c.Data}
	if path, ok := strings.CutPrefix(c.Database, "sqlite:"); ok {
		places["--database"] = filepath.Dir(path)
	}
	if folder, ok := strings.CutPrefix(c.Storage, "file:"); ok {
		places["--storage"] = folder
	}
	for _, flag := range []string{"--data", "--database", "--storage"} {
		place, ok := places[flag]
		if !ok {
			continue
		}
		if backup := backupAround(place); backup != "" {
			return fmt.Errorf("%s leads to %s, which lies in the backup %s: a backup is not worked on; give the store's own folder, or make a new store from the backup by tagma restore", flag, absolute(place), backup)
		}
	}
	return nil
}

// backupAround returns the folder of the backup around a folder, or "".
func backupAround(folder string) string {
	for folder = absolute(folder); ; folder = filepath.Dir(folder) {
		has := func(name string) bool { return present(filepath.Join(folder, name)) }
		if has("tagma-backup.json") || has("SHA256SUMS") && has("tagma.db") {
			return folder
		}
		if folder == filepath.Dir(folder) {
			return ""
		}
	}
}
