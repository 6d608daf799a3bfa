package testenv

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lib/pq"
)

func connect(t *testing.T, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestPostgres_EachTestHasAnEmptyDatabaseOfItsOwn(t *testing.T) {
	for range 2 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			db := connect(t, Postgres(t))
			if _, err := db.ExecContext(t.Context(), `CREATE TABLE only_once (id bigint)`); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestPostgres_TheDatabaseIsGoneWhenTheTestEnds(t *testing.T) {
	var address string
	t.Run("a test that leaves a connection open", func(t *testing.T) {
		address = Postgres(t)
		db, err := sql.Open("postgres", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	err := connect(t, address).PingContext(t.Context())
	var refused *pq.Error
	if !errors.As(err, &refused) || refused.Code.Name() != "invalid_catalog_name" {
		t.Fatalf("got %v, want that there is no such database", err)
	}
}

func TestPostgres_AServerThatIsNamedIsUsed(t *testing.T) {
	ours, err := url.Parse(Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(variable, ours.String())
	s, err := find(fsyncOff)
	if err != nil {
		t.Fatal(err)
	}
	defer s.db.Close()
	if s.leash != nil || s.address.Host != ours.Host {
		t.Errorf("started a server at %s, want the one at %s", s.address.Host, ours.Host)
	}
}

func TestPostgres_AnAddressThatIsNoneIsRefusedWithoutShowingIt(t *testing.T) {
	t.Setenv(variable, "tagma:secret@host")
	_, err := find(fsyncOff)
	if err == nil || !strings.Contains(err.Error(), variable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error that names %s only", err, variable)
	}
}

func TestDurablePostgres_WaitsForTheDiskAndGivesNoSuperuser(t *testing.T) {
	t.Setenv(variable, "")
	db := connect(t, DurablePostgres(t))
	for setting, want := range map[string]string{"fsync": "on", "is_superuser": "off"} {
		var got string
		if err := db.QueryRowContext(t.Context(), `SELECT current_setting($1)`, setting).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
}

// child is set in the process that the next test starts, and kills.
const child = "TAGMA_TESTENV_CHILD"

func TestPostgres_TheServerAndItsFolderGoWhenTheProcessIsKilled(t *testing.T) {
	if os.Getenv(child) != "" {
		// A copy of the output that programs started from here inherit, and so
		// the output ends only when the last of them has.
		if _, err := syscall.Dup(syscall.Stdout); err != nil {
			t.Fatal(err)
		}
		s, err := start(fsyncOff)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(s.leash.folder)
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

func TestCopyPrograms_MakesTheLinksThatThePackageLists(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"bin/postgres":     "a program",
		"lib/libx.so.1.2":  "a library",
		"pg-symlinks.json": `[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so.1"}]`,
	} {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bin, err := copyPrograms(from, to)
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
	if _, err := os.Lstat(filepath.Join(from, "lib/libx.so.1")); err == nil {
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
		if got := newEnough(version) == nil; got != want {
			t.Errorf("newEnough(%q) is %v, want %v", version, got, want)
		}
	}
}
