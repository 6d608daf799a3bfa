package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tagma/internal/testing/childproc"
	"tagma/internal/testing/testenv"
)

// tagma runs the command to its end.
func tagma(t *testing.T, environment []string, args ...string) (out, errors string, ok bool) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), environment...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ok = cmd.Run() == nil
	return stdout.String(), stderr.String(), ok
}

// flags are those that --help lists, with the rest of their lines.
func flags(t *testing.T) map[string]string {
	t.Helper()
	out, _, ok := tagma(t, nil, "--help")
	if !ok {
		t.Fatal("--help fails")
	}
	found := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^\s+(?:-\w, )?--([\w-]+)\s+(.*)$`).FindAllStringSubmatch(out, -1) {
		found[line[1]] = line[2]
	}
	delete(found, "help")
	delete(found, "version")
	return found
}

func TestOperator_HelpListsEveryFlagWithItsDefaultAndVariable(t *testing.T) {
	all := flags(t)
	for name, help := range all {
		variable := "[TAGMA_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "]"
		if !strings.Contains(help, variable) {
			t.Errorf("--%s does not name its variable %s: %s", name, variable, help)
		}
		if !strings.Contains(help, "(default") && name != "trust-proxy" { // which is off
			t.Errorf("--%s has no default: %s", name, help)
		}
	}
	if len(all) < 20 {
		t.Errorf("--help lists %d flags: %v", len(all), all)
	}
}

func TestOperator_AnotherValueOfEachFlagIsTakenOrRefusedInOneClearLine(t *testing.T) {
	for name := range flags(t) {
		// No flag takes a NUL, and none but those that name things takes text.
		variable := "TAGMA_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		bad := "no-such:thing"
		if name == "data" {
			bad = filepath.Join(binary, "below-a-file")
		}
		for how, run := range map[string]func() (string, string, bool){
			"flag":     func() (string, string, bool) { return tagma(t, nil, "--listen", "127.0.0.1:0", "--"+name, bad) },
			"variable": func() (string, string, bool) { return tagma(t, []string{variable + "=" + bad}) },
		} {
			if name == "listen" && how == "flag" {
				run = func() (string, string, bool) { return tagma(t, nil, "--listen", bad) }
			}
			_, said, ok := run()
			lines := strings.Split(strings.TrimSpace(said), "\n")
			last := lines[len(lines)-1]
			if ok || !strings.HasPrefix(last, "tagma: ") || strings.Contains(said, "goroutine") || strings.Contains(said, "Usage:") {
				t.Errorf("a bad --%s by %s is answered %v %q", name, how, ok, said)
			}
			if how == "variable" && strings.Contains(last, "is not what") && !strings.Contains(last, variable) {
				t.Errorf("the refusal of %s does not name it: %s", variable, last)
			}
		}
	}
	for _, args := range [][]string{
		{"--timeout", "0s"}, {"--timeout", "-1s"}, {"--link-lifetime", "1s"}, {"--max-cost", "0"}, {"--max-depth", "-1"}, {"--max-aliases", "0"},
		{"--page-size", "0"}, {"--page-size", "2000"}, {"--max-page-size", "0"}, {"--max-query-tokens", "0"}, {"--max-pixels", "-1"}, {"--decoders", "0"},
		{"--database", "mysql://root:canary-password@localhost/db"}, {"--database", "postgres://u:canary-password@127.0.0.1:1/db?sslmode=disable"},
		{"--database", "postgres://u:canary-password@bad host/"}, {"--storage", "s3://bucket"}, {"--unknown"}, {"unknown"}, {"admin", "reset-password"},
	} {
		out, said, ok := tagma(t, nil, append([]string{"--listen", "127.0.0.1:0"}, args...)...)
		if ok || !strings.Contains(said, "tagma: ") || strings.Contains(said+out, "canary") || strings.Contains(said, "goroutine") {
			t.Errorf("%v is answered %v %q", args, ok, said)
		}
	}
}

func TestOperator_AVariableIsHeardAndAFlagWins(t *testing.T) {
	t.Setenv("TAGMA_MAX_DEPTH", "5")
	t.Setenv("TAGMA_MAX_ALIASES", "7")
	s := start(t, "", "--max-aliases", "9")
	if l := s.limits(); l.Depth != 5 || l.Aliases != 9 {
		t.Errorf("the limits are %+v", l)
	}
}

func TestOperator_ALostPasswordIsResetWhileTheServerRuns(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		before := s.admin()
		args := []string{"admin", "reset-password", "admin", "--data", s.Data}
		if s.Database != "" {
			args = append(args, "--database", s.Database)
		}
		out, said, ok := tagma(t, nil, args...)
		found := regexp.MustCompile(`admin signs in with the password (\S+)\n`).FindStringSubmatch(out)
		if !ok || found == nil {
			t.Fatalf("the reset is answered %q %q", out, said)
		}
		until(t, "the session of before has ended", 10*time.Second, func() bool { return !before.alive() })
		if got := s.anonymous().do(`mutation($p: String!) { login(username: "admin", password: $p) { token } }`, vars{"p": s.Password}); got.code() != "UNAUTHENTICATED" {
			t.Errorf("the password of before is answered %s", got.Body)
		}
		s.signIn("admin", found[1])
		args[2] = "nobody"
		if _, said, ok := tagma(t, nil, args...); ok || !strings.Contains(said, `"nobody"`) {
			t.Errorf("to reset nobody's password is answered %q", said)
		}
	})
}

func TestOperator_AStopLetsTheRequestsUnderWayFinish(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		// Each client sends until it finds nobody: what was sent is answered in
		// full, or never was taken.
		var (
			clients  sync.WaitGroup
			mu       sync.Mutex
			answered []file
		)
		begun := make(chan struct{}, 100)
		for n := range 4 {
			clients.Go(func() {
				for m := range 1000 {
					f := snapshot(fmt.Sprintf("%08x", n), m, uint64(m))
					body, contentType := form(t, uploadImages, "REFUSE", f)
					got, err := admin.try(body, contentType)
					if err != nil {
						return // refused: the server has stopped
					}
					if len(got.Errors) > 0 || !strings.Contains(string(got.Data), "CREATED") {
						t.Errorf("an upload during the stop is answered %d %s", got.Status, got.Body)
					}
					mu.Lock()
					answered = append(answered, f)
					mu.Unlock()
					select {
					case begun <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 20 {
			<-begun
		}
		s.stop() // fails if the exit is not 0
		clients.Wait()
		s.boot()
		var got struct{ ImageSeries struct{ TotalCount int } }
		admin.must(&got, `{ imageSeries(series: [{device: "%", start: "2020-06-01T00:00:00Z", end: "2020-07-01T00:00:00Z"}]) { totalCount } }`, nil)
		if got.ImageSeries.TotalCount < len(answered) {
			t.Errorf("of %d uploads that were answered %d are there", len(answered), got.ImageSeries.TotalCount)
		}
	})
}

func TestOperator_OfTwoServersThatStartAtOnceOneTellsTheFirstPassword(t *testing.T) {
	database := testenv.Postgres(t)
	var both []*server
	for range 2 { // each with a folder of its own, as every server has
		both = append(both, &server{t: t, Data: filepath.Join(t.TempDir(), "data"), Database: database})
	}
	lines := make([]string, 2)
	var ready sync.WaitGroup
	for n, s := range both {
		cmd := exec.CommandContext(t.Context(), binary, "--listen", "127.0.0.1:0", "--data", s.Data, "--database", s.Database)
		childproc.KillWithParent(cmd, syscall.SIGKILL)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ready.Go(func() {
			text := make([]byte, 4096)
			for !strings.Contains(lines[n], "\n") {
				count, err := out.Read(text)
				if err != nil {
					t.Errorf("a server did not start: %v %s", err, said.String())
					return
				}
				lines[n] += string(text[:count])
			}
			// The line of the password, where there is one, comes in the same
			// breath; a request that is answered comes after it.
			s.URL = strings.TrimSuffix(strings.Fields(lines[n])[3], "/")
			if response, err := http.Get(s.URL + "/readyz"); err != nil || response.StatusCode != http.StatusOK {
				t.Errorf("a server is not ready: %v %v", response, err)
			} else {
				_ = response.Body.Close()
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
			rest, _ := bytesOf(out)
			lines[n] += rest
			if err := cmd.Wait(); err != nil {
				t.Errorf("a server ended with %v\n%s", err, said.String())
			}
		})
	}
	ready.Wait()
	if n := strings.Count(lines[0]+lines[1], "Sign in as admin with the password"); n != 1 {
		t.Errorf("%d of two servers have told the first password: %q", n, lines)
	}
	steps, people := map[string]int{}, 0
	db := both[0].open()
	for _, row := range query(t, db, `SELECT version_id, is_applied FROM goose_db_version WHERE version_id > 0`) {
		steps[row["version_id"]]++
	}
	for range query(t, db, `SELECT id FROM users`) {
		people++
	}
	for step, times := range steps {
		if times != 1 {
			t.Errorf("step %s of the migrations was taken %d times", step, times)
		}
	}
	if len(steps) == 0 || people != 1 {
		t.Errorf("there are %d steps and %d people", len(steps), people)
	}
}

// bytesOf is what is left to read.
func bytesOf(r interface{ Read([]byte) (int, error) }) (string, error) {
	var rest bytes.Buffer
	_, err := rest.ReadFrom(r)
	return rest.String(), err
}
