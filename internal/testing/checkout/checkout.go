// Package checkout owns the search for Tagma's source tree, for tests and tools that
// read files of other folders. Package checkout does not own the files.
package checkout

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Root returns the folder of Tagma's go.mod: the working folder or a parent of the
// working folder. Unlike runtime.Caller, Root works in a build with -trimpath.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for folder := start; ; folder = filepath.Dir(folder) {
		text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module tagma\n") {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", errors.New("no folder from " + start + " upwards has Tagma's go.mod: run the command in Tagma's source tree")
		}
	}
}
