package s3store

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"tagma/internal/base/instant"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/filelink"
	"tagma/internal/testing/testenv"
)

const place = "incoming/0123456789abcdef/x"

// elsewhere makes the targets of files that do not go straight to the store.
type elsewhere struct{}

func (elsewhere) Target(_ context.Context, file filelink.File) (filelink.Target, error) {
	return filelink.Target{URL: "/uploads/" + file.Key}, nil
}

func (b *Bucket) target(t *testing.T, clock instant.Clock, file filelink.File) filelink.Target {
	t.Helper()
	targets, err := b.Targets(t.Context(), clock, elsewhere{})
	if err != nil {
		t.Fatal(err)
	}
	target, err := targets.Target(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func fileOf(content string) filelink.File {
	sum := md5.Sum([]byte(content))
	return filelink.File{Key: "never", Incoming: place, Size: int64(len(content)), MD5: hex.EncodeToString(sum[:])}
}

// send sends a body to a target, as anybody may.
func send(t *testing.T, to filelink.Target, body string) (status int, said string) {
	t.Helper()
	var from io.Reader = http.NoBody
	if body != "" {
		from = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), to.Method, to.URL, from)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range to.Headers {
		request.Header.Set(h.Name, h.Value)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestTargets_TakeTheFileThatWasAskedForOnceAndNothingElse(t *testing.T) {
	s, server := fresh(t)
	to := s.target(t, instant.System, fileOf("weights"))
	if left := time.Until(to.ExpiresAt.Time()); to.Method != "PUT" || left > filelink.TargetLifetime || left < filelink.TargetLifetime-2*time.Second ||
		!strings.HasPrefix(to.URL, "http://"+server.Host+"/photographs/"+place+"?") || strings.Contains(to.URL, server.SecretKey) {
		t.Errorf("target: got %+v, want PUT at %s for %v", to, server.Host, filelink.TargetLifetime)
	}
	without := func(name string) filelink.Target {
		other := to
		other.Headers = nil
		for _, h := range to.Headers {
			if h.Name != name {
				other.Headers = append(other.Headers, h)
			}
		}
		if len(other.Headers) != len(to.Headers)-1 {
			t.Errorf("%s is not among %v", name, to.Headers)
		}
		return other
	}
	at := func(url string) filelink.Target {
		if url == to.URL {
			t.Error("a target is not another")
		}
		return filelink.Target{Method: to.Method, URL: url, Headers: to.Headers}
	}
	by := func(method string) filelink.Target {
		return filelink.Target{Method: method, URL: to.URL, Headers: to.Headers}
	}
	for what, c := range map[string]struct {
		to   filelink.Target
		body string
	}{
		"other bytes":       {to, "WEIGHTS"},
		"fewer bytes":       {to, "weight"},
		"more bytes":        {to, "weights."},
		"none":              {to, ""},
		"no MD5":            {without("Content-Md5"), "weights"},
		"no condition":      {without("If-None-Match"), "weights"},
		"another key":       {at(strings.Replace(to.URL, place, place+"y", 1)), "weights"},
		"a published key":   {at(strings.Replace(to.URL, "incoming/", "bundles/", 1)), "weights"},
		"a longer life":     {at(strings.Replace(to.URL, "X-Amz-Expires=900", "X-Amz-Expires=9000", 1)), "weights"},
		"another signature": {at(strings.Replace(to.URL, "X-Amz-Signature=", "X-Amz-Signature=0", 1)), "weights"},
		"to read":           {by("GET"), ""},
		"to delete":         {by("DELETE"), ""},
	} {
		if status, said := send(t, c.to, c.body); status < 400 || status >= 500 {
			t.Errorf("%s is answered %d %s", what, status, said)
		}
	}
	if exists, err := bucket.Exists(t.Context(), s, place); exists || err != nil {
		t.Errorf("%s exists: got %t, %v, want false", place, exists, err)
	}
	if status, said := send(t, to, "weights"); status != http.StatusOK {
		t.Errorf("the file is answered %d %s", status, said)
	}
	if status, said := send(t, to, "weights"); status != http.StatusPreconditionFailed {
		t.Errorf("the file again is answered %d %s", status, said)
	}
	if got, err := bucket.ReadAll(t.Context(), s, place); string(got) != "weights" || err != nil {
		t.Errorf("file: got %q, %v, want weights", got, err)
	}
}

func TestTargets_EmptyLargeLateAndFromOutside(t *testing.T) {
	s, server := fresh(t)
	if status, said := send(t, s.target(t, instant.System, fileOf("")), ""); status != http.StatusOK {
		t.Errorf("an empty file is answered %d %s", status, said)
	}
	large := fileOf("x")
	large.Size = MaxDirectSize + 1
	if to := s.target(t, instant.System, large); to.URL != "/uploads/never" {
		t.Errorf("a large file goes to %s", to.URL)
	}
	past := &clock{time.Now().Add(-filelink.TargetLifetime - time.Minute)}
	late := fileOf("late")
	late.Incoming += "late"
	if status, _ := send(t, s.target(t, past.read, late), "late"); status != http.StatusForbidden {
		t.Errorf("one that has ended is answered %d", status)
	}
	outside := enter(t, server.URL()+"&public_endpoint="+url.QueryEscape("http://localhost:"+server.Host[strings.LastIndex(server.Host, ":")+1:]))
	to := outside.target(t, instant.System, late)
	if status, said := send(t, to, "late"); status != http.StatusOK || !strings.HasPrefix(to.URL, "http://localhost:") {
		t.Errorf("%s is answered %d %s", to.URL, status, said)
	}
}

func TestCopy_TakesOverTheBytesAndNothingThatWhoeverSentThemSays(t *testing.T) {
	s, _ := fresh(t)
	to := s.target(t, instant.System, fileOf("<script>"))
	to.Headers = append(to.Headers, filelink.Header{Name: "Content-Type", Value: "text/html"}, filelink.Header{Name: "Content-Disposition", Value: "inline"})
	if status, said := send(t, to, "<script>"); status != http.StatusOK {
		t.Fatalf("PUT: got %d %s, want 200", status, said)
	}
	if err := s.Copy(t.Context(), "bundles/copy", place); err != nil {
		t.Fatal(err)
	}
	got, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &s.name, Key: aws.String("bundles/copy")})
	if err != nil || aws.ToString(got.ContentType) != copyContentType || aws.ToString(got.CacheControl) != cacheControl || aws.ToString(got.ContentDisposition) != "" || len(got.Metadata) > 0 {
		t.Errorf("attributes of the copy: got %+v, %v, want application/octet-stream with Cache-Control %s and nothing else", got, err, cacheControl)
	}
	if content, err := bucket.ReadAll(t.Context(), s, "bundles/copy"); !bytes.Equal(content, []byte("<script>")) || err != nil {
		t.Errorf("copy: got %q, %v, want the bytes of the file", content, err)
	}
}

// A store may carry a request out long after it seemed to have failed.
func TestCopy_IsAskedForOnceAndEverythingElseAgain(t *testing.T) {
	server := testenv.S3(t)
	server.Enter(t)
	var asked atomic.Int64
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer failing.Close()
	s := enter(t, server.Through(strings.TrimPrefix(failing.URL, "http://")))
	if err := s.Copy(t.Context(), "bundles/copy", place); err == nil || !strings.Contains(err.Error(), "500") || asked.Load() != 1 {
		t.Errorf("%v, after %d requests", err, asked.Load())
	}
	asked.Store(0)
	if _, err := bucket.ReadAll(t.Context(), s, place); err == nil || asked.Load() != maxAttempts {
		t.Errorf("%v, after %d requests", err, asked.Load())
	}
}
