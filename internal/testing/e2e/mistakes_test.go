package e2e

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// status is the exit status of a command, and what it wrote.
func (d *desk) status(args ...string) (status int, out, said string) {
	d.t.Helper()
	var written, told strings.Builder
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute) // of one that should fail and serves instead
	defer cancel()
	cmd := d.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &written, &told
	err := cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return ended.ExitCode(), written.String(), told.String()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return 0, written.String(), told.String()
}

func TestMistakes_EachAtTheCommandLineIsToldWithTheWordAndTheRemedyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		says []string
	}{
		{"bogus", []string{`"bogus" is no command of tagma`, "admin, annotate, backup"}},
		{"serv", []string{`"serv" is no command of tagma: do you mean serve?`}},
		{"push photos", []string{`"photos" is no command of tagma push: do you mean images?`, "bundle, images"}},
		{"push photos --dry-run x", []string{`"photos" is no command of tagma push`}},
		{"pull images", []string{`"images" is no command of tagma pull`, "bundle"}},
		{"labels x", []string{`"x" is no command of tagma labels`, "import, rebuild, retry, verify"}},
		{"admin foo", []string{`"foo" is no command of tagma admin`, "reset-password"}},
		{"token make", []string{`"make" is no command of tagma token`, "create"}},
		{"completion tcsh", []string{`"tcsh" is no command of tagma completion`, "bash, fish"}},
		{"help bogus", []string{`"bogus" is no command of tagma`}},
		{"help push photos", []string{`"photos" is no command of tagma push`}},
		{"series 0a5bb6f4 2020-06-20", []string{"END is missing", "tagma series DEVICE START END"}},
		{"series", []string{"DEVICE, START and END are missing"}},
		{"series a 2020-06-20 18:00 2020-06-21", []string{`"2020-06-21" is one word too many`, "quote"}},
		{"series a yesterday 2020-06-21", []string{`"yesterday" is not a time`, "2020-06-20T21:33:24Z"}},
		{"series a 2020-06-21 2020-06-20", []string{"START 2020-06-21 is not before END 2020-06-20"}},
		{"series a 2020-06-20 2020-06-21 --csv --json", []string{"--csv and --json do not go together"}},
		{"backup", []string{"FOLDER is missing", "tagma backup FOLDER"}},
		{"restore a b", []string{`"b" is one word too many`}},
		{"pull bundle insects", []string{"DIR is missing", "tagma pull bundle NAME DIR"}},
		{"pull bundle insects x --part x", []string{`--part is "x"`, "data, model or all"}},
		{"push images", []string{"DIR is missing"}},
		{"push images --dry x", []string{"tagma push images has no flag --dry", "do you mean --dry-run?"}},
		{"annotate", []string{"FILE is missing"}},
		{"verify x", []string{`tagma verify takes no words, and got "x"`}},
		{"login a b", []string{`"b" is one word too many`, "tagma login [URL]"}},
		{"token create", []string{"--name is missing"}},
		{"token create --name x --role king", []string{`--role cannot be "king"`, "READER, WRITER, ADMIN"}},
		{"token create --name x --expires soon", []string{`--expires: "soon" is not a time`, "90d"}},
		{"--timeout 30", []string{`--timeout cannot be "30"`, "30s, 5m or 2h"}},
		{"--max-files many", []string{`--max-files cannot be "many"`, "whole number"}},
		{"--listen nonsense", []string{`--listen cannot be "nonsense"`, "HOST:PORT"}},
		{"--database", []string{"--database lacks its value"}},
		{"serve --prot 1", []string{"tagma serve has no flag --prot"}},
		{"--lisen :1", []string{"tagma has no flag --lisen: do you mean --listen?"}},
		{"ready --listen nonsense", []string{`--listen cannot be "nonsense"`}},
	} {
		d := newDesk(t)
		status, out, said := d.status(strings.Fields(c.args)...)
		if status != 2 || out != "" || !strings.HasPrefix(said, "tagma: ") {
			t.Errorf("tagma %s ends with %d, prints %q and says %q, want 2 and nothing printed", c.args, status, out, said)
		}
		for _, says := range c.says {
			if !strings.Contains(said, says) {
				t.Errorf("tagma %s does not say %q: %s", c.args, says, said)
			}
		}
		if left, err := os.ReadDir(d.Home); err != nil || len(left) > 0 {
			t.Errorf("tagma %s leaves %v, %v", c.args, left, err)
		}
	}
}

func TestMistakes_AGroupAloneAndAskedForHelpPrintsItAndSucceeds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "TAGMA_TIMEOUT=wrong") // which help does not mind
	for _, args := range []string{"push", "pull", "labels", "admin", "token", "completion", "help", "help push", "help push images", "push --help", "series --help", "--help"} {
		if status, out, said := d.status(strings.Fields(args)...); status != 0 || !strings.Contains(out, "Usage:") || said != "" {
			t.Errorf("tagma %s ends with %d, prints %q and says %q", args, status, out, said)
		}
	}
}

func TestMistakes_AWrongVariableIsToldBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ variable, says string }{
		{"TAGMA_TIMEOUT=30", "TAGMA_TIMEOUT is not what --timeout takes: give a number with a unit, such as 30s, 5m or 2h"},
		{"TAGMA_TIMEOUTS=30s", "there is no setting TAGMA_TIMEOUTS: do you mean TAGMA_TIMEOUT?"},
		{"TAGMA_LISTEN=nonsense", `--listen cannot be "nonsense"`},
	} {
		d := newDesk(t, c.variable)
		if status, _, said := d.status(); status != 2 || !strings.Contains(said, c.says) {
			t.Errorf("with %s the server ends with %d and says %q, want 2 and %q", c.variable, status, said, c.says)
		}
		if left, err := os.ReadDir(d.Home); err != nil || len(left) > 0 {
			t.Errorf("with %s the server leaves %v, %v", c.variable, left, err)
		}
	}
	// Any other that begins so is told, and does no harm.
	d := newDesk(t, "TAGMA_ELSEWHERE=secret", "TAGMA_PORT=tcp://10.0.0.1:80")
	status, _, said := d.status("logout")
	if status != 0 || strings.Count(said, "TAGMA_") != 0 { // a command without settings reads none
		t.Errorf("logout ends with %d and says %q", status, said)
	}
	_, _, said = d.status("series", "%", "2020-06-20", "2020-06-21", "--server", "http://127.0.0.1:1", "--token", "x", "--retry-for", "0s")
	if !strings.Contains(said, "warning: TAGMA_ELSEWHERE is no setting") || strings.Contains(said, "TAGMA_PORT") || strings.Contains(said, "secret") {
		t.Errorf("an unknown variable is told as %q", said)
	}
}

func TestMistakes_APortInUseNamesItAndTheSetting(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	d := newDesk(t)
	address := listener.Addr().String()
	status, out, said := d.status("--listen", address, "--data", filepath.Join(d.Home, "data"))
	if status != 1 || out != "" || !strings.Contains(said, "tagma: "+address+" is in use, perhaps by another Tagma: stop the other program, or give another address by --listen") {
		t.Errorf("it ends with %d, prints %q and says %q", status, out, said)
	}
}

func TestMistakes_NoPasswordAndNoSuchTrapAreToldAsThat(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	d := newDesk(t)
	if status, _, said := d.status("login", s.URL, "--username", "admin"); status != 2 || !strings.Contains(said, "there is no password on standard input") {
		t.Errorf("login without a password ends with %d and says %q", status, said)
	}
	if status, _, said := d.status("login", s.URL); status != 2 || !strings.Contains(said, "give your name by --username") {
		t.Errorf("login without a name ends with %d and says %q", status, said)
	}
	d = deskAt(t, s.URL, s.admin().Token)
	status, _, said := d.status("series", "0a5bb6f4", "2020-06-20", "2020-06-21")
	if status != 0 || !strings.Contains(said, `"0a5bb6f4" has no image from START to END: % stands for all traps, as in tagma series % 2020-06-20 2020-06-21`) {
		t.Errorf("a series of no trap ends with %d and says %q", status, said)
	}
	if _, _, said := d.status("series", "%", "2020-06-20", "2020-06-21"); strings.Contains(said, "stands for") {
		t.Errorf("a series of all traps says %q", said)
	}
}
