package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/testenv"
)

// inBucket is the names of the files of bundles in the store, below bundles or
// incoming.
func (s *server) inBucket(folder string) []string {
	s.t.Helper()
	bucket := filepath.Join(s.s3.Folder, s.s3.Bucket)
	names, err := filepath.Glob(filepath.Join(bucket, folder, "*", "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	for n := range names {
		names[n] = strings.TrimPrefix(names[n], bucket+"/")
	}
	return names
}

func TestS3_ATargetOfABundlesFileLeadsStraightToTheStoreAndTakesThatFileOnce(t *testing.T) {
	t.Parallel()
	s := startInS3(t)
	admin := s.admin()
	upload := admin.request("insects", pack{"output/w": "weights", "output/empty": ""}.manifest())
	if len(upload.Wanted) != 2 {
		t.Fatalf("bundle upload: got %+v, want 2 targets", upload)
	}
	empty, to := upload.Wanted[0], upload.Wanted[1]
	if left := time.Until(to.ExpiresAt); left > 15*time.Minute || left < 14*time.Minute || to.Key != "output/w" || to.Method != "PUT" || !strings.HasPrefix(to.URL, "http://"+s.s3.Host+"/") {
		t.Errorf("target: got %+v, want PUT of output/w at %s for 15 minutes", to, s.s3.Host)
	}
	var names []string
	for _, h := range to.Headers {
		names = append(names, h.Name)
	}
	if !slices.Equal(names, []string{"Content-Md5", "If-None-Match"}) {
		t.Errorf("the headers are %q", names)
	}
	bare := to
	bare.Headers = to.Headers[1:]
	for what, c := range map[string]struct {
		to      target
		content string
		status  int
	}{
		"other bytes":  {to, "WEIGHTS", http.StatusBadRequest},
		"a part":       {to, "weight", http.StatusForbidden},
		"more":         {to, "weights.", http.StatusForbidden},
		"without MD5":  {bare, "weights", http.StatusForbidden},
		"another file": {target{Method: to.Method, URL: to.URL, Headers: empty.Headers}, "weights", http.StatusForbidden},
	} {
		if status, said := s.put(c.to, c.content); status != c.status {
			t.Errorf("PUT of %s: got %d %s, want %d", what, status, said, c.status)
		}
	}
	if got := admin.do(publishBundle, vars{"upload": upload.UploadID}); got.code() != "NOT_FOUND" || len(got.Errors[0].Extensions.Problems) != 2 {
		t.Errorf("an upload without its files is published: %s", got.Body)
	}
	for _, c := range []struct {
		to      target
		content string
		status  int
	}{{to, "weights", http.StatusOK}, {to, "weights", http.StatusPreconditionFailed}, {empty, "", http.StatusOK}} {
		if status, said := s.put(c.to, c.content); status != c.status {
			t.Errorf("PUT of %q: got %d %s, want %d", c.content, status, said, c.status)
		}
	}
	if again := admin.request("insects", pack{"output/w": "weights", "output/empty": ""}.manifest()); again.UploadID != upload.UploadID || len(again.Wanted) != 0 {
		t.Errorf("asked again: %+v", again)
	}
	version := admin.publish(upload.UploadID).Version
	if files := s.inBucket("bundles"); len(files) != 2 || len(s.inBucket("incoming")) != 0 {
		t.Errorf("the store has %q and %q", files, s.inBucket("incoming"))
	}
	// The target holds on, and leads nowhere that matters.
	if status, said := s.put(to, "weights"); status != http.StatusOK {
		t.Errorf("PUT after publishing: got %d %s, want 200", status, said)
	}
	for _, name := range s.inBucket("incoming") {
		s.scribble(name, "WEIGHTS")
	}
	if again := admin.publish(upload.UploadID); again.Verdict != "UNCHANGED" || again.Version.ID != version.ID {
		t.Errorf("publish again: got %+v, want UNCHANGED with version %s", again, version.ID)
	}
	admin.holds(version.ID, pack{"output/w": "weights", "output/empty": ""})
}

// scribble writes into a file of the store as no client can.
func (s *server) scribble(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.s3.Folder, s.s3.Bucket, filepath.FromSlash(name)), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func TestS3_AFileThatWasAlteredOnItsWayIsNotPublishedAndWhatIsLeftIsSwept(t *testing.T) {
	t.Parallel()
	s := startInS3(t)
	admin := s.admin()
	published, _ := admin.ship("insects", model)
	p := pack{"output/w": "new ones", "data/right": "as it should be"}
	for altered, said := range map[string]string{"NEW ONES": hexOf("NEW ONES"), "many more weights": "17 bytes, not 8"} {
		upload := admin.request("insects", p.manifest())
		for _, to := range upload.Wanted {
			if status, said := s.put(to, p[to.Key]); status != http.StatusOK {
				t.Fatalf("PUT of %s: got %d %s, want 200", to.Key, status, said)
			}
		}
		for _, name := range s.inBucket("incoming") {
			if strings.HasSuffix(name, "/"+hexOf("new ones")) {
				s.scribble(name, altered)
			}
		}
		got := admin.do(publishBundle, vars{"upload": upload.UploadID})
		if got.code() != "BAD_USER_INPUT" || len(got.Errors[0].Extensions.Problems) != 1 || !strings.Contains(got.Errors[0].Extensions.Problems[0].Message, said) {
			t.Errorf("publish with an altered file: got %s, want BAD_USER_INPUT with one problem that contains %q", got.Body, said)
		}
		var latest struct {
			Bundle struct{ Latest struct{ Number int } }
		}
		if admin.must(&latest, `{ bundle(name: "insects") { latest { number } } }`, nil); latest.Bundle.Latest.Number != 1 {
			t.Errorf("it is version %d", latest.Bundle.Latest.Number)
		}
	}
	s.stop()
	old := time.Now().Add(-25 * time.Hour)
	for _, name := range append(s.inBucket("incoming"), s.inBucket("bundles")...) {
		s.s3.Age(t, name, old)
	}
	s.boot()
	for patience := time.After(time.Minute); len(s.inBucket("incoming")) > 0 || len(s.inBucket("bundles")) > len(model); {
		select {
		case <-patience:
			t.Fatalf("there are still %q and %q", s.inBucket("incoming"), s.inBucket("bundles"))
		case <-time.After(20 * time.Millisecond):
		}
	}
	admin.holds(published.Version.ID, model)
}

func TestS3_ABackupIsRestoredFromAndToEitherStore(t *testing.T) {
	t.Parallel()
	s := startInS3(t)
	admin := s.admin()
	admin.upload("REFUSE", snapshot(trap, 0, 1))
	version, _ := admin.ship("insects", model)
	at := func(s *server) []string {
		args := append([]string{"--data", s.Data}, s.args...)
		if s.Database != "" {
			args = append(args, "--database", s.Database)
		}
		return args
	}
	elsewhere := testenv.S3(t)
	for what, to := range map[string]*server{
		"to another store": {s3: elsewhere, args: []string{"--storage", elsewhere.URL()}, env: elsewhere.Environment()},
		"to a folder":      {},
	} {
		from, there := newDesk(t, s.env...), newDesk(t, to.env...)
		to.t, to.Data, to.Password = t, filepath.Join(there.Home, "data"), s.Password
		backup := filepath.Join(from.Home, "backup")
		from.must(append([]string{"backup", backup}, at(s)...)...)
		there.must(append([]string{"restore", backup}, at(to)...)...)
		there.must(append([]string{"verify"}, at(to)...)...)
		to.begin()
		restored := to.admin()
		restored.holds(version.Version.ID, model)
		if got := restored.linked(); len(got) != 1 || to.fetch(got[0].Original.URL, nil).Body != string(snapshot(trap, 0, 1).Content) {
			t.Errorf("restore %s: got links %+v, want one that opens the image", what, got)
		}
		// What comes next does not disturb what was restored.
		changed := model.with("README.md", "restored "+what)
		if next, sent := restored.ship("insects", changed); next.Version.Number != 2 || !slices.Equal(sent, []string{"README.md"}) {
			t.Errorf("%s: %+v, sent %q", what, next, sent)
		}
	}
}

func TestS3_AFileThatTakesLongerToCheckThanARequestMayIsPublishedAllTheSame(t *testing.T) {
	t.Parallel()
	store := testenv.S3(t)
	proxy := testenv.ProxyTo(t, store.Host)
	s := startAs(t, &server{
		s3: store, env: store.Environment(),
		args: []string{"--timeout", "3s", "--storage", store.Through(proxy.Host) + "&public_endpoint=http://" + store.Host},
	})
	d := deskAt(t, s.URL, s.admin().Token)
	up := filepath.Join(d.Home, "up")
	fill(t, filepath.Join(up, "output"), file{"model_final.pth", []byte(strings.Repeat("weights ", 1<<20))})
	// The server reads 1 MB a second of the 8 MB. Whoever sends is not so slow.
	proxy.While(t, `{"name": "slow", "type": "bandwidth", "stream": "downstream", "toxicity": 1, "attributes": {"rate": 1000}}`, func() {
		got := d.must("push", "bundle", "insects", up)
		got.says(t, "Sent 1 of 1 files (8.4 MB); published insects@1")
		if !strings.Contains(got.Said, "trying again") {
			t.Errorf("it was not slow enough: %s", got.Said)
		}
	})
	if files := s.inBucket("bundles"); len(files) != 1 {
		t.Errorf("it was checked more than once: %q", files)
	}
}
