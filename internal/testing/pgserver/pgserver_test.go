package pgserver

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// child is set in the process that the next test starts, and kills.
const child = "TAGMA_PGSERVER_CHILD"

func TestStart_TheServerAndItsFolderGoWhenTheProcessIsKilled(t *testing.T) {
	if os.Getenv(child) != "" {
		// A copy of the output that programs started from here inherit, and so
		// the output ends only when the last of them has.
		if _, err := syscall.Dup(syscall.Stdout); err != nil {
			t.Fatal(err)
		}
		s, err := Start(Options{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(s.process.folder)
		_, _ = io.Copy(io.Discard, os.Stdin) // until killed
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), child+"=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe() // ends with this process, and the child with it
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	folder := strings.TrimSpace(line)
	if _, err := os.Stat(filepath.Join(folder, "data", "postmaster.pid")); err != nil {
		t.Fatalf("there is no server to stop: %v", err)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", folder, err)
	}
}

func TestStart_DataThatAreKeptAreThereForTheNextServer(t *testing.T) {
	o := Options{Data: filepath.Join(reachable(t), "data")}
	for n, statement := range []string{`CREATE DATABASE kept`, `ALTER DATABASE kept SET work_mem = '5MB'`} {
		s, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("postgres", s.Address.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Errorf("server %d: %v", n, err)
		}
		_ = db.Close()
		s.Stop()
	}
}

// reachable is a temporary folder to which the account that runs PostgreSQL
// has a way. A test's own has none.
func reachable(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "tagma-pgserver-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestCopyPrograms_MakesTheLinksThatThePackageLists(t *testing.T) {
	source, target := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"bin/postgres":     "a program",
		"lib/libx.so.1.2":  "a library",
		"pg-symlinks.json": `[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so.1"}]`,
	} {
		path := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bin, err := copyPrograms(source, target)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(bin, "postgres"):            "a program",
		filepath.Join(bin, "..", "lib/libx.so.1"): "a library",
	} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(source, "lib/libx.so.1")); err == nil {
		t.Error("the package's own folder was changed")
	}
}

func TestNewEnough_ReadsWhatPostgresSaysOfItself(t *testing.T) {
	for version, want := range map[string]bool{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": true,
		"postgres (PostgreSQL) 14.0\n":                           true,
		"postgres (PostgreSQL) 18beta1\n":                        true,
		"postgres (PostgreSQL) 13.22\n":                          false,
		"postgres (PostgreSQL)":                                  false,
		"":                                                       false,
	} {
		if got := checkVersion(version) == nil; got != want {
			t.Errorf("newEnough(%q) is %v, want %v", version, got, want)
		}
	}
}
