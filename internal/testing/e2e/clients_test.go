package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// clients is the folder with the suites of real clients, each a *.test.mjs for
// node's own test runner, and the programs of docs/clients.md. Needs Node.js
// and `npm ci` there.
const clients = "clients"

// photographs writes five photographs of one trap, a second apart, into a
// folder, and gives their paths.
func photographs(t *testing.T, folder string) []string {
	t.Helper()
	var paths []string
	for n := range 5 {
		photograph := snapshot(trap, n+1, uint64(n+1))
		path := filepath.Join(folder, photograph.Name)
		if err := os.WriteFile(path, photograph.Content, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// foreign is a program in a folder below clients that works with the server as
// its administrator.
func (s *server) foreign(folder, password string, program ...string) *exec.Cmd {
	s.t.Helper()
	if _, err := os.Stat(clients + "/node_modules"); err != nil {
		s.t.Fatal("internal/testing/e2e/clients/node_modules is not there: run `npm ci` in internal/testing/e2e/clients")
	}
	command := exec.CommandContext(s.t.Context(), program[0], program[1:]...)
	command.Dir = filepath.Join(clients, folder)
	command.Env = append(os.Environ(), "TAGMA_URL="+s.URL, "TAGMA_USER=admin", "TAGMA_PASSWORD="+password)
	return command
}

var counts = regexp.MustCompile(`(?m)^# (tests|pass) (\d+)$`)

func TestClients_ThoseOfFrontEndsWorkWithTheRealServer(t *testing.T) {
	t.Parallel()
	suites, err := filepath.Glob(clients + "/*.test.mjs")
	if err != nil || len(suites) == 0 {
		t.Fatalf("no suites: %v", err)
	}
	for _, suite := range suites {
		t.Run(strings.TrimSuffix(filepath.Base(suite), ".test.mjs"), func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			photographs(t, folder)
			s := start(t, "")
			command := s.foreign("", s.Password, "node", "--test", "--test-timeout=60000", "--test-reporter=tap", filepath.Base(suite))
			command.Env = append(command.Env, "TAGMA_PHOTOS="+folder)
			said, err := command.CombinedOutput()
			n := map[string]string{}
			for _, count := range counts.FindAllStringSubmatch(string(said), -1) {
				n[count[1]] = count[2]
			}
			if err != nil || n["tests"] == "0" || n["tests"] != n["pass"] {
				t.Errorf("node --test: got %v with counts %v, want every test to pass\n%s", err, n, said)
			}
			t.Logf("%s: %s tests", suite, n["tests"])
		})
	}
}

func TestClients_TheProgramsOfThePageUploadAnnotateAndPage(t *testing.T) {
	t.Parallel()
	for name, program := range map[string][]string{
		"Apollo Client": {"node", "apollo.mjs"},
		"urql":          {"node", "urql.mjs"},
		"curl":          {"bash", "curl.sh"},
		"Python":        {"python3", "standard.py"},
		"Go":            {"go", "run", "./golang"},
		// Relay's is compiled first: see relay.test.mjs.
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "")
			paths := photographs(t, t.TempDir())
			program = append(program, paths...)
			// Turned away, it says with which code.
			said, err := s.foreign("examples", "a guess", program...).CombinedOutput()
			if err == nil || !strings.Contains(string(said), "UNAUTHENTICATED") {
				t.Errorf("with a wrong password: %v\n%s", err, said)
			}
			said, err = s.foreign("examples", s.Password, program...).CombinedOutput()
			if err != nil {
				t.Fatalf("program with the password: got %v, want exit status 0\n%s", err, said)
			}
			var want []string // in this order
			for _, path := range paths {
				want = append(want, filepath.Base(path), "CREATED")
			}
			for n := range paths {
				want = append(want, at(n+1))
			}
			rest := string(said)
			for _, word := range want {
				_, after, found := strings.Cut(rest, word)
				if !found {
					t.Fatalf("%q does not come where it should:\n%s", word, said)
				}
				rest = after
			}
			var got struct {
				Image struct {
					Annotations []struct {
						Algorithm struct{ Name string }
						Objects   []struct{ Name string }
					}
				}
			}
			s.admin().must(&got, fmt.Sprintf(`{ image(device: %q, takenAt: %q) { annotations { algorithm { name } objects { name } } } }`, trap, at(1)), nil)
			if fmt.Sprint(got) != "{{[{{by-hand} [{moth}]}]}}" {
				t.Errorf("the annotation is %v", got)
			}
		})
	}
}

// Python's standard library sends the whole body before it reads the answer.
func TestClients_APythonProgramReadsWhyItsUploadIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--max-upload-bytes=20000000", "--max-file-bytes=20000000")
	path := filepath.Join(t.TempDir(), trap+".2020-06-20_20-00-01.jpg")
	if err := os.WriteFile(path, make([]byte, 40_000_000), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := s.foreign("examples", s.Password, "python3", "standard.py", path).CombinedOutput()
	if err == nil || !strings.Contains(string(said), "TOO_LARGE: the body is larger than the limit of 20000000 bytes") {
		t.Errorf("an upload of 40 MB: got %v, want TOO_LARGE\n%s", err, said)
	}
}

// The blocks of the page name the file that they show, from clients/examples.
func TestClients_ThePageShowsTheProgramsThatRunHere(t *testing.T) {
	var shown []string
	for _, block := range blocksOf(t, "docs/clients.md") {
		if block.Lang == "console" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(clients, block.Info))
		if block.Info == "" || err != nil {
			t.Errorf("%s:%d: the block shows no file: %v", block.Path, block.Line, err)
		} else if block.Text != string(text) {
			t.Errorf("%s:%d: the block is not what internal/testing/e2e/clients/%s says", block.Path, block.Line, block.Info)
		}
		shown = append(shown, block.Info)
	}
	err := filepath.WalkDir(clients+"/examples", func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !slices.Contains(shown, strings.TrimPrefix(path, clients+"/")) {
			t.Errorf("docs/clients.md does not show %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
