package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"tagma/internal/testing/childproc"
	"tagma/internal/testing/doctest"
	"tagma/internal/testing/logbuffer"
)

// top is the repository's folder, where a reader of the pages is.
const top = "../../.."

// reader stands in for someone who follows a page: it says what to do where
// the page cannot know it, such as the password that a server has printed.
func (s *server) reader(folder string) *strings.Replacer {
	return strings.NewReplacer(
		"http://127.0.0.1:8080", s.URL,
		"the password that it printed", s.Password,
		"demo-data", folder,
		"/var/lib/tagma", s.Data,
		"/backup/tagma", s.Data+"-backup",
	)
}

func blocksOf(t *testing.T, page string) []doctest.Block {
	t.Helper()
	blocks, err := doctest.Blocks(filepath.Join(top, page))
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

// follow does what a page tells to do in the shell, all but the blocks marked
// "sh run", and gives what that wrote.
func (s *server) follow(t *testing.T, blocks []doctest.Block, folder string, env ...string) string {
	t.Helper()
	reader := s.reader(folder)
	var script []doctest.Block
	for _, b := range blocks {
		if b.Lang == "sh" && b.Info == "" {
			b.Text = reader.Replace(b.Text)
			script = append(script, b)
		}
	}
	said := doctest.RunShell(t, top, env, script...)
	if strings.Contains(said, `"errors":`) {
		t.Errorf("the page's commands are answered with an error:\n%s", said)
	}
	return said
}

// shown fails the test unless what was answered holds what the page shows, but
// for white space.
func shown(t *testing.T, b doctest.Block, answered string) {
	t.Helper()
	var want bytes.Buffer
	if err := json.Compact(&want, []byte(b.Text)); err != nil {
		t.Errorf("%s:%d: got %v, want JSON", b.Path, b.Line, err)
		return
	}
	if !strings.Contains(answered, want.String()) {
		t.Errorf("%s:%d: the page shows an answer that was not given:\n%s\n%s", b.Path, b.Line, want.Bytes(), answered)
	}
}

// launch starts what a block marked "sh run" starts, in a folder of its own and
// on a free port, and stops it when the test ends.
func launch(t *testing.T, b doctest.Block, folder string) *server {
	t.Helper()
	s := &server{t: t, Data: t.TempDir(), logs: &logbuffer.Buffer{}}
	command := exec.Command("bash", "-c", strings.ReplaceAll(b.Text, "demo-data", folder))
	command.Dir = top
	command.Env = append(os.Environ(), "TAGMA_LISTEN=127.0.0.1:0", "TAGMA_DATA="+s.Data)
	command.Stderr = s.logs
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	childproc.KillWithParent(command, syscall.SIGKILL)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM) // go run, and the server that it has started
		for lines.Scan() {                                      // until the last of them has ended
		}
		_ = command.Wait()
	})
	if !lines.Scan() || !addressLine.MatchString(lines.Text()) {
		t.Fatalf("%s:%d: the server does not start: %q\n%s", b.Path, b.Line, lines.Text(), s.logs)
	}
	s.URL = addressLine.FindStringSubmatch(lines.Text())[1]
	if !lines.Scan() || !passwordLine.MatchString(lines.Text()) {
		t.Fatalf("%s:%d: the server tells no password: %q", b.Path, b.Line, lines.Text())
	}
	s.Password = passwordLine.FindStringSubmatch(lines.Text())[1]
	return s
}

func TestDocs_TheReadmeLeadsFromNothingToAnAnsweredQuery(t *testing.T) {
	t.Parallel()
	blocks := blocksOf(t, "README.md")
	folder := filepath.Join(t.TempDir(), "demo-data")
	var first *server
	var said string
	for _, b := range blocks {
		switch {
		case b.Lang == "sh" && b.Info == "run" && first == nil:
			first = launch(t, b, folder)
			said = first.follow(t, blocks, folder)
		case b.Lang == "sh" && b.Info == "run": // on the demo's data, which the shell has made meanwhile
			admin := launch(t, b, folder).admin()
			var got struct{ Device *struct{ ImageCount int } }
			admin.must(&got, `{ device(name: "0a5bb6f4") { imageCount } }`, nil)
			if got.Device == nil || got.Device.ImageCount != 20 {
				t.Errorf("%s:%d: the server has not the demo's data: %+v", b.Path, b.Line, got)
			}
		case b.Lang == "json":
			shown(t, b, said)
		}
	}
	if first == nil {
		t.Fatal("README.md has no block that starts the server")
	}
	// A newcomer goes on with the same server.
	t.Run("and docs/cli.md goes on from there", func(t *testing.T) { first.commandLine(t) })
	t.Run("and so do the examples of the playground", func(t *testing.T) {
		examples(t, first.admin(), map[string]string{
			"Devices":  `"lastTakenAt":"2020-06-30T20:41:05Z"`,
			"Series":   `"name":"insect"`,
			"Activity": `{"activity":[`,
		})
	})
}

// fill puts the demo's data into a server, which runs on meanwhile. It does so
// without the race detector, with which sixty photographs take long.
func (s *server) fill(t *testing.T) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "run", ".", "demo", "--data", s.Data)
	if s.Database != "" {
		command.Args = append(command.Args, "--database", s.Database)
	}
	command.Args, command.Env = append(command.Args, s.args...), append(os.Environ(), s.env...)
	command.Dir = top
	out, err := command.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("Made 60 photographs by 3 traps, and 90 annotations with 1170 objects.")) {
		t.Fatalf("%s: got %v, want 60 photographs and 90 annotations\n%s", command, err, out)
	}
}

func TestDocs_EveryExampleHasAnAnswerOnTheDemosData(t *testing.T) {
	eachStore(t, func(t *testing.T, s *server) {
		s.fill(t)
		admin := s.admin()
		t.Run("of the tour of the API", func(t *testing.T) { tour(t, s, admin) })
		t.Run("of the playground", func(t *testing.T) { examples(t, admin, nil) })
	})
}

// tour does what docs/api.md tells to do: first what is for the shell, then
// what is for the playground, which must all be answered as the page shows.
func tour(t *testing.T, s *server, admin *client) {
	blocks := blocksOf(t, "docs/api.md")
	said := s.follow(t, blocks, "", "TOKEN="+admin.Token)
	reader := s.reader("")
	asked := 0
	for _, b := range blocks {
		switch b.Lang {
		case "graphql":
			asked++
			if strings.HasPrefix(b.Text, "subscription") {
				admin.stream(t, b.Text) // fails if it is refused
				continue
			}
			got := admin.do(reader.Replace(b.Text), nil)
			if len(got.Errors) > 0 {
				t.Errorf("%s:%d: got %s, want no errors", b.Path, b.Line, got.Body)
			}
			said += string(got.Body)
		case "json":
			shown(t, b, said)
		}
	}
	if asked < 15 {
		t.Errorf("the page asks %d times", asked)
	}
}

func TestDocs_LabelsGetIntoTheRepositoryAndOutOfItAsThePageSays(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		blocks, reader, admin := blocksOf(t, "docs/labels.md"), s.reader(""), s.admin()
		env := []string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH")}
		if s.Database != "" {
			env = append(env, "TAGMA_DATABASE="+s.Database)
		}
		said := ""
		var stopped []doctest.Block
		for _, b := range blocks {
			switch {
			case b.Lang == "graphql":
				got := admin.do(b.Text, nil)
				if len(got.Errors) > 0 {
					t.Errorf("%s:%d: got %s, want no errors", b.Path, b.Line, got.Body)
				}
				said += string(got.Body)
			case b.Lang == "json":
				shown(t, b, said)
			case b.Lang == "sh" && b.Info == "stopped":
				b.Text = reader.Replace(b.Text)
				stopped = append(stopped, b)
			}
		}
		wrote := s.follow(t, blocks, "", env...)
		for _, b := range blocks {
			if b.Lang != "text" {
				continue
			}
			for line := range strings.Lines(b.Text) {
				if !strings.Contains(line, "submitted_at") && !strings.Contains(wrote, line) { // that one tells the present
					t.Errorf("%s:%d: git does not show %q:\n%s", b.Path, b.Line, line, wrote)
				}
			}
		}
		s.stop()
		wrote = doctest.RunShell(t, top, env, stopped...)
		for _, want := range []string{"1 files are the same in both, 0 wait, 0 submissions failed; 0 differences.", "Read 1 files: 0 are recorded now, 1 were known, 0 are no submissions."} {
			if !strings.Contains(wrote, want) {
				t.Errorf("the commands do not say %q:\n%s", want, wrote)
			}
		}
	})
}

func TestDocs_AnOperatorCanLookAfterAServerAsThePageSays(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		env := []string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH")}
		if s.Database != "" {
			env = append(env, "TAGMA_DATABASE="+s.Database)
		}
		said := s.follow(t, blocksOf(t, "docs/operations.md"), "", env...)
		fresh := regexp.MustCompile(`admin signs in with the password (\S+)`).FindStringSubmatch(said)
		if fresh == nil || fresh[1] == s.Password {
			t.Fatalf("no new password: %s", said)
		}
		s.signIn("admin", fresh[1])
	})
}

func TestDocs_TheCommandLineDoesWhatItsPageSays(t *testing.T) {
	t.Parallel()
	start(t, "").commandLine(t)
}

// commandLine does what docs/cli.md tells to do.
func (s *server) commandLine(t *testing.T) {
	t.Helper()
	d := newDesk(t)
	if err := os.CopyFS(filepath.Join(d.Home, "docs"), os.DirFS(filepath.Join(top, "docs"))); err != nil {
		t.Fatal(err)
	}
	reader := s.reader("")
	var script []doctest.Block
	var shows []string
	for _, b := range blocksOf(t, "docs/cli.md") {
		b.Text = reader.Replace(b.Text)
		switch b.Lang {
		case "sh":
			script = append(script, b)
		case "text":
			shows = append(shows, b.Text)
		}
	}
	said := doctest.RunShell(t, d.Home, append(d.env, "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH")), script...)
	for _, shown := range shows {
		if !strings.Contains(said, shown) {
			t.Errorf("docs/cli.md shows what was not printed:\n%s\n%s", shown, said)
		}
	}
	if len(shows) < 4 {
		t.Errorf("it shows %d things", len(shows))
	}
}

var setting = regexp.MustCompile(`TAGMA_[A-Z_]+`)

func TestDocs_TheSettingsAreThoseOfTheProgram(t *testing.T) {
	for page, command := range map[string][]string{
		"operations.md": {"--help"},
		"cli.md":        {"push", "images", "--help"},
	} {
		help, err := exec.CommandContext(t.Context(), binary, command...).Output()
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(top, "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		known := setting.FindAllString(string(help), -1)
		for _, name := range known {
			if !bytes.Contains(text, []byte("| `"+name+"` |")) {
				t.Errorf("docs/%s lacks the setting %s", page, name)
			}
		}
		for _, name := range setting.FindAllString(string(text), -1) {
			if !slices.Contains(known, name) {
				t.Errorf("docs/%s has a setting that there is not: %s", page, name)
			}
		}
	}
}

func TestDocs_EveryPackageHasItsLineInTheArchitecture(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(top, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob(filepath.Join(top, "internal", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		info, err := os.Stat(folder)
		if err != nil {
			t.Fatal(err)
		}
		layer, name := filepath.Base(filepath.Dir(folder)), filepath.Base(folder)
		if !info.IsDir() || layer == "bench" || layer == "tools" || name == "internal" {
			continue
		}
		if !bytes.Contains(page, []byte("`"+name+"`")) && !bytes.Contains(page, []byte("`"+layer+"/"+name+"`")) {
			t.Errorf("docs/architecture.md: got no line for the package internal/%s/%s, want one", layer, name)
		}
	}
}

// A link in Markdown, but for those that begin with a scheme.
var (
	link    = regexp.MustCompile(`\]\(([^):#]*)(#[^)]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unslug  = regexp.MustCompile(`[^\w\- ]`)
)

func TestDocs_EveryLinkLeadsSomewhere(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(top, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(top, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil || len(pages) < 15 {
		t.Errorf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			target := page
			if found[1] != "" {
				target = filepath.Join(filepath.Dir(page), found[1])
			}
			if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: nothing is at %s", page, found[1])
			} else if anchor := strings.TrimPrefix(found[2], "#"); anchor != "" && !slugs(t, target)[anchor] {
				t.Errorf("%s: %s has no heading for #%s", page, target, anchor)
			}
		}
	}
}

// slugs are the anchors of a page's headings, as GitHub makes them.
func slugs(t *testing.T, page string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(string(text), -1) {
		found[strings.ReplaceAll(unslug.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
	}
	return found
}
