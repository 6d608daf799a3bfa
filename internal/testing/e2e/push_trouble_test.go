package e2e

import (
	"bufio"
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

func TestPush_AFolderThatCannotBeReadIsToldAndTheRestIsSent(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	base, err := os.MkdirTemp(filepath.Dir(filepath.Dir(binary)), "tagma-push-")
	if err != nil {
		t.Fatal(err)
	}
	card := filepath.Join(base, "card")
	closed := filepath.Join(card, "lost+found")
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700); _ = os.RemoveAll(base) })
	fill(t, filepath.Join(card, "DCIM"), snapshot("0a5bb6f4", 0, 1))
	fill(t, closed, snapshot("0a5bb6f4", 1, 1))
	fill(t, filepath.Join(base, "home"))
	program := filepath.Join(base, "tagma")
	for _, err := range []error{os.Chmod(base, 0o711), os.Link(binary, program), os.Chmod(closed, 0)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d := newDesk(t, "TAGMA_SERVER="+s.URL, "TAGMA_TOKEN="+admin.Token, "HOME="+base+"/home", "XDG_CONFIG_HOME="+base+"/home", "XDG_CACHE_HOME="+base+"/home")
	d.Home = base
	var out, said bytes.Buffer
	cmd := d.command(t.Context(), "push", "images", card, filepath.Join(base, "absent"))
	cmd.Path, cmd.Args[0] = program, program
	if os.Getuid() == 0 { // whom permissions do not bind
		if text, err := exec.CommandContext(t.Context(), "chown", "-R", "65534:65534", base+"/home", card).CombinedOutput(); err != nil {
			t.Fatalf("chown: %s", text)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Stdout, cmd.Stderr = &out, &said
	_ = cmd.Run()
	got := ran{Out: out.String(), Said: said.String()}
	got.says(t, "CREATED", "1 photograph")
	got.says(t, "NOT READ", closed, "permission denied")
	got.says(t, "NOT READ", filepath.Join(base, "absent"), "no such file or directory")
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(got.Said, "tagma: folders that cannot be read: 2") {
		t.Errorf("the push: got status %d and %q, want 1 and the number of folders", cmd.ProcessState.ExitCode(), got.Said)
	}
	if n := admin.images(); n != 1 {
		t.Errorf("images of the server: got %d, want 1", n)
	}
}

func TestPush_NoPhotographIsNoSuccessAndWhatIsPassedOverCanBeListed(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	d := deskAt(t, s.URL, s.admin().Token)
	card := folder(t, file{"IMG_0001.JPG", []byte("a beach")})
	if err := os.Symlink(t.TempDir(), filepath.Join(card, "more")); err != nil {
		t.Fatal(err)
	}
	got := d.run("", "push", "images", card)
	if got.OK || !strings.Contains(got.Said, "there is no photograph: ") || !strings.Contains(got.Said, "--allow-empty") {
		t.Errorf("a push without photographs: got success %v and %q, want a failure that names --allow-empty", got.OK, got.Said)
	}
	got.says(t, "Files with other names, passed over: 2")
	if strings.Contains(got.Out, "IMG_0001.JPG") {
		t.Errorf("without --verbose: got %q, want no names", got.Out)
	}
	got = d.must("push", "images", "--allow-empty", "--verbose", card)
	got.says(t, "PASSED OVER", filepath.Join(card, "IMG_0001.JPG"), "not the name of a photograph")
	got.says(t, "PASSED OVER", filepath.Join(card, "more"), "links to folders are not followed")
}

func TestPush_ARejectedPhotographIsNotSentAtEachPush(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin, proxy := s.admin(), before(t, s)
	d := deskAt(t, proxy.URL, admin.Token)
	broken := snapshot("0a5bb6f4", 1, 1)
	broken.Content = broken.Content[:len(broken.Content)/2]
	photos := folder(t, snapshot("0a5bb6f4", 0, 0), broken)
	for _, push := range []struct {
		args    []string
		uploads int64
		says    string
	}{
		{[]string{"push", "images", photos}, 1, ""},
		{[]string{"push", "images", photos}, 1, "it was not sent again"},
		{[]string{"push", "images", "--retry-rejected", photos}, 2, ""},
	} {
		got := d.run("", push.args...)
		got.says(t, "REJECTED", filepath.Join(photos, broken.Name))
		if got.OK || !strings.Contains(got.Out, push.says) || proxy.Uploads.Load() != push.uploads {
			t.Errorf("tagma %v: got success %v, %d uploads and %q, want a failure after %d uploads that says %q",
				push.args, got.OK, proxy.Uploads.Load(), got.Out, push.uploads, push.says)
		}
	}
	whole := snapshot("0a5bb6f4", 1, 1)
	fill(t, photos, whole) // mended
	d.must("push", "images", photos).says(t, "CREATED", "1 photograph")
}

func TestPush_AnInterruptedPushCountsWhatHadArrived(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin, proxy := s.admin(), before(t, s)
	d := deskAt(t, proxy.URL, admin.Token)
	photos := folder(t, snapshots("0a5bb6f4", 40)...)
	var out, said bytes.Buffer
	cmd := d.command(t.Context(), "push", "images", "--parallel", "1", photos)
	cmd.Stdout, cmd.Stderr = &out, &said
	started := make(chan *os.Process, 1)
	proxy.mu.Lock()
	proxy.after = func(int64) {
		process := <-started
		_ = process.Signal(syscall.SIGINT)
		started <- process
	}
	proxy.mu.Unlock()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started <- cmd.Process
	_ = cmd.Wait() // the status is checked below
	got := ran{Out: out.String(), Said: said.String()}
	stored := admin.images()
	got.says(t, "CREATED", fmt.Sprint(stored)+" photographs")
	got.says(t, "NOT SENT", fmt.Sprint(40-stored)+" photographs")
	if cmd.ProcessState.ExitCode() != 130 || stored != 32 {
		t.Errorf("the interrupted push: got status %d and %d images, want 130 and 32: %s", cmd.ProcessState.ExitCode(), stored, got.Said)
	}
}

func TestPush_AWrongCacheMendsItself(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	d := deskAt(t, s.URL, admin.Token)
	photos := folder(t, snapshots("0a5bb6f4", 2)...)
	for n := range 2 { // so old that their fingerprints are stored
		path := filepath.Join(photos, snapshot("0a5bb6f4", n, 0).Name)
		if err := os.Chtimes(path, time.Now(), time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	falsify := func() {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(d.Home, "cache", "tagma", "fingerprints.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		result, err := db.ExecContext(t.Context(), `UPDATE files SET md5 = '00000000000000000000000000000000'`)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := result.RowsAffected(); err != nil || n != 2 {
			t.Fatalf("rows of the cache: got %d, %v, want 2", n, err)
		}
	}
	d.must("push", "images", "--dry-run", photos)
	falsify()
	d.must("push", "images", photos).says(t, "CREATED", "2 photographs")
	falsify()
	d.must("push", "images", photos).says(t, "UNCHANGED", "2 photographs")
	if said := d.must("push", "images", photos).Said; strings.Contains(said, "reading") {
		t.Errorf("the push after the mending: got %q, want no file read", said)
	}
}

func TestPush_WaitsForTheServerFromTheFirstRequestOn(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	proxy := before(t, s)
	d := deskAt(t, proxy.URL, s.token(s.admin()))
	photos := folder(t, snapshot("0a5bb6f4", 0, 0))
	s.kill()
	var out bytes.Buffer
	cmd := d.command(t.Context(), "push", "images", photos)
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.Contains(lines.Text(), "trying again in") {
		t.Errorf("first line without a server: got %q, want that it tries again", lines.Text())
	}
	s.boot()
	proxy.to(t, s)
	for lines.Scan() {
		_ = lines.Text()
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "CREATED") {
		t.Errorf("the push: got %v and %q, want the photograph created", err, out.String())
	}
}
