package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	ent "tagma/ent/generated"
	"tagma/internal/domain/annotations"
	"tagma/internal/testing/testenv"
)

// What the server may hold beyond what it holds when idle.
const (
	mostForOne     = 300 << 20
	mostForHundred = 600 << 20
)

// plain builds Tagma without the race detector, which takes several times the
// memory.
func plain(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tagma")
	build := exec.Command("go", "build", "-o", path, "tagma")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatalf("cannot build Tagma: %v", err)
	}
	return path
}

// patient are the settings of a server on a busy machine.
var patient = []string{"--timeout", "10m", "--max-database-time", "10m"}

// eachPlain is each, with a binary whose memory can be measured, one after the
// other.
func eachPlain(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	path := plain(t)
	for name, address := range map[string]func() string{
		"SQLite":     func() string { return "" },
		"PostgreSQL": func() string { return testenv.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			test(t, startAs(t, &server{t: t, Database: address(), binary: path, args: patient}))
		})
	}
}

// many is how many there are of whatever a field lists.
const many = 100

// crowd fills a server: for every list of the contract there is an object that
// has many in it.
func crowd(t *testing.T, s *server, admin *client) {
	t.Helper()
	db := s.tables()
	names := []string{trap}
	for n := range many - 1 {
		names = append(names, fmt.Sprintf("%08x", n))
	}
	addDevices(t, db, names...)
	var images []*ent.ImageCreate
	for n := range many {
		images = append(images, row(db, trap, n).SetUploadedByID(1))
	}
	addRows(t, db, images...)
	objects := make([]vars, many)
	for n := range objects {
		objects[n] = insect("moth", n)
	}
	for n := range many {
		one := addition(trap, 0, hexOf(trap+".0"), fmt.Sprint(n), objects...)
		admin.put(true, one)
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	labels, points := []vars{}, []vars{}
	for n := range many {
		labels = append(labels, vars{"key": fmt.Sprint(n), "name": fmt.Sprint("point ", n)})
		points = append(points, vars{"key": fmt.Sprint(n), "name": fmt.Sprint("point ", n), "placed": false})
	}
	const make1 = `mutation($input: LabelSetInput!) { createLabelSet(input: $input) { labelSet { id } } }`
	for n := range many {
		admin.must(nil, make1, vars{"input": vars{"name": fmt.Sprint("set ", n), "labels": labels}})
	}
	admin.must(nil, `mutation($l: [LabelInput!]!) { submitLabels(input: {labelSet: "set 0", videoUrl: "https://example.org/0", frameIndex: 1, totalFrames: 2, fps: 1,
		frameWidth: 1, frameHeight: 1, timestamp: "2020-06-20T21:33:24Z", labels: $l}) { outcome } }`, vars{"l": points})
	first, err := db.LabelSubmission.Query().Only(ctx)
	check(err)
	for n := 1; n < many; n++ {
		url := fmt.Sprint("https://example.org/", n)
		check(db.Video.Create().SetURL(url).SetHash(hexOf(url) + hexOf(url)).SetTotalFrames(1).SetFps(1).SetFrameWidth(1).SetFrameHeight(1).SetCreatedAt(night).Exec(ctx))
		check(db.LabelSubmission.Create().SetVideoID(first.VideoID).SetFrameIndex(1).SetLabelSetID(first.LabelSetID).SetFilename(first.Filename).
			SetRevision(n + 1).SetTimestamp(first.Timestamp).SetContent(first.Content).SetAuthor(first.Author).SetSubmittedByID(1).SetCreatedAt(night).SetStatus("FAILED").Exec(ctx))
	}
	content, err := db.BundleContent.Create().SetSha256(hexOf("") + hexOf("")).SetMd5(hexOf("")).SetSize(1).SetStoredAs("none").SetCreatedAt(night).Save(ctx)
	check(err)
	for n := range many {
		bundle, err := db.Bundle.Create().SetName(fmt.Sprint("bundle-", n)).SetCreatedAt(night).Save(ctx)
		check(err)
		if n > 0 {
			continue
		}
		for v := range many {
			version, err := db.BundleVersion.Create().SetBundleID(bundle.ID).SetNumber(v + 1).SetMd5(hexOf("")).SetCreatedByID(1).SetCreatedAt(night).Save(ctx)
			check(err)
			for f := range many {
				if v == 0 || f == 0 {
					check(db.BundleFile.Create().SetVersionID(version.ID).SetKey(fmt.Sprint("data/", f)).SetContentID(content.ID).SetModifiedAt(night).Exec(ctx))
				}
			}
		}
	}
	for n := range many {
		check(db.User.Create().SetUsername(fmt.Sprint("person", n)).SetRole("READER").SetPasswordHash("-").SetCreatedAt(night).Exec(ctx))
		check(db.AccessToken.Create().SetUserID(1).SetKind("ACCESS").SetName(fmt.Sprint("token ", n)).SetHash(hexOf(fmt.Sprint(n))).SetRole("READER").SetCreatedAt(night).Exec(ctx))
	}
}

// walker makes operations of the contract.
type walker struct {
	schema *ast.Schema
	ids    map[string]string // of an object with many in its lists, by type
}

// needed is what a field is given that must be given something.
var needed = map[string]string{
	"Query.image.device": `"` + trap + `"`, "Query.image.takenAt": `"` + at(0) + `"`, "Query.device.name": `"` + trap + `"`,
	"Query.imageSeries.series":      `[{device: "` + trap + `", start: "2020-01-01T00:00:00Z", end: "2021-01-01T00:00:00Z"}]`,
	"Query.annotationSeries.series": `[{device: "` + trap + `", start: "2020-01-01T00:00:00Z", end: "2021-01-01T00:00:00Z"}]`,
	"Query.activity.series":         `[{device: "` + trap + `", start: "2020-01-01T00:00:00Z", end: "2021-01-01T00:00:00Z"}]`,
	"Query.activity.every":          `"PT1M"`,
	"Query.labelSet.name":           `"set 0"`, "Query.video.url": `"https://example.org/0"`, "Query.bundle.name": `"bundle-0"`,
	"Query.images.keys":        `[` + strings.Repeat(`{device: "`+trap+`", takenAt: "`+at(0)+`"},`, 10) + `]`,
	"Query.annotations.images": `[` + strings.Repeat(`{device: "`+trap+`", takenAt: "`+at(0)+`"},`, 10) + `]`,
	"Query.diffImages.images":  `[` + strings.Repeat(`{device: "`+trap+`", takenAt: "`+at(0)+`", md5: "0123456789abcdef0123456789abcdef"},`, 10) + `]`,
	"Bundle.version.number":    "1",
}

// arguments is what a field is asked with, and whether it can be.
func (w walker) arguments(of string, field *ast.FieldDefinition) (string, bool) {
	var all []string
	for _, argument := range field.Arguments {
		value := needed[of+"."+field.Name+"."+argument.Name]
		switch {
		case argument.Name == "first":
			value = fmt.Sprint(many)
		case value == "" && argument.Type.NonNull && argument.DefaultValue == nil:
			return "", false
		}
		if value != "" {
			all = append(all, argument.Name+": "+value)
		}
	}
	if len(all) == 0 {
		return "", true
	}
	return "(" + strings.Join(all, ", ") + ")", true
}

// hop is one field on a way through the contract.
type hop struct {
	of    string
	field *ast.FieldDefinition
}

func (h hop) to() string { return h.field.Type.Name() }

// hops are the fields of a type that hold objects.
func (w walker) hops(of string) (all []hop) {
	definition := w.schema.Types[of]
	for _, field := range definition.Fields {
		if to := w.schema.Types[field.Type.Name()]; to == nil || to.Kind != ast.Object || strings.HasPrefix(field.Name, "__") {
			continue
		}
		if _, ok := w.arguments(of, field); ok {
			all = append(all, hop{of, field})
		}
	}
	return all
}

// way is the shortest way from one type to a field of another, which it ends with.
func (w walker) way(from string, to hop) []hop {
	type place struct {
		at  string
		way []hop
	}
	queue, seen := []place{{at: from}}, map[string]bool{from: true}
	for len(queue) > 0 {
		here := queue[0]
		queue = queue[1:]
		if here.at == to.of {
			return append(slices.Clone(here.way), to)
		}
		for _, h := range w.hops(here.at) {
			if !seen[h.to()] {
				seen[h.to()] = true
				queue = append(queue, place{h.to(), append(slices.Clone(here.way), h)})
			}
		}
	}
	return nil
}

// lists are all fields that hold many objects and that a query can reach.
func (w walker) lists() (all []hop) {
	for name, definition := range w.schema.Types {
		if definition.Kind != ast.Object || strings.HasPrefix(name, "__") || name == "Mutation" || name == "Subscription" {
			continue
		}
		for _, h := range w.hops(name) {
			if h.field.Type.Elem != nil && w.way("Query", h) != nil {
				all = append(all, h)
			}
		}
	}
	slices.SortFunc(all, func(a, b hop) int { return strings.Compare(a.of+"."+a.field.Name, b.of+"."+b.field.Name) })
	return all
}

// nest is an operation that goes the way, and from its end again and again to the
// same list, as deep as it may.
func (w walker) nest(head string, way []hop, depth int) string {
	again := w.way(way[len(way)-1].to(), way[len(way)-1])
	for again != nil && len(way)+len(again) < depth {
		way = append(way, again...)
	}
	text, tail := head, strings.Count(head, "{")
	for _, h := range way {
		arguments, _ := w.arguments(h.of, h.field)
		text += h.field.Name + arguments + " { "
		tail++
	}
	text += "__typename "
	for _, field := range w.schema.Types[way[len(way)-1].to()].Fields {
		if kind := w.schema.Types[field.Type.Name()].Kind; (kind == ast.Scalar || kind == ast.Enum) && field.Type.Name() != "JSON" && len(field.Arguments) == 0 {
			text += field.Name + " "
		}
	}
	return text + strings.Repeat(" }", tail)
}

// within counts the objects of an answer, without that around all.
func within(t *testing.T, data []byte) (objects int) {
	t.Helper()
	scan := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := scan.Token()
		if err == io.EOF {
			return objects - 1
		}
		if err != nil {
			t.Fatal(err)
		}
		if token == json.Delim('{') {
			objects++
		}
	}
}

// costly are operations that ask for much, by name: every list that a query can
// reach, nested as deep as may be, in both engines.
func costly(t *testing.T, s *server, admin *client) map[string]func(depth int) string {
	t.Helper()
	w := walker{contract(t), map[string]string{}}
	var got struct {
		Image struct {
			ID          string
			Annotations []struct{ ID string }
		}
		Device, Video, Bundle, LabelSet struct{ ID string }
		Viewer                          struct{ ID string }
		B                               struct{ Version struct{ ID string } }
	}
	admin.must(&got, `{ image(device: "`+trap+`", takenAt: "`+at(0)+`") { id annotations { id } } device(name: "`+trap+`") { id }
		video(url: "https://example.org/0") { id } bundle(name: "bundle-0") { id } b: bundle(name: "bundle-0") { version(number: 1) { id } } labelSet(name: "set 0") { id } viewer { id } }`, nil)
	w.ids = map[string]string{"Image": got.Image.ID, "Annotation": got.Image.Annotations[0].ID, "Device": got.Device.ID, "Video": got.Video.ID,
		"Bundle": got.Bundle.ID, "BundleVersion": got.B.Version.ID, "LabelSet": got.LabelSet.ID, "User": got.Viewer.ID}
	all := map[string]func(int) string{}
	for _, list := range w.lists() {
		name := list.of + "." + list.field.Name
		all[name] = func(depth int) string { return w.nest("{ ", w.way("Query", list), depth) }
		for of, id := range w.ids { // which the resolvers answer
			if way := w.way(of, list); way != nil && len(way) < 4 {
				head := `{ node(id: "` + id + `") { ... on ` + of + ` { `
				all[name+" of the node "+of] = func(depth int) string { return w.nest(head, way, depth-1) }
			}
		}
	}
	const deep = `{ image(device: "` + trap + `", takenAt: "2020-06-20T20:00:00Z") { annotations { image { annotations { image { annotations { %s } } } } } } }`
	for _, leaf := range []string{"document", "objects { contour }", "id"} {
		all["Annotation, with "+leaf] = func(int) string { return fmt.Sprintf(deep, leaf) }
		all["Annotation, ordinarily, with "+leaf] = func(int) string {
			return strings.Replace(fmt.Sprintf(deep, leaf), "annotations {", "annotations { algorithm { bundleVersion { id } }", 1)
		}
	}
	return all
}

func TestCost_NoListTakesMoreThanTheLimitsHoweverDeepItIsAskedFor(t *testing.T) {
	eachPlain(t, func(t *testing.T, s *server) {
		admin := s.admin()
		crowd(t, s, admin)
		l := s.limits()
		idle := s.memory()
		worst, most := "", 0
		for name, operation := range costly(t, s, admin) {
			for depth := l.Depth; depth > 1; depth-- {
				var got *answer
				query := operation(depth)
				grown := s.peak(func() { got = admin.do(query, nil) }) - idle
				if len(got.Errors) == 1 && strings.HasPrefix(got.Errors[0].Message, "the operation has") {
					continue // the guard's: ask for less
				}
				t.Logf("%s, depth %d: %d bytes, %s, %d MB", name, depth, len(got.Body), got.code(), grown>>20)
				if grown > mostForOne {
					t.Errorf("%s takes %d MB, want at most %d: %s", name, grown>>20, mostForOne>>20, query)
				}
				if grown > most {
					worst, most = query, grown
				}
				if len(got.Errors) > 0 {
					if len(got.Errors) != 1 || got.code() != "TOO_LARGE" || string(got.Data) != "null" {
						t.Errorf("%s is answered %.600s, want one error TOO_LARGE and null: %s", name, got.Body, query)
					}
				} else if objects := within(t, got.Data); objects > l.Cost {
					t.Errorf("%s is answered with %d objects, and the limit is %d: %s", name, objects, l.Cost, query)
				}
				break
			}
		}
		t.Logf("the worst takes %d MB: %s", most>>20, worst)
		for _, query := range []string{worst, large} {
			grown := s.peak(func() {
				together(t, 100, func(int) (any, error) { return nil, admin.tryCostly(query) })
			}) - idle
			t.Logf("100 at once take %d MB: %.80s", grown>>20, query)
			if grown > mostForHundred {
				t.Errorf("100 at once take %d MB, want at most %d: %s", grown>>20, mostForHundred>>20, query)
			}
		}
	})
}

// large is an operation with an answer of 18 MB.
var large = func() string {
	text := "{"
	fields := strings.Replace(strings.Join(annotations.Fields[:annotations.RequiredFields], " "), annotations.BoxField, "", 1) // boxes count as objects
	for n := range 15 {
		text += fmt.Sprintf(` a%d: image(device: "%s", takenAt: "%s") { annotations { objects { %s } } }`, n, trap, at(0), fields)
	}
	return text + " }"
}()

func TestCost_ClientsThatDoNotReadHoldNoMoreThanTheMemoryForAnswers(t *testing.T) {
	eachPlain(t, func(t *testing.T, s *server) {
		admin := s.admin()
		crowd(t, s, admin)
		whole := len(admin.must(nil, large, nil).Body)
		idle := s.memory()
		var unread []net.Conn
		refused, answered := 0, 0
		grown := s.peak(func() {
			for range 100 {
				conn, status, retry := s.unread(admin, large)
				unread = append(unread, conn)
				if retry != "" {
					refused++
				} else if status == http.StatusOK {
					answered++
				}
			}
		}) - idle
		t.Logf("of 100 clients that do not read %d bytes, %d were answered and %d refused: %d MB", whole, answered, refused, grown>>20)
		if answered+refused != 100 || refused == 0 || answered == 0 || answered*whole > 300<<20 {
			t.Errorf("of 100 clients that do not read %d bytes, %d were answered and %d refused with Retry-After", whole, answered, refused)
		}
		if grown > mostForHundred {
			t.Errorf("100 clients that do not read hold %d MB, want at most %d", grown>>20, mostForHundred>>20)
		}
		for _, conn := range unread {
			_ = conn.Close()
		}
		// When they have gone there is memory again.
		for t.Context().Err() == nil {
			if got := admin.do(large, nil); len(got.Errors) == 0 {
				return
			}
		}
		t.Error("the memory does not come back")
	})
}

// unread sends an operation, and reads no more of its answer than the head: the
// status, and what Retry-After says.
func (s *server) unread(c *client, query string) (net.Conn, int, string) {
	s.t.Helper()
	body, _ := json.Marshal(map[string]any{"query": query})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	_, err = fmt.Fprintf(conn, "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", c.Token, len(body), body)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return conn, answer.StatusCode, answer.Header.Get("Retry-After")
}

// tryCostly sends an operation that may be refused for what it costs, and for
// nothing else.
func (c *client) tryCostly(query string) error {
	body, _ := json.Marshal(map[string]any{"query": query})
	got, err := c.try(bytes.NewReader(body), "application/json")
	if err != nil {
		return err
	}
	switch {
	case len(got.Errors) > 1, len(got.Errors) == 1 && got.code() != "TOO_LARGE" && got.code() != "UNAVAILABLE":
		return fmt.Errorf("answered %.600s", got.Body)
	case got.code() == "UNAVAILABLE" && got.Header.Get("Retry-After") == "":
		return fmt.Errorf("answered without Retry-After: %.600s", got.Body)
	}
	return nil
}
