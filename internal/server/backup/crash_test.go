//go:build unix

package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"tagma/internal/base/instant"
	"tagma/internal/storage/database"
	"tagma/internal/storage/localblob"
)

// The tests here run this test binary once more as another process, which makes
// backups until it is killed.
const (
	childEnv    = "BACKUP_TEST_CHILD" // set in the child
	databaseEnv = "BACKUP_TEST_DATABASE"
	filesEnv    = "BACKUP_TEST_FILES"
	backupEnv   = "BACKUP_TEST_BACKUP"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := backUpForEver(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// backUpForEver makes one backup after the other, and prints a line before each.
func backUpForEver() error {
	ctx := context.Background()
	db, err := database.Open(ctx, "sqlite:"+os.Getenv(databaseEnv), database.Options{})
	if err != nil {
		return err
	}
	bucket, err := localblob.Open(os.Getenv(filesEnv))
	if err != nil {
		return err
	}
	for {
		fmt.Println("begins")
		if _, err := Make(ctx, Source{DB: db, Bucket: bucket}, os.Getenv(backupEnv), Options{Keep: 2, Clock: instant.System}); err != nil {
			return err
		}
	}
}

// killAtRandom lets another process make backups, and kills that process within
// the time that two backups take.
func killAtRandom(t *testing.T, database, files, backup string, duration time.Duration) {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	command := exec.CommandContext(ctx, os.Args[0])
	command.Env = append(os.Environ(), childEnv+"=yes", databaseEnv+"="+database, filesEnv+"="+files, backupEnv+"="+backup)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for first := true; lines.Scan(); first = false {
		if first {
			time.AfterFunc(rand.N(2*duration), kill)
		}
	}
	err = command.Wait()
	if killed, ok := errors.AsType[*exec.ExitError](err); !ok || killed.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child: got %v, want that it was killed", err)
	}
}

// whole fails the test unless every generation of a backup is as its sums say.
func whole(t *testing.T, backup string) (names []string) {
	t.Helper()
	names, err := (folder{path: backup}).names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		checkSums(t, backup, name)
	}
	return names
}

func TestCrash_ABackupThatIsKilledAtAnyMomentLeavesTheLastOneOrTheNewOneWhole(t *testing.T) {
	const kills = 50
	h := open(t, "")
	h.furnish()
	path := filepath.Join(t.TempDir(), "backup")
	begin := time.Now()
	h.made(path)
	duration := time.Since(begin)
	last, generations := "", 0
	for n := range kills {
		if err := h.upload(10+n, 11+n); err != nil { // so that each backup has a file to copy
			t.Fatal(err)
		}
		killAtRandom(t, h.file, h.folder, path, duration)
		names := whole(t, path)
		if len(names) == 0 || names[0] < last {
			t.Fatalf("after kill %d: got generations %q, want %s or a newer one", n, names, last)
		}
		if names[0] != last {
			generations++
		}
		last = names[0]
		if n%10 == 9 {
			to := open(t, "")
			if _, err := to.restore(path); err != nil {
				t.Fatalf("after kill %d: restore: got %v, want no error", n, err)
			}
			if right, findings := to.verify(); right == 0 || len(findings) > 0 {
				t.Errorf("after kill %d: got %d right files, %v, want no findings", n, right, findings)
			}
		}
	}
	t.Logf("%d kills, %d of them after a new generation", kills, generations)
}

func TestCrash_AnUpgradeThatIsKilledAtAnyMomentLeavesAStateThatRestores(t *testing.T) {
	h := open(t, "")
	h.furnish()
	pattern := t.TempDir()
	begin := time.Now()
	h.unmark(pattern)
	duration := time.Since(begin)
	for n := range 10 {
		path := filepath.Join(t.TempDir(), "backup")
		if err := os.CopyFS(path, os.DirFS(pattern)); err != nil {
			t.Fatal(err)
		}
		killAtRandom(t, h.file, h.folder, path, duration)
		whole(t, path)
		if _, err := open(t, "").restore(path); err != nil {
			t.Errorf("kill %d: restore: got %v, want no error", n, err)
		}
		h.made(path)
		whole(t, path)
	}
}
