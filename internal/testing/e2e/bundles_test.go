package e2e

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"math/rand/v2"
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/internal/base/instant"
)

// pack is the files of a bundle, by key.
type pack map[string]string

// model is a small bundle.
var model = pack{
	"data/1b74105a.2020-09-17_13-50-40.svg": "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
	"config/config.yaml":                    "iterations: 1000\n",
	"output/model_final.pth":                "weights",
	"README.md":                             "",
	`data/Größe "1"; 100%+.txt`:             "odd",
}

func (p pack) with(key, content string) pack {
	changed := maps.Clone(p)
	changed[key] = content
	return changed
}

// manifest is what a client says of the files, by their keys.
func (p pack) manifest() []vars {
	var files []vars
	for _, key := range slices.Sorted(maps.Keys(p)) {
		files = append(files, vars{"key": key, "md5": hexOf(p[key]), "size": len(p[key]), "modifiedAt": at(1)})
	}
	return files
}

// target is where a file is to be sent.
type target struct {
	Key, Method, URL string
	Headers          []struct{ Name, Value string }
	ExpiresAt        time.Time
}

// shipment is a version on its way.
type shipment struct {
	UploadID  string
	ExpiresAt time.Time
	Wanted    []target
	Unchanged []string
}

const requestBundle = `mutation Request($name: String!, $files: [BundleFileInput!]!) { requestBundleUpload(name: $name, files: $files) {
  uploadId expiresAt unchanged wanted { key method url headers { name value } expiresAt } } }`

func (c *client) request(name string, files []vars) shipment {
	c.t.Helper()
	var got struct{ RequestBundleUpload shipment }
	c.must(&got, requestBundle, vars{"name": name, "files": files})
	return got.RequestBundleUpload
}

// deliver sends the body to a target, without a token.
func (s *server) deliver(to target, size int64, body io.Reader) (status int, said string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), to.Method, s.address(to.URL), body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.ContentLength = size
	if size == 0 {
		request.Body = http.NoBody
	}
	for _, h := range to.Headers {
		request.Header.Set(h.Name, h.Value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (s *server) put(to target, content string) (status int, said string) {
	s.t.Helper()
	return s.deliver(to, int64(len(content)), strings.NewReader(content))
}

// release is a published version.
type release struct {
	Verdict string
	Version struct {
		ID, Name, Md5 string
		Number        int
		CreatedBy     struct{ Username string }
	}
}

const publishBundle = `mutation Publish($upload: ID!) { publishBundle(upload: $upload) { verdict version { id name number md5 createdBy { username } } } }`

func (c *client) publish(upload string) release {
	c.t.Helper()
	var got struct{ PublishBundle release }
	c.must(&got, publishBundle, vars{"upload": upload})
	return got.PublishBundle
}

// ship sends what is wanted and publishes, as a client does with a folder. It
// gives the keys that were sent, too.
func (c *client) ship(name string, p pack) (release, []string) {
	c.t.Helper()
	upload := c.request(name, p.manifest())
	var sent []string
	for _, to := range upload.Wanted {
		if status, said := c.s.put(to, p[to.Key]); status/100 != 2 {
			c.t.Fatalf("%s is answered %d %s", to.Key, status, said)
		}
		sent = append(sent, to.Key)
	}
	return c.publish(upload.UploadID), sent
}

// bundled is a file of a version.
type bundled struct {
	Key, Md5, Sha256, ModifiedAt string
	Size                         int64
	Link                         struct{ URL string }
}

func (c *client) files(version, part string) []bundled {
	c.t.Helper()
	var got struct{ Node struct{ Files []bundled } }
	c.must(&got, `query Files($id: ID!, $part: BundlePart!) { node(id: $id) { ... on BundleVersion { files(part: $part) { key md5 sha256 size modifiedAt link { url } } } } }`,
		vars{"id": version, "part": part})
	return got.Node.Files
}

// holds fails the test unless the version is those files, to the byte.
func (c *client) holds(version string, want pack) {
	c.t.Helper()
	files := c.files(version, "ALL")
	if len(files) != len(want) {
		c.t.Errorf("%s has %d files, not %d", version, len(files), len(want))
	}
	for _, f := range files {
		got := c.s.fetch(f.Link.URL, nil)
		sum := sha256.Sum256([]byte(want[f.Key]))
		if got.StatusCode != http.StatusOK || got.Body != want[f.Key] || f.Md5 != hexOf(want[f.Key]) || f.Sha256 != hex.EncodeToString(sum[:]) || f.ModifiedAt != at(1) {
			c.t.Errorf("%s is answered %d: %+v", f.Key, got.StatusCode, f)
		}
		if kind := got.Header.Get("Content-Type"); kind != "application/octet-stream" {
			c.t.Errorf("%s: Content-Type is %q", f.Key, kind)
		}
		if kind, parameters, err := mime.ParseMediaType(got.Header.Get("Content-Disposition")); err != nil || kind != "attachment" || parameters["filename"] != path.Base(f.Key) {
			c.t.Errorf("%s: Content-Disposition is %q", f.Key, got.Header.Get("Content-Disposition"))
		}
	}
}

func TestBundles_ASecondVersionSendsOnlyTheFileThatChangedAndBothComeDownIdentical(t *testing.T) {
	eachStore(t, func(t *testing.T, s *server) {
		admin := s.admin()
		maria, guest := s.person(admin, "maria", "WRITER"), s.person(admin, "guest", "READER")
		first, sent := maria.ship("insects", model)
		if first.Verdict != "CREATED" || first.Version.Number != 1 || first.Version.Name != "insects@1" || first.Version.CreatedBy.Username != "maria" || len(sent) != len(model) {
			t.Errorf("%+v, sent %q", first, sent)
		}
		changed := model.with("output/model_final.pth", "better weights")
		second, sent := maria.ship("insects", changed)
		if second.Verdict != "CREATED" || second.Version.Number != 2 || !slices.Equal(sent, []string{"output/model_final.pth"}) {
			t.Errorf("%+v, sent %q", second, sent)
		}
		again, sent := admin.ship("insects", changed)
		if again.Verdict != "UNCHANGED" || again.Version != second.Version || len(sent) != 0 {
			t.Errorf("%+v, sent %q", again, sent)
		}
		copied, sent := admin.ship("copy", model)
		if copied.Version.Number != 1 || copied.Version.Md5 != first.Version.Md5 || len(sent) != 0 {
			t.Errorf("%+v, sent %q", copied, sent)
		}
		guest.holds(first.Version.ID, model)
		guest.holds(second.Version.ID, changed)
		guest.holds(copied.Version.ID, model)
		for part, want := range map[string][]string{
			"DATA":  {"config/config.yaml", "data/1b74105a.2020-09-17_13-50-40.svg", `data/Größe "1"; 100%+.txt`},
			"MODEL": {"config/config.yaml", "output/model_final.pth"},
		} {
			var keys []string
			for _, f := range guest.files(second.Version.ID, part) {
				keys = append(keys, f.Key)
			}
			if !slices.Equal(keys, want) {
				t.Errorf("files of %s: got %q, want %q", part, keys, want)
			}
		}
		var got struct {
			Bundles struct {
				TotalCount int
				Nodes      []struct {
					Name     string
					Latest   struct{ Number int }
					Versions struct {
						TotalCount int
						Nodes      []struct{ Number int }
						PageInfo   struct{ HasNextPage bool }
					}
					Version *struct{ Name string }
				}
			}
			Bundle struct{ Version *struct{ Md5 string } }
			None   *struct{ ID string }
		}
		guest.must(&got, `{ bundles { totalCount nodes { name latest { number } versions(first: 1) { totalCount nodes { number } pageInfo { hasNextPage } } version(number: 2) { name } } }
		  bundle(name: "insects") { version(number: 1) { md5 } } none: bundle(name: "nothing") { id } }`, nil)
		if got.Bundles.TotalCount != 2 || got.None != nil || got.Bundle.Version == nil || got.Bundle.Version.Md5 != first.Version.Md5 {
			t.Errorf("bundles: got %+v, want 2 bundles, version 1 with MD5 %s, and none called nothing", got, first.Version.Md5)
		}
		if one, two := got.Bundles.Nodes[0], got.Bundles.Nodes[1]; one.Name != "copy" || one.Version != nil || one.Versions.PageInfo.HasNextPage ||
			two.Latest.Number != 2 || two.Version.Name != "insects@2" || two.Versions.TotalCount != 2 || !two.Versions.PageInfo.HasNextPage || two.Versions.Nodes[0].Number != 1 {
			t.Errorf("bundles: got %+v, want copy with one version and insects with two", got.Bundles.Nodes)
		}
	})
}

// randomFile is bytes that nobody keeps, the same for the same seed.
type randomFile struct {
	source *rand.ChaCha8
	size   int64
}

func newRandomFile(seed byte, size int64) io.Reader {
	return io.LimitReader(randomFile{rand.NewChaCha8([32]byte{seed}), size}, size)
}

func (f randomFile) Read(p []byte) (int, error) { return f.source.Read(p) }

func TestBundles_AFileOf200MegabytesStreamsInAndOutAndMemoryStaysFlat(t *testing.T) {
	const size, most = 200 << 20, 60 << 20
	eachStore(t, func(t *testing.T, s *server) {
		admin := s.admin()
		admin.ship("warm", pack{"a": "so that what is made once is made"})
		sum5, sum := md5.New(), sha256.New()
		if _, err := io.Copy(io.MultiWriter(sum5, sum), newRandomFile(1, size)); err != nil {
			t.Fatal(err)
		}
		text := func(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
		upload := admin.request("insects", []vars{{"key": "output/model_final.pth", "md5": text(sum5), "sha256": text(sum), "size": size, "modifiedAt": at(1)}})
		before := s.resident()
		highest := 0
		watch := func() { highest = max(highest, s.resident()) }
		if status, said := s.deliver(upload.Wanted[0], size, &watched{newRandomFile(1, size), watch}); status/100 != 2 {
			t.Fatalf("PUT of %d bytes: got %d %s, want 2xx", size, status, said)
		}
		version := admin.publish(upload.UploadID).Version
		watch()
		up := highest - before
		file := admin.files(version.ID, "MODEL")[0]
		response, err := http.Get(s.address(file.Link.URL))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		got := sha256.New()
		n, err := io.Copy(got, &watched{response.Body, watch})
		if err != nil || n != size || text(got) != text(sum) || file.Sha256 != text(sum) {
			t.Errorf("%d bytes come down, %v", n, err)
		}
		t.Logf("the server had %d MB and grew by %d MB on the way in, %d MB in all", before>>20, up>>20, (highest-before)>>20)
		if highest-before > most {
			t.Errorf("the server has grown by %d MB", (highest-before)>>20)
		}
	})
}

// watched calls each now and then while it is read.
type watched struct {
	io.Reader
	each func()
}

func (w *watched) Read(p []byte) (int, error) {
	if rand.N(500) == 0 {
		w.each()
	}
	return w.Reader.Read(p)
}

func TestBundles_ATargetTakesTheRightBytesOnceAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		upload := admin.request("insects", pack{"output/w": "weights", "output/v": "others!"}.manifest())
		if len(upload.Wanted) != 2 || time.Until(upload.ExpiresAt) > 24*time.Hour || time.Until(upload.ExpiresAt) < 23*time.Hour {
			t.Fatalf("bundle upload: got %+v, want 2 files and 24 hours", upload)
		}
		to, other := upload.Wanted[1], upload.Wanted[0]
		if left := time.Until(to.ExpiresAt); left > 15*time.Minute || left < 14*time.Minute || to.Key != "output/w" || to.Method != "PUT" {
			t.Errorf("target: got %+v, want PUT of output/w for 15 minutes", to)
		}
		before := len(s.stored())
		refuse := func(what string, want int, said string, to target, content string) {
			t.Helper()
			if status, got := s.put(to, content); status != want || !strings.Contains(got, said) {
				t.Errorf("%s is answered %d %s", what, status, got)
			}
		}
		refuse("another file", 400, hexOf("WEIGHTS"), to, "WEIGHTS")
		refuse("the other file of the upload", 400, hexOf("others!"), to, "others!")
		refuse("a part of the file", 400, "7 were asked for", to, "weight")
		refuse("more than the file", 400, "7 were asked for", to, "weights.")
		wrong := to
		wrong.Method = "POST"
		refuse("POST", 405, "only PUT", wrong, "weights")
		wrong = to
		wrong.URL = strings.Replace(to.URL, "expires=", "expires=9", 1)
		refuse("a later end", 403, "not valid", wrong, "weights")
		wrong.URL = strings.Replace(to.URL, "size=7", "size=6", 1)
		refuse("another size", 403, "not valid", wrong, "weight")
		if after := len(s.stored()); after != before {
			t.Errorf("there are %d files more", after-before)
		}
		if got := admin.do(publishBundle, vars{"upload": upload.UploadID}); got.code() != "NOT_FOUND" || len(got.Errors[0].Extensions.Problems) != 2 {
			t.Errorf("an upload without its files is published: %s", got.Body)
		}
		if status, said := s.put(to, "weights"); status != http.StatusCreated {
			t.Errorf("the file is answered %d %s", status, said)
		}
		refuse("the file again", 412, "here already", to, "weights")
		got := admin.do(publishBundle, vars{"upload": upload.UploadID})
		if got.code() != "NOT_FOUND" || len(got.Errors[0].Extensions.Problems) != 1 || !slices.Equal(got.Errors[0].Extensions.Problems[0].Path, []string{"upload", "output/v"}) {
			t.Errorf("an upload without one of its files is published: %s", got.Body)
		}
		var none struct{ Bundle *struct{ ID string } }
		if admin.must(&none, `{ bundle(name: "insects") { id } }`, nil); none.Bundle != nil {
			t.Error("the bundle is seen already")
		}
		if again := admin.request("insects", pack{"output/w": "weights", "output/v": "others!"}.manifest()); again.UploadID != upload.UploadID || len(again.Wanted) != 1 || again.Wanted[0].Key != "output/v" {
			t.Errorf("asked again: %+v", again)
		}
		if status, said := s.put(other, "others!"); status != http.StatusCreated {
			t.Errorf("the other file is answered %d %s", status, said)
		}
		version := admin.publish(upload.UploadID).Version
		refuse("the file of a version", 404, "published", to, "weights")
		admin.holds(version.ID, pack{"output/w": "weights", "output/v": "others!"})
	})
}

func TestBundles_ManyThingsWrongAreToldAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--max-bundle-files", "4", "--max-bundle-file-bytes", "1000", "--max-bundle-bytes", "1500")
	admin := s.admin()
	file := func(key string, size int) vars {
		return vars{"key": key, "md5": hexOf(key), "size": size, "modifiedAt": at(1)}
	}
	got := admin.do(requestBundle, vars{"name": "in sects", "files": []vars{file("../a", 1), file("a.attrs", 1001), file("/a", -1), {"key": "b", "md5": "?", "size": 999, "modifiedAt": at(1)}}})
	var paths []string
	for _, p := range got.Errors[0].Extensions.Problems {
		paths = append(paths, strings.Join(p.Path, "."))
	}
	if want := []string{"name", "files.0.key", "files.1.key", "files.1.size", "files.2.key", "files.2.size", "files.3.md5", "files"}; got.code() != "BAD_USER_INPUT" || !slices.Equal(paths, want) {
		t.Errorf("bundle with many errors: got %s at %q, want BAD_USER_INPUT at %q: %s", got.code(), paths, want, got.Body)
	}
	if got := admin.do(requestBundle, vars{"name": "insects", "files": []vars{file("a", 1), file("b", 1), file("c", 1), file("d", 1), file("e", 1)}}); got.code() != "TOO_LARGE" || !strings.Contains(string(got.Body), "at most 4") {
		t.Errorf("bundle of 5 files: got %s, want TOO_LARGE and at most 4", got.Body)
	}
	var limits struct {
		Server struct {
			Limits struct{ BundleFiles, BundleFileBytes, BundleBytes int }
		}
	}
	s.anonymous().must(&limits, `{ server { limits { bundleFiles bundleFileBytes bundleBytes } } }`, nil)
	if l := limits.Server.Limits; l.BundleFiles != 4 || l.BundleFileBytes != 1000 || l.BundleBytes != 1500 {
		t.Errorf("limits: got %+v, want 4 files, 1000 bytes a file and 1500 bytes", l)
	}
	for _, id := range []string{"BundleUpload:1", "BundleUpload:x", "Bundle:1", "User:1"} {
		if got := admin.do(publishBundle, vars{"upload": id}); got.code() != "NOT_FOUND" {
			t.Errorf("publish %s: got %s, want NOT_FOUND", id, got.Body)
		}
	}
}

func TestBundles_WritersPublishReadersFetchAndOthersDoNeither(t *testing.T) {
	eachStore(t, func(t *testing.T, s *server) {
		admin := s.admin()
		maria, jonas, guest := s.person(admin, "maria", "WRITER"), s.person(admin, "jonas", "WRITER"), s.person(admin, "guest", "READER")
		device := (&lab{server: s, clients: map[string]*client{"WRITER": maria}}).trapToken("WRITER", trap)
		upload := maria.request("insects", model.manifest())
		for _, to := range upload.Wanted {
			s.put(to, model[to.Key])
		}
		for c, want := range map[*client]string{s.anonymous(): "UNAUTHENTICATED", device: "FORBIDDEN", guest: "FORBIDDEN"} {
			if got := c.do(requestBundle, vars{"name": "insects", "files": model.manifest()}); got.code() != want {
				t.Errorf("request of a bundle upload: got %s, want %s", got.Body, want)
			}
			if got := c.do(publishBundle, vars{"upload": upload.UploadID}); got.code() != want {
				t.Errorf("publish: got %s, want %s", got.Body, want)
			}
		}
		// What maria has sent and not published is not for jonas to claim.
		if got := jonas.do(publishBundle, vars{"upload": upload.UploadID}); got.code() != "NOT_FOUND" {
			t.Errorf("publish another person's upload: got %s, want NOT_FOUND", got.Body)
		}
		if theirs := jonas.request("insects", model.manifest()); theirs.UploadID == upload.UploadID || len(theirs.Wanted) != len(model) {
			t.Errorf("bundle upload of jonas: got %+v, want a new one with %d files", theirs, len(model))
		}
		version := maria.publish(upload.UploadID).Version
		guest.holds(version.ID, model)
		for c, want := range map[*client]string{s.anonymous(): "UNAUTHENTICATED", device: "FORBIDDEN"} {
			for _, query := range []string{`{ bundles { nodes { id } } }`, `{ bundle(name: "insects") { latest { files { link { url } } } } }`, `{ node(id: "` + version.ID + `") { id } }`} {
				if got := c.do(query, nil); got.code() != want {
					t.Errorf("%s: got %s, want %s", query, got.Body, want)
				}
			}
		}
	})
}

func TestBundles_AnUploadAndItsTargetsDoNotOutliveTheirTime(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		published, _ := admin.ship("insects", model)
		upload := admin.request("insects", pack{"output/w": "weights of tomorrow"}.manifest())
		s.put(upload.Wanted[0], "weights of tomorrow")
		kept := len(model)
		if files := len(s.stored()); files != kept+1 {
			t.Fatalf("%d files are stored", files)
		}
		// A day later: the sweep comes when the server starts.
		db.BundleUpload.Update().SetExpiresAt(instant.System() - 1).ExecX(t.Context())
		dated := time.Now().Add(-25 * time.Hour)
		names, err := filepath.Glob(filepath.Join(s.Data, "files", "bundles", "*", "*"))
		if err != nil || len(names) != kept+1 {
			t.Fatalf("stored bundle files: got %q (%v), want %d", names, err, kept+1)
		}
		for _, name := range names {
			if err := os.Chtimes(name, dated, dated); err != nil {
				t.Fatal(err)
			}
		}
		if got := admin.do(publishBundle, vars{"upload": upload.UploadID}); got.code() != "NOT_FOUND" {
			t.Errorf("publish an expired upload: got %s, want NOT_FOUND", got.Body)
		}
		if status, said := s.put(upload.Wanted[0], "weights of tomorrow"); status != http.StatusNotFound {
			t.Errorf("PUT to an expired upload: got %d %s, want 404", status, said)
		}
		s.stop()
		s.boot()
		deadline := time.After(time.Minute)
		for len(s.stored()) != kept {
			select {
			case <-deadline:
				t.Fatalf("there are still %d files", len(s.stored()))
			case <-time.After(20 * time.Millisecond):
			}
		}
		admin.holds(published.Version.ID, model)
	})
}

func TestBundles_AnAnnotationLeadsToTheVersionThatMadeItInAsManyStatementsForOneAsForAHundred(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		first, _ := admin.ship("detector", model)
		addDevices(t, db, trap)
		var additions []vars
		for n := range 100 {
			addRows(t, db, row(db, trap, n))
			version := []string{"1", first.Version.Md5, "1598113346-" + hexOf("weights"), "detector@1", "2"}[n%5]
			additions = append(additions, addition(trap, n, hexOf(fmt.Sprint(trap, ".", n)), version))
		}
		admin.put(true, additions...)
		const query = `query %s($series: [SeriesInput!]!) { annotationSeries(series: $series, first: 100) { nodes { algorithm { name version bundleVersion { id number name bundle { name latest { number } } createdBy { username } files(part: MODEL) { key link { url } } } } } } }`
		var got struct {
			AnnotationSeries struct {
				Nodes []struct {
					Algorithm struct {
						Version       string
						BundleVersion *struct {
							ID    string
							Files []bundled
						}
					}
				}
			}
		}
		admin.must(&got, fmt.Sprintf(query, "Many"), vars{"series": []vars{whole("%")}})
		for _, one := range got.AnnotationSeries.Nodes {
			v := one.Algorithm.BundleVersion
			if (v == nil) != (one.Algorithm.Version == "2") || v != nil && (v.ID != first.Version.ID || len(v.Files) != 2) {
				t.Errorf("bundle version of algorithm %s: got %+v, want %s with 2 files, or none for version 2", one.Algorithm.Version, v, first.Version.ID)
			}
		}
		// Five annotations carry one of each.
		admin.must(nil, fmt.Sprintf(query, "Few"), vars{"series": []vars{{"device": trap, "start": at(0), "end": at(5)}}})
		if few, many := s.statements("Few"), s.statements("Many"); few != many || len(got.AnnotationSeries.Nodes) != 100 {
			t.Errorf("%d statements for 5, %d for %d", few, many, len(got.AnnotationSeries.Nodes))
		}
	})
}
