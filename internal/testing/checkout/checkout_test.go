package checkout

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRoot_IsTheFolderOfGoModFromAnyFolderBelow(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "internal", "testing", "checkout")); err != nil {
		t.Errorf("got %q, which has no internal/testing/checkout: %v", root, err)
	}
	t.Chdir(t.TempDir())
	if root, err := Root(); err == nil {
		t.Errorf("got %q outside of the source tree, want an error", root)
	}
}
