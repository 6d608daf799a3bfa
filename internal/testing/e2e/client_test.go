package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	ent "tagma/ent/generated"
)

func TestLogin_TheFileIsItsOwnersAloneAndLogoutEndsIt(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	d := newDesk(t)
	got := d.run(s.Password+"\n", "login", s.URL+"/", "--username", "Admin")
	if !got.OK || !strings.Contains(got.Out, "admin (ADMIN) is signed in at "+s.URL+" until ") {
		t.Fatalf("login: got success %v, %s%s, want admin signed in at %s", got.OK, got.Out, got.Said, s.URL)
	}
	name := filepath.Join(d.Home, "config", "tagma", "login.json")
	for path, want := range map[string]fs.FileMode{name: 0o600, filepath.Dir(name): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s: got %v (%v), want %v", path, info, err, want)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var kept struct{ Server, Username, Token string }
	if err := json.Unmarshal(text, &kept); err != nil || kept.Server != s.URL || kept.Username != "admin" {
		t.Fatalf("login file: got %s (%v), want admin at %s", text, err, s.URL)
	}
	session := &client{t: t, s: s, Token: kept.Token}
	if !session.alive() {
		t.Error("the session is none")
	}
	all := got.Out + got.Said
	got = d.must("series", "%", "2020-06-20", "2020-06-21")
	all += got.Out + got.Said
	got = d.must("logout")
	all += got.Out + got.Said
	if session.alive() {
		t.Error("the session outlives the logout")
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("the file outlives the logout")
	}
	got = d.run("", "series", "%", "2020-06-20", "2020-06-21")
	if got.OK || !strings.Contains(got.Said, "sign in with tagma login") {
		t.Errorf("series after logout: got success %v, %q, want a hint to tagma login", got.OK, got.Said)
	}
	s.stop()
	for _, secret := range []string{kept.Token, s.Password} {
		if strings.Contains(all, secret) || strings.Contains(s.logs.String(), secret) {
			t.Error("a secret is in what was printed or logged")
		}
	}
}

func TestLogin_AWrongPasswordKeepsNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	d := newDesk(t, "TAGMA_SERVER="+s.URL)
	got := d.run("not the password", "login", "--username", "admin")
	if got.OK || strings.Contains(got.Out+got.Said, "not the password") {
		t.Errorf("login with a wrong password: got success %v, %s%s, want a failure without the password", got.OK, got.Out, got.Said)
	}
	if got := d.run(s.Password, "login"); got.OK || !strings.Contains(got.Said, "--username") {
		t.Errorf("without a terminal nor a name: %v %s", got.OK, got.Said)
	}
	if files, _ := filepath.Glob(filepath.Join(d.Home, "config", "tagma", "*")); len(files) > 0 {
		t.Errorf("it keeps %v", files)
	}
}

func TestClient_ATokenGoesToItsOwnServerOnly(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	var heard atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			heard.Add(1)
		}
	}))
	defer elsewhere.Close()
	astray := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/graphql", http.StatusTemporaryRedirect))
	defer astray.Close()
	d := newDesk(t)
	if got := d.run(s.Password, "login", s.URL, "--username", "admin"); !got.OK {
		t.Fatal(got.Said)
	}
	got := d.run("", "series", "%", "2020-06-20", "2020-06-21", "--server", elsewhere.URL)
	if got.OK || !strings.Contains(got.Said, "nobody is signed in at "+elsewhere.URL) {
		t.Errorf("series at another server: got success %v, %q, want nobody signed in at %s", got.OK, got.Said, elsewhere.URL)
	}
	got = deskAt(t, astray.URL, "canary").run("", "series", "%", "2020-06-20", "2020-06-21")
	if got.OK || !strings.Contains(got.Said, "sends on to "+elsewhere.URL) || strings.Contains(got.Said, "canary") {
		t.Errorf("series at a server that redirects: got success %v, %q, want a failure that names %s", got.OK, got.Said, elsewhere.URL)
	}
	if heard.Load() > 0 {
		t.Error("the token went to another server")
	}
}

func TestClient_WhatIsWrongIsSaidInOneLineWithoutTheToken(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for name, test := range map[string]struct {
		server string
		args   []string
		want   string
	}{
		"a token that does not hold": {s.URL, []string{"push", "images", "."}, "token"},
		"nobody there":               {"http://127.0.0.1:1", []string{"push", "images", ".", "--retry-for", "0s"}, "http://127.0.0.1:1 cannot be reached"},
		"another server":             {other.URL, []string{"push", "images", "."}, "404 Not Found, as Tagma does not"},
		"no address":                 {"localhost:8080", []string{"push", "images", "."}, "is not the address of a server"},
		"a password in the address":  {"http://u:canary@127.0.0.1", []string{"push", "images", "."}, "without a user name or password"},
		"no folder":                  {s.URL, []string{"push", "images", "nowhere"}, ""},
		"no time":                    {s.URL, []string{"series", "%", "yesterday", "2020-06-21"}, `"yesterday" is not a time`},
		"two forms":                  {s.URL, []string{"series", "%", "2020-06-20", "2020-06-21", "--csv", "--json"}, "--csv and --json do not go together"},
		"no such role":               {s.URL, []string{"token", "create", "--name", "x", "--role", "KING"}, `--role cannot be "KING"`},
		"a token's end":              {s.URL, []string{"token", "create", "--name", "x", "--expires", "soon"}, `--expires: "soon" is not a time`},
		"a flag of the server":       {s.URL, []string{"push", "images", ".", "--data", "x"}, "tagma push images has no flag --data"},
	} {
		t.Run(name, func(t *testing.T) {
			d := deskAt(t, test.server, "canary")
			got := d.run("", test.args...)
			line := strings.TrimSuffix(got.Said, "\n")
			if got.OK || !strings.HasPrefix(line, "tagma: ") || strings.Contains(line, "\n") || !strings.Contains(line, test.want) {
				t.Errorf("it is answered %v %q", got.OK, got.Said)
			}
			if strings.Contains(got.Out+got.Said, "canary") {
				t.Errorf("a secret is shown: %s%s", got.Out, got.Said)
			}
			if files, _ := filepath.Glob(filepath.Join(d.Home, "tagma-data*")); len(files) > 0 {
				t.Errorf("a client makes %v", files)
			}
		})
	}
}

func TestToken_ItsSecretIsAllThatIsPrinted(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	maker := deskAt(t, s.URL, s.admin().Token)
	got := maker.must("token", "create", "--name", "statistics", "--role", "READER", "--expires", "2099-01-31")
	secret := strings.TrimSuffix(got.Out, "\n")
	if strings.ContainsAny(secret, " \n") || strings.Contains(got.Said, secret) || !strings.Contains(got.Said, "may do what a READER may, until 2099-01-31T00:00:00Z") {
		t.Errorf("token create: got %q and message %q, want the secret alone and a message without it", got.Out, got.Said)
	}
	deskAt(t, s.URL, secret).must("series", "%", "2020-06-20", "2020-06-21")
}

func TestAnnotate_WhatWasAnnotatedComesBackAsItWas(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		d := deskAt(t, s.URL, admin.Token)
		photos := snapshots("0a5bb6f4", 3)
		admin.upload("REFUSE", photos...)
		// OpenCV's nesting, a fraction, no colours, and an image in which there
		// is nothing.
		fill(t, d.Home,
			documentOf("moths.json", photos[0], 0, `[{"contour":[[[1,2]],[[30,2]],[[30,40.5]]],"name":"moth","stroke_colour":"#0000ff","fill_colour":"#ff0000","value":7,"score":0.93,"legs":[6,null],"note":"a, \"b\""},{"contour":[[[5,5]],[[9,5]],[[9,9]]],"name":"fly"}]`),
			documentOf("nothing.json", photos[1], 1, `[]`))
		got := d.must("annotate", "moths.json", "nothing.json")
		if got.Out != "The server has 2 of these annotations.\n" {
			t.Errorf("annotate: got %q, want 2 annotations", got.Out)
		}
		d.must("annotate", "--atomic", "moths.json", "nothing.json") // once more, which does no harm

		got = d.must("series", "0a5bb6f4", "2020-06-20", "2020-06-21", "--json", "--annotations")
		var documents strings.Builder
		for n, line := range strings.Split(strings.TrimSpace(got.Out), "\n") {
			var i struct {
				Device, TakenAt, Md5 string
				Annotations          []json.RawMessage
			}
			if err := json.Unmarshal([]byte(line), &i); err != nil || i.Device != "0a5bb6f4" || i.TakenAt != at(n) || i.Md5 != md5Of(photos[n]) {
				t.Errorf("line %d of series --json: got %s (%v), want 0a5bb6f4 at %s with MD5 %s", n, line, err, at(n), md5Of(photos[n]))
			}
			for _, one := range i.Annotations {
				fmt.Fprintln(&documents, string(one))
			}
		}
		sent, err := os.ReadFile(filepath.Join(d.Home, "moths.json"))
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(documents.String(), "\n")
		if first != string(sent) {
			t.Errorf("sent:\n%s\ncame back:\n%s", sent, first)
		}
		if got := d.run(documents.String(), "annotate", "-"); !got.OK || got.Out != "The server has 2 of these annotations.\n" {
			t.Errorf("what came back is refused: %s", got.Said)
		}

		got = d.must("series", "%", "2020-06-20", "2020-06-21", "--annotations")
		rows, err := csv.NewReader(strings.NewReader(got.Out)).ReadAll()
		if err != nil || len(rows) != 5 {
			t.Fatalf("%d rows, %v\n%s", len(rows), err, got.Out)
		}
		column := map[string]int{}
		for n, name := range rows[0] {
			column[name] = n
		}
		for n, want := range []string{
			`moth/7/1/2/29/38.5/558.25/[[1,2],[30,2],[30,40.5]]/0.93/{"legs":[6,null],"note":"a, \"b\""}`, `fly//5/5/4/4/8/[[5,5],[9,5],[9,9]]//`, `/////////`, `/////////`,
		} {
			var cells []string
			for _, name := range []string{"name", "value", "box_x", "box_y", "box_width", "box_height", "area", "contour", "score", "attributes"} {
				cells = append(cells, rows[n+1][column[name]])
			}
			if got := strings.Join(cells, "/"); got != want {
				t.Errorf("row %d is %s, not %s", n+1, got, want)
			}
		}
		if rows[3][column["algorithm"]] != "by-hand" || rows[4][column["algorithm"]] != "" {
			t.Errorf("algorithm of rows 3 and 4: got %v, want by-hand and none", rows)
		}
	})
}

// documentOf is a file with an annotation of the snapshot n.
func documentOf(name string, of file, n int, objects string) file {
	taken := strings.TrimSuffix(strings.TrimPrefix(snapshot("0a5bb6f4", n, 0).Name, "0a5bb6f4."), ".jpg")
	return file{name, fmt.Appendf(nil,
		`{"annotations":%s,"metadata":{"algo_name":"by-hand","algo_version":"1","device":"0a5bb6f4","datetime":"%s","md5":"%s"}}`,
		objects, taken, md5Of(of))}
}

func TestAnnotate_ProblemsAreListedByFileAndTheOthersAreTaken(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	d := deskAt(t, s.URL, admin.Token)
	photos := snapshots("0a5bb6f4", 2)
	admin.upload("REFUSE", photos...)
	square := `[{"contour":[[1,2],[30,2],[30,40]],"name":"moth"}]`
	two := documentOf("two.json", photos[1], 1, square)
	two.Content = append(append([]byte(`{"annotations":[],"metadata":{"datetime":"noon"}}`), '\n'), two.Content...)
	fill(t, d.Home,
		documentOf("good.json", photos[0], 0, square),
		documentOf("absent.json", photos[0], 9, square),
		documentOf("other.json", photos[0], 1, square),
		documentOf("wrong.json", photos[0], 0, `[{"contour":[[1,2]],"name":""}]`),
		documentOf("type.json", photos[0], 0, `[{"contour":[[1,2],[30,2],[30,40]],"name":7}]`),
		documentOf("without.json", photos[0], 0, `[{"name":"moth"}]`),
		two, file{"empty.json", nil}, file{"cut.json", []byte(`{"annotations":[`)}, file{"list.json", []byte(`[1]`)})
	names := []string{"absent.json", "other.json", "wrong.json", "type.json", "without.json", "empty.json", "cut.json", "list.json", "nowhere.json", "two.json", "good.json"}
	problems := []string{
		"absent.json: image: device 0a5bb6f4 has no image of " + at(9) + ": upload it first",
		"other.json: md5: ",
		"wrong.json: annotations.0.name: is empty", "wrong.json: annotations.0.contour: ",
		"type.json: annotations.0.name is a number",
		"without.json: annotations.0.contour is missing",
		"empty.json: it is empty", "cut.json: it is cut short", "list.json: it is a number, where an object is wanted",
		"nowhere.json: ", `two.json: metadata.datetime: "noon"`,
	}

	got := d.run("", append([]string{"annotate", "--atomic"}, names...)...)
	if got.OK || got.Out != "" || !strings.Contains(got.Said, "nothing was annotated") {
		t.Errorf("all or none: %v %s%s", got.OK, got.Out, got.Said)
	}
	got = d.run("", "annotate", "--atomic", "good.json", "absent.json")
	if got.OK || !strings.Contains(got.Said, problems[0]) || strings.Contains(got.Said, "good.json") {
		t.Errorf("all or none, on the server: %v %s%s", got.OK, got.Out, got.Said)
	}
	var there struct {
		AnnotationSeries struct{ TotalCount int }
	}
	count := func() int {
		admin.must(&there, `{ annotationSeries(series: [{device: "%", start: "2020-06-01T00:00:00Z", end: "2020-07-01T00:00:00Z"}]) { totalCount } }`, nil)
		return there.AnnotationSeries.TotalCount
	}
	if n := count(); n != 0 {
		t.Errorf("%d annotations are there", n)
	}
	got = d.run("", append([]string{"annotate"}, names...)...)
	for _, problem := range problems {
		if !strings.Contains("\n"+got.Said, "\n"+problem) {
			t.Errorf("it does not say %q:\n%s", problem, got.Said)
		}
	}
	if got.OK || got.Out != "The server has 2 of these annotations.\n" || count() != 2 {
		t.Errorf("%v %s, %d are there", got.OK, got.Out, count())
	}
}

func TestAnnotate_TheOrderOfFilesDoesNotDecideAndFieldsWithoutAPlaceAreNamed(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	d := deskAt(t, s.URL, admin.Token)
	photo := snapshot("0a5bb6f4", 0, 1)
	admin.upload("REFUSE", photo)
	sure := documentOf("sure.json", photo, 0, `[{"contour":[[1,2],[30,2],[30,40]],"name":"moth","score":0.9}]`)
	unsure := documentOf("unsure.json", photo, 0, `[{"contour":[[1,2],[30,2],[30,40]],"name":"moth","score":0.1}]`)
	fill(t, d.Home, sure, unsure)
	for _, files := range [][2]string{{"sure.json", "unsure.json"}, {"unsure.json", "sure.json"}} {
		got := d.run("", "annotate", files[0], files[1])
		if got.OK || got.Out != "" || !strings.Contains(got.Said, "unsure.json: sure.json has other objects") || !strings.Contains(got.Said, "\nsure.json: unsure.json has other objects") && !strings.HasPrefix(got.Said, "sure.json: unsure.json has other objects") {
			t.Errorf("annotate %s: got success %v, %q and %q, want both files refused", files, got.OK, got.Out, got.Said)
		}
	}

	listed := append([]byte("\xef\xbb\xbf["), strings.Replace(string(sure.Content), `"metadata":{`, `"metadata":{"camera":"x",`, 1)...)
	got := d.run(string(append(listed, ']')), "annotate", "-")
	if !got.OK || got.Out != "The server has 1 of these annotations.\n" || !strings.Contains(got.Said, "not sent: the field metadata.camera of 1 document,") {
		t.Errorf("a list with an unknown field: got success %v, %q and %q, want the field named", got.OK, got.Out, got.Said)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "tagma-annotate-*")); len(left) > 0 {
		t.Errorf("temporary files: got %q, want none", left)
	}
}

func TestAnnotate_AsManyAreSentAtOnceAsTheServerTakes(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--max-body-bytes", "12000")
	admin := s.admin()
	d := deskAt(t, s.URL, admin.Token)
	db := s.tables()
	addDevices(t, db, "0a5bb6f4")
	const n = 100
	var all bytes.Buffer
	for i := range n {
		addRows(t, db, row(db, "0a5bb6f4", i))
		one := documentOf("", file{Content: fmt.Appendf(nil, "0a5bb6f4.%d", i)}, i, `[{"contour":[[1,2],[30,2],[30,40]],"name":"moth"}]`)
		all.Write(one.Content)
	}
	fill(t, d.Home, file{"all.json", all.Bytes()}, documentOf("vast.json", file{}, 0, `[{"contour":[[1,2],[30,2],[30,40]],"name":"`+strings.Repeat("m", 12000)+`"}]`))
	if got := d.must("annotate", "all.json"); got.Out != "The server has 100 of these annotations.\n" {
		t.Errorf("annotate: got %s%s, want 100 annotations", got.Out, got.Said)
	}
	if got := d.run("", "annotate", "--atomic", "all.json"); got.OK || !strings.Contains(got.Said, "--atomic needs all in one request") {
		t.Errorf("annotate --atomic in several requests: got success %v, %q, want a failure that names --atomic", got.OK, got.Said)
	}
	if got := d.run("", "annotate", "vast.json"); got.OK || !strings.Contains(got.Said, "vast.json: it has ") {
		t.Errorf("annotate of a large document: got success %v, %q, want a failure that names vast.json", got.OK, got.Said)
	}
}

func TestSeries_AllPagesArePrintedInOrder(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	d := deskAt(t, s.URL, s.admin().Token)
	db := s.tables()
	addDevices(t, db, "0a5bb6f4", "1b74105a")
	const n = 1300
	var rows []*ent.ImageCreate
	for i := range n {
		rows = append(rows, row(db, []string{"0a5bb6f4", "1b74105a"}[i%2], i))
	}
	addRows(t, db, rows...)
	for _, args := range [][]string{{"--json"}, {"--csv"}, {"--csv", "--annotations"}} {
		got := d.must(append([]string{"series", "%", "2020-06-20", "2020-06-21"}, args...)...)
		seen, last := 0, ""
		for line := range strings.Lines(got.Out) {
			if strings.HasPrefix(line, "device,") {
				continue
			}
			seen++
			if line <= last {
				t.Fatalf("%v: %q comes after %q", args, line, last)
			}
			last = line
		}
		if seen != n || got.Said != "Images: 1300\n" {
			t.Errorf("%v: %d lines, %q", args, seen, got.Said)
		}
	}
	if got := d.must("series", "0a5bb6f4", at(0), at(10)); strings.Count(got.Out, "\n") != 1+5 {
		t.Errorf("a part of one trap's:\n%s", got.Out)
	}
}

func TestCompletion_TheShellsCanReadIt(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if script := d.must("completion", shell).Out; !strings.Contains(script, "tagma") {
			t.Errorf("completion %s: got %q, want a script for tagma", shell, script)
		}
	}
	fill(t, d.Home, file{"tagma.bash", []byte(d.must("completion", "bash").Out)})
	if out, err := exec.CommandContext(t.Context(), "bash", "-n", filepath.Join(d.Home, "tagma.bash")).CombinedOutput(); err != nil {
		t.Errorf("bash -n tagma.bash: got %v, want no error: %s", err, out)
	}
	for want, args := range map[string][]string{
		"images\t": {"push", ""}, "READER": {"token", "create", "--role", ""}, "--annotations\t": {"series", "--an"}, "login\t": {"lo"},
	} {
		if got := d.must(append([]string{"__complete"}, args...)...); !strings.Contains(got.Out, want) {
			t.Errorf("%v is completed to %s", args, got.Out)
		}
	}
	if said := d.must("completion", "--help").Out; !strings.Contains(said, "completion bash >") {
		t.Errorf("its help is %s", said)
	}
}
