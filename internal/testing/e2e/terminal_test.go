package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is somebody at a terminal at which a command runs.
type terminal struct {
	t     *testing.T
	cmd   *exec.Cmd
	side  *os.File     // theirs
	shown bytes.Buffer // all that the terminal has shown
}

// atTerminal starts a command at a terminal, which is its standard input and
// error. What it prints is not shown there.
func (d *desk) atTerminal(args ...string) *terminal {
	d.t.Helper()
	side, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = side.Close() })
	n, err := unix.IoctlGetInt(int(side.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(side.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(side.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100})
	}
	if err != nil {
		d.t.Fatal(err)
	}
	other, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer other.Close()
	cmd := d.command(d.t.Context(), args...)
	cmd.Stdin, cmd.Stderr = other, other
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	return &terminal{t: d.t, cmd: cmd, side: side}
}

// types waits until the terminal shows a text, and types then.
func (s *terminal) types(after, text string) {
	s.t.Helper()
	b := make([]byte, 1024)
	for from := s.shown.Len(); !strings.Contains(s.shown.String()[from:], after); {
		n, err := s.side.Read(b)
		s.shown.Write(b[:n])
		if err != nil {
			s.t.Fatalf("the terminal shows no %q: %v\n%s", after, err, &s.shown)
		}
	}
	if _, err := io.WriteString(s.side, text); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the command to end, and gives all that was shown.
func (s *terminal) end() (shown string, err error) {
	_, _ = io.Copy(&s.shown, s.side) // until there is nobody at the other side
	err = s.cmd.Wait()
	return s.shown.String(), err
}

func TestLogin_APasswordIsNotShownWhileItIsTyped(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	d := newDesk(t)
	at := d.atTerminal("login", s.URL)
	at.types("Name: ", "admin\n")
	at.types("Password: ", s.Password+"\n")
	shown, err := at.end()
	if err != nil || !strings.Contains(shown, "admin") || strings.Contains(shown, s.Password) {
		t.Errorf("%v, the terminal shows %q", err, shown)
	}
	if _, err := os.Stat(filepath.Join(d.Home, "config", "tagma", "login.json")); err != nil {
		t.Error(err)
	}
}

func TestLogin_CtrlCAtThePasswordEndsIt(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	at := newDesk(t).atTerminal("login", s.URL, "--username", "admin")
	at.types("Password: ", "\x03")
	if shown, err := at.end(); err == nil || !strings.Contains(shown, "tagma: interrupt") {
		t.Errorf("%v, the terminal shows %q", err, shown)
	}
}

func TestPush_ATerminalShowsABarAndALogLines(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	d := deskAt(t, s.URL, s.admin().Token)
	photos := folder(t, snapshots("0a5bb6f4", 40)...)
	shown, err := d.atTerminal("push", "images", photos).end()
	if err != nil || !strings.Contains(shown, "\r") || !strings.Contains(shown, "sending 40 photographs") || !strings.Contains(shown, "%") || !strings.Contains(shown, "B/s") {
		t.Errorf("%v, the terminal shows %q", err, shown)
	}
	fill(t, photos, snapshot("0a5bb6f4", 40, 40))
	if said := d.must("push", "images", photos).Said; strings.Contains(said, "\r") || !strings.Contains(said, "sending 1 photograph: ") {
		t.Errorf("a log has %q", said)
	}
}

func TestBundleFolder_AWrongFolderIsPublishedOnlyAfterAYes(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	d := deskAt(t, s.URL, s.admin().Token)
	scratch := folder(t, file{"model_final.pth", []byte("weights")})
	for _, c := range []struct {
		typed, says string
		ok          bool
	}{
		{"\x03", "tagma: interrupt", false},
		{"\n", "nothing was published", false},
		{"no\n", "nothing was published", false},
		{"y\n", "Publish it? [y/N]", true},
	} {
		at := d.atTerminal("push", "bundle", "insects", scratch)
		at.types("[y/N] ", c.typed)
		if shown, err := at.end(); (err == nil) != c.ok || !strings.Contains(shown, c.says) || !strings.Contains(shown, "no file is in data/, config/ or output/") {
			t.Errorf("the answer %q: got %v and the terminal shows %q, want success %v and %q", c.typed, err, shown, c.ok, c.says)
		}
	}
}
