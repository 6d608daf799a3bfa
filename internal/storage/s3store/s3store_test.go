package s3store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tagma/internal/base/instant"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/filelink"
	"tagma/internal/testing/testenv"
)

const key = "images/0a5bb6f4/2020-06/0a5bb6f4.2020-06-20_21-33-24.0123456789abcdef.jpg"

func enter(t *testing.T, address string) *Bucket {
	t.Helper()
	s, err := Open(t.Context(), address, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fresh returns an empty bucket on a real server.
func fresh(t *testing.T) (*Bucket, *testenv.S3Server) {
	t.Helper()
	server := testenv.S3(t)
	server.Enter(t)
	return enter(t, server.URL()), server
}

func (b *Bucket) links(t testing.TB, clock instant.Clock) *Links {
	t.Helper()
	links, err := b.Links(t.Context(), clock, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return links
}

func (b *Bucket) put(t *testing.T, key, content string) {
	t.Helper()
	if err := b.Create(t.Context(), key, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

func TestCheck_SaysInOneLineWhatIsWrong(t *testing.T) {
	s, server := fresh(t)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = deaf.Close()
	at := "?region=" + server.Region + "&endpoint=http://"
	for _, c := range []struct{ what, address, id, secret, want string }{
		{"no bucket", "s3://photos" + at + server.Host, server.AccessKeyID, server.SecretKey, "there is no such bucket"},
		{"another key", server.URL(), "AKIANOBODY", server.SecretKey, "No user exists with the provided access key"},
		{"another secret", server.URL(), server.AccessKeyID, "another-secret", "the secret key is not that of the access key"},
		{"another region", "s3://photographs?region=us-west-2&endpoint=http://" + server.Host, server.AccessKeyID, server.SecretKey, "in another region"},
		{"nobody there", "s3://photographs" + at + deaf.Addr().String(), server.AccessKeyID, server.SecretKey, "cannot be reached: dial tcp"},
	} {
		t.Setenv("AWS_ACCESS_KEY_ID", c.id)
		t.Setenv("AWS_SECRET_ACCESS_KEY", c.secret)
		err := enter(t, c.address).Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") ||
			strings.Contains(err.Error(), c.secret) || !strings.Contains(err.Error(), "photo") {
			t.Errorf("%s: got %v, want one line with %q and no secret", c.what, err, c.want)
		}
	}
}

func TestOpen_WithoutCredentialsOrARegionIsRefused(t *testing.T) {
	server := testenv.S3(t)
	server.Enter(t)
	if _, err := Open(t.Context(), "s3://photographs", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "region=") {
		t.Errorf("without a region: %v", err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	if _, err := Open(t.Context(), server.URL(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "there are no credentials") {
		t.Errorf("without credentials: %v", err)
	}
}

// clock is one to turn.
type clock struct{ now time.Time }

func (c *clock) read() instant.Instant { return instant.Of(c.now) }

// ask asks for a link, which anybody may.
func doRequest(t *testing.T, method, link string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(header); n += 2 {
		request.Header.Set(header[n], header[n+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestLinks_OpenOneFileToWhoeverHasThem(t *testing.T) {
	s, server := fresh(t)
	s.put(t, key, "0123456789")
	s.put(t, "images/other.jpg", "another")
	link, expires, err := s.links(t, instant.System).Get(t.Context(), key, "")
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(expires.Time()); left < filelink.LeastLeft-time.Second || left > time.Hour {
		t.Errorf("%v are left", left)
	}
	if !strings.HasPrefix(link, "http://"+server.Host+"/photographs/"+key+"?") || strings.Contains(link, server.SecretKey) {
		t.Error(link)
	}
	whole, body := doRequest(t, "GET", link)
	for name, want := range map[string]string{"Content-Type": "image/jpeg", "Cache-Control": cacheControl, "Content-Length": "10", "Accept-Ranges": "bytes"} {
		if whole.Header.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, whole.Header.Get(name), want)
		}
	}
	if got := whole.Header.Get("Content-Disposition"); got != "inline; filename=0a5bb6f4.2020-06-20_21-33-24.jpg" {
		t.Errorf("Content-Disposition is %q", got)
	}
	tag := whole.Header.Get("ETag")
	if whole.StatusCode != 200 || body != "0123456789" || tag == "" {
		t.Errorf("GET link: got %d %q %v, want 200 with the file and an ETag", whole.StatusCode, body, whole.Header)
	}
	for _, c := range []struct {
		header [2]string
		status int
		body   string
	}{{[2]string{"Range", "bytes=2-4"}, 206, "234"}, {[2]string{"Range", "bytes=7-"}, 206, "789"}, {[2]string{"If-None-Match", tag}, 304, ""}} {
		if got, body := doRequest(t, "GET", link, c.header[:]...); got.StatusCode != c.status || body != c.body {
			t.Errorf("GET with %v: got %d %q, want %d %q", c.header, got.StatusCode, body, c.status, c.body)
		}
	}
	path, query, _ := strings.Cut(link, "?")
	for what, changed := range map[string]string{
		"no signature":      path,
		"another file":      strings.Replace(path, key, "images/other.jpg", 1) + "?" + query,
		"a longer life":     strings.Replace(link, "X-Amz-Expires=3600", "X-Amz-Expires=36000", 1),
		"another time":      strings.Replace(link, "X-Amz-Date=2", "X-Amz-Date=3", 1),
		"another signature": strings.Replace(link, "X-Amz-Signature=", "X-Amz-Signature=0", 1),
		"another type":      link + "&response-content-type=text/html",
		"another name":      strings.Replace(link, "2020-06-20_21-33-24.jpg&", "evil.html&", 1),
		"shown otherwise":   strings.Replace(link, "inline", "attachment", 1),
	} {
		if got, _ := doRequest(t, "GET", changed); changed == link || got.StatusCode < 400 || got.StatusCode >= 500 {
			t.Errorf("%s: got %d, want 4xx", what, got.StatusCode)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "POST"} {
		if got, _ := doRequest(t, method, link); got.StatusCode < 400 || got.StatusCode >= 500 {
			t.Errorf("%s is answered %d", method, got.StatusCode)
		}
	}
	if got, body := doRequest(t, "GET", link); got.StatusCode != 200 || body != "0123456789" {
		t.Errorf("and then: %d", got.StatusCode)
	}
}

func TestLinks_AreTheSameOnEachServerUntilTheyHaveFiveMinutesLeft(t *testing.T) {
	s, server := fresh(t)
	s.put(t, key, "x")
	from, until := filelink.Window(time.Now(), time.Hour)
	c := &clock{from}
	one, another := s.links(t, c.read), enter(t, server.URL()).links(t, c.read)
	first, expires, err := one.Get(t.Context(), key, "")
	if err != nil || !expires.Time().Equal(until) {
		t.Fatal(expires, until, err)
	}
	c.now = until.Add(-filelink.LeastLeft - time.Millisecond)
	if last, _, err := another.Get(t.Context(), key, ""); last != first || err != nil {
		t.Errorf("it has changed early: %v", err)
	}
	c.now = until.Add(-filelink.LeastLeft)
	next, later, err := one.Get(t.Context(), key, "")
	if next == first || err != nil || !later.Time().Equal(until.Add(55*time.Minute)) {
		t.Errorf("%v, %v, and the link is the old one: %t", later, err, next == first)
	}
	if got, _ := doRequest(t, "GET", first); got.StatusCode != 200 {
		t.Errorf("the first is answered %d", got.StatusCode)
	}
	c.now = time.Now().Add(-3 * time.Hour)
	past, _, err := one.Get(t.Context(), key, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := doRequest(t, "GET", past); got.StatusCode != 403 {
		t.Errorf("one that has ended is answered %d", got.StatusCode)
	}
}

func TestLinks_OddKeysAndAnotherPublicEndpoint(t *testing.T) {
	s, server := fresh(t)
	links := s.links(t, instant.System)
	for _, key := range []string{"a b+c%20d", "ä/☺.jpg", "a?b=c&d#e", `(a)!*~'"`, "a=b;c,d:e|f"} {
		s.put(t, key, key)
		link, _, err := links.Get(t.Context(), key, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, body := doRequest(t, "GET", link); got.StatusCode != 200 || body != key {
			t.Errorf("%q: %s is answered %d %.200s", key, link, got.StatusCode, body)
		}
	}
	for _, name := range []string{"model_final.pth", `two "words"; a=b&c+d%20.txt`, "Größe 🦋.txt"} {
		link, _, err := links.Get(t.Context(), "a b+c%20d", name)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := doRequest(t, "GET", link)
		if kind, parameters, err := mime.ParseMediaType(got.Header.Get("Content-Disposition")); got.StatusCode != 200 || err != nil || kind != "attachment" || parameters["filename"] != name {
			t.Errorf("link with the name %q: got %d, %q, want 200 as an attachment", name, got.StatusCode, got.Header.Get("Content-Disposition"))
		}
	}
	_, port, _ := net.SplitHostPort(server.Host)
	outside := enter(t, server.URL()+"&public_endpoint="+url.QueryEscape("http://localhost:"+port))
	link, _, err := outside.links(t, instant.System).Get(t.Context(), "ä/☺.jpg", "")
	if err != nil || !strings.HasPrefix(link, "http://localhost:"+port+"/photographs/") {
		t.Fatal(link, err)
	}
	if got, _ := doRequest(t, "GET", link); got.StatusCode != 200 {
		t.Errorf("from outside: %d", got.StatusCode)
	}
	other := enter(t, "s3://photographs?path_style=false&endpoint=https://s3.example.org")
	if link, _, err := other.links(t, instant.System).Get(t.Context(), "a b", ""); err != nil || !strings.HasPrefix(link, "https://photographs.s3.example.org/a%20b?") {
		t.Error(link, err)
	}
}

// Roles and the like give credentials that end. Here a program does, which AWS's
// files may name.
func TestLinks_EndWithTheCredentialsThatSignedThem(t *testing.T) {
	server := testenv.S3(t)
	server.Enter(t)
	ends := time.Now().Add(7 * time.Minute).Truncate(time.Second)
	lent, err := json.Marshal(map[string]any{
		"Version": 1, "AccessKeyId": server.AccessKeyID, "SecretAccessKey": server.SecretKey, "Expiration": ends.UTC().Format(time.RFC3339),
	})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, content := range map[string]string{
		"lent":   string(lent),
		"config": "[profile lab]\ncredential_process = cat " + filepath.Join(folder, "lent") + "\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(folder, "config"))
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	s := enter(t, server.URL()+"&profile=lab")
	s.put(t, key, "x")
	_, window := filelink.Window(time.Now(), time.Hour)
	link, expires, err := s.links(t, instant.System).Get(t.Context(), key, "")
	if want := ends; err != nil || !expires.Time().Equal(want) && !expires.Time().Equal(window) || expires.Time().After(want) {
		t.Errorf("%v, not %v, %v", expires, want, err)
	}
	if got, _ := doRequest(t, "GET", link); got.StatusCode != 200 {
		t.Errorf("it is answered %d", got.StatusCode)
	}
}

func TestStore_WorksWithoutTheNewerChecksums(t *testing.T) {
	t.Setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
	s, _ := fresh(t)
	s.put(t, key, "x")
	s.put(t, "large", strings.Repeat("x", 17<<20)) // in parts
	if got, err := bucket.ReadAll(t.Context(), s, "large"); len(got) != 17<<20 || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestStore_LogsNoSecret(t *testing.T) {
	server := testenv.S3(t)
	server.Enter(t)
	var log bytes.Buffer
	s, err := Open(t.Context(), server.URL(), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, key, "x")
	_ = s.Create(t.Context(), key, strings.NewReader("y"))
	_, _ = bucket.ReadAll(t.Context(), s, "missing")
	if strings.Contains(log.String(), server.SecretKey) || strings.Contains(log.String(), "X-Amz-Signature") {
		t.Error(log.String())
	}
}

func TestImpatient_AConnectionEndsAfterASilenceAndNotAsLongAsItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c, began := idleTimeoutConn{ours}, time.Now()
		go func() {
			<-time.After(idleTimeout - time.Second)
			_, _ = c.Write([]byte("a request"))
		}()
		go func() { _, _ = io.ReadFull(theirs, make([]byte, len("a request"))) }()
		_, err := c.Read(make([]byte, 1))
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != 2*idleTimeout-time.Second {
			t.Errorf("it ended after %v, %v", took, err)
		}
	})
}

func BenchmarkLinks(b *testing.B) {
	server := testenv.S3(b)
	b.Setenv("AWS_ACCESS_KEY_ID", server.AccessKeyID)
	b.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	s, err := Open(b.Context(), server.URL(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	links := s.links(b, instant.System)
	for b.Loop() {
		if _, _, err := links.Get(b.Context(), key, ""); err != nil {
			b.Fatal(err)
		}
	}
}
