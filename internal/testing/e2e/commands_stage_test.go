package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"

	"tagma/ent/migrations"
	"tagma/internal/storage/database"
	"tagma/internal/testing/childproc"
)

// stage is a folder with everything that the cases point commands to.
type stage struct {
	t      *testing.T
	folder string
	binary string // where an ordinary user finds it
	env    []string
}

func (s *stage) in(path string) string { return filepath.Join(s.folder, path) }

// newStage builds a stage:
//
//	store         a store with photographs, annotations and labels, stopped
//	other         another store
//	backup        a backup of store; other-backup: of other
//	older, newer  stores of another version
//	file, empty   a file and an empty folder
//	photos, bundle, annotation.json
func newStage(t *testing.T) *stage {
	t.Helper()
	base, err := os.MkdirTemp(filepath.Dir(filepath.Dir(binary)), "tagma-stage-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	s := &stage{t: t, folder: filepath.Join(base, "original"), binary: filepath.Join(base, "tagma")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(base, 0o711)) // an ordinary user may look for what is below
	must(os.Link(binary, s.binary))
	for _, folder := range []string{"empty", "photos", "bundle/output"} {
		must(os.MkdirAll(s.in(folder), 0o755))
	}
	photograph := snapshot("0a5bb6f4", 1, 1)
	for name, content := range map[string][]byte{
		"file": []byte("neither a database nor a key\n"), "annotation.json": []byte(`{"annotations": []}`),
		"photos/" + photograph.Name: photograph.Content, "bundle/output/model_final.pth": []byte("weights"),
	} {
		must(os.WriteFile(s.in(name), content, 0o644))
	}
	for _, name := range []string{"store", "other"} {
		made := &server{t: t, Data: s.in(name)}
		made.boot()
		admin := made.admin()
		admin.upload("REFUSE", photograph, snapshot("0a5bb6f4", 2, 2))
		if got := admin.submit(submission(1, 500), 20); got.Submission.Status != "PUSHED" {
			t.Fatalf("the labels are %+v", got)
		}
		made.stop()
		_, said, ok := tagma(t, nil, "backup", s.in(map[string]string{"store": "backup", "other": "other-backup"}[name]), "--data", s.in(name))
		if !ok {
			t.Fatalf("the backup of %s: %s", name, said)
		}
	}
	s.version("newer", 1)
	s.version("older", -1)
	return s
}

// version makes a store whose database is so many steps from this version.
func (s *stage) version(name string, by int64) {
	s.t.Helper()
	latest, err := database.Latest()
	if err == nil {
		err = os.MkdirAll(s.in(name+"/files"), 0o700)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+s.in(name+"/tagma.db")+"?_pragma=journal_mode(WAL)")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	steps, err := fs.Sub(migrations.Files, "sqlite")
	if err != nil {
		s.t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, steps, goose.WithDisableGlobalRegistry(true))
	if err == nil {
		_, err = provider.UpTo(s.t.Context(), min(latest, latest+by))
	}
	if err == nil {
		_, err = db.ExecContext(s.t.Context(), `INSERT INTO devices VALUES ('0a5bb6f4', 0)`)
	}
	if err == nil && by > 0 {
		_, err = db.ExecContext(s.t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, true)`, latest+by)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// copied is a copy of the stage for one case.
func (s *stage) copied(t *testing.T) *stage {
	t.Helper()
	folder, err := os.MkdirTemp(filepath.Dir(s.folder), "case-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", s.folder+"/.", folder).CombinedOutput(); err != nil {
		t.Fatalf("copy of the stage: got %v %s, want no error", err, out)
	}
	return &stage{t: t, folder: folder, binary: s.binary, env: s.env}
}

// listing is the mode and hash of everything below a folder, by path.
func listing(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(path, folder), "/")
		found[name] = info.Mode().String()
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			found[name] += fmt.Sprintf(" %x", sha256.Sum256(content))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// differences are the paths in which two listings differ, but for those that may.
func differences(before, after map[string]string, may ...string) []string {
	var found []string
	for path := range maps.Keys(before) {
		if after[path] == "" {
			found = append(found, "lost "+path)
		} else if after[path] != before[path] {
			found = append(found, "changed "+path)
		}
	}
	for path := range maps.Keys(after) {
		if before[path] == "" {
			found = append(found, "new "+path)
		}
	}
	found = slices.DeleteFunc(found, func(one string) bool {
		_, path, _ := strings.Cut(one, " ")
		return slices.ContainsFunc(may, func(allowed string) bool { return path == allowed || strings.HasPrefix(path, allowed+"/") })
	})
	slices.Sort(found)
	return found
}

// condition is how a case runs its command.
type condition int

const (
	ordinary condition = iota
	unprivileged
	fullDisk  // no file grows beyond 8 KiB
	fillingUp // no file grows beyond 64 KiB
)

// run runs a command to its end, or a server until it says where it is.
func (s *stage) run(how condition, row commandRow, args ...string) (said string, ok bool) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary, args...)
	if limit := map[condition]string{fullDisk: "8", fillingUp: "64"}[how]; limit != "" {
		cmd = exec.CommandContext(ctx, "bash", append([]string{"-c", `trap '' XFSZ; ulimit -f ` + limit + `; exec "$0" "$@"`, s.binary}, args...)...)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if how == unprivileged && os.Getuid() == 0 { // whom permissions do not bind
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	childproc.KillWithParent(cmd, syscall.SIGKILL)
	cmd.Dir, cmd.Env = s.folder, append(os.Environ(), s.env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var stdout strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&stdout, lines.Text())
		if row.serves && addressLine.MatchString(lines.Text()) {
			cancel()
		}
	}
	err = cmd.Wait()
	said = stderr.String()
	if strings.Contains(said, "DATA RACE") || strings.Contains(said, "goroutine ") {
		s.t.Errorf("tagma %v: got %s, want neither a race nor a panic", args, said)
	}
	return said, err == nil || row.serves && addressLine.MatchString(strings.TrimSpace(strings.SplitN(stdout.String(), "\n", 2)[0]))
}

// own makes a folder read-only, and gives the stage to an ordinary user.
func (s *stage) own(folder string) {
	s.t.Helper()
	err := filepath.WalkDir(s.folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && os.Getuid() == 0 {
			err = os.Lchown(path, 65534, 65534)
		}
		if err == nil && strings.HasPrefix(path, s.in(folder)) {
			mode := fs.FileMode(0o400)
			if entry.IsDir() {
				mode = 0o500
			}
			err = os.Chmod(path, mode)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = exec.Command("chmod", "-R", "u+w", s.in(folder)).Run() })
}
