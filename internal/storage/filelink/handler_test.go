package filelink

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"tagma/internal/storage/bucket"
)

func wantHeaders(t *testing.T, got http.Header, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, got.Get(name), value)
		}
	}
}

// guards are in every answer, whatever it is.
var guards = map[string]string{
	"X-Content-Type-Options":       "nosniff",
	"Content-Security-Policy":      "default-src 'none'; sandbox",
	"Cross-Origin-Resource-Policy": "cross-origin",
}

func TestHandler_APhotographIsServedAsOneForAsLongAsTheLinkLives(t *testing.T) {
	h := newHouse(t)
	link, expires := h.signer.Link("GET", key, "")
	h.now = expires.Add(-400*time.Second - time.Millisecond)
	got := h.ask("GET", link)
	if got.Code != 200 || got.Body.String() != photo {
		t.Errorf("GET link: got %d %q, want 200 %q", got.Code, got.Body, photo)
	}
	wantHeaders(t, got.Header(), guards)
	wantHeaders(t, got.Header(), map[string]string{
		"Content-Type":        "image/jpeg",
		"Content-Disposition": "inline; filename=1a2b3c4d.2020-06-20_21-33-24.jpg",
		"Cache-Control":       "private, max-age=400, immutable",
		"Accept-Ranges":       "bytes",
	})
	if tag := got.Header().Get("ETag"); !strings.HasPrefix(tag, `"`) {
		t.Errorf("the ETag %q is not a strong one", tag)
	}
}

func TestHandler_AnythingElseIsToBeSavedAndNotShown(t *testing.T) {
	h := newHouse(t)
	for name, disposition := range map[string]string{
		"evil.html":     "attachment; filename=evil.html",
		"evil.jpg.html": "attachment; filename=evil.jpg.html",
		"a\"; X-Evil: ": `attachment; filename="a\"; X-Evil: "`,
		"Größe.zip":     "attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.zip",
	} {
		h.store(t, "up/"+name, "<script>alert(1)</script>")
		got := h.ask("GET", h.link("GET", "up/"+name))
		if got.Code != 200 {
			t.Errorf("GET %q: got %d, want 200", name, got.Code)
		}
		wantHeaders(t, got.Header(), guards)
		wantHeaders(t, got.Header(), map[string]string{
			"Content-Type":        "application/octet-stream",
			"Content-Disposition": disposition,
		})
	}
}

func TestDisposition_ANameAddsNoHeader(t *testing.T) {
	const want = `attachment; filename="a\"__X-Evil: "`
	if got := Disposition("up/file", "a\"\r\nX-Evil: "); got != want {
		t.Errorf("Disposition of a name with a line break: got %q, want %q", got, want)
	}
}

func TestHandler_ServesRanges(t *testing.T) {
	h := newHouse(t)
	link := h.link("GET", key)
	tag := h.ask("HEAD", link).Header().Get("ETag")
	for _, c := range []struct {
		headers []string
		status  int
		body    string
	}{
		{[]string{"Range", "bytes=0-9"}, 206, photo[:10]},
		{[]string{"Range", "bytes=7-"}, 206, photo[7:]},
		{[]string{"Range", "bytes=-5"}, 206, photo[len(photo)-5:]},
		{[]string{"Range", "bytes=5-1000000"}, 206, photo[5:]},
		{[]string{"Range", "bytes=0-9", "If-Range", tag}, 206, photo[:10]},
		{[]string{"Range", "bytes=0-9", "If-Range", `"old"`}, 200, photo},
		{[]string{"Range", "bytes=0-1,5-6"}, 200, photo},
		{[]string{"Range", "bytes=1000000-"}, 416, "invalid range: failed to overlap\n"},
		{[]string{"If-None-Match", tag}, 304, ""},
		{[]string{"If-None-Match", `"old"`}, 200, photo},
		{[]string{"If-Match", `"old"`}, 412, ""},
	} {
		got := h.ask("GET", link, c.headers...)
		if got.Code != c.status || got.Body.String() != c.body {
			t.Errorf("%q: %d %q, want %d %q", c.headers, got.Code, got.Body, c.status, c.body)
		}
		wantHeaders(t, got.Header(), guards)
	}
}

func TestHandler_AnswersHeadWithoutTheFile(t *testing.T) {
	h := newHouse(t)
	server := httptest.NewServer(h.handler)
	defer server.Close()
	got, err := server.Client().Head(server.URL + h.link("GET", key))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if got.StatusCode != 200 || got.ContentLength != int64(len(photo)) || len(body) > 0 || err != nil {
		t.Errorf("%d, %d bytes promised, %d sent, %v", got.StatusCode, got.ContentLength, len(body), err)
	}
}

func TestHandler_TakesNoOtherMethodEvenSigned(t *testing.T) {
	h := newHouse(t)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "FETCH"} {
		got := h.ask(method, h.link(method, key))
		if got.Code != http.StatusMethodNotAllowed || got.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, Allow %q", method, got.Code, got.Header().Get("Allow"))
		}
		wantHeaders(t, got.Header(), guards)
	}
	if got := h.ask("GET", h.link("GET", key)); got.Code != 200 {
		t.Errorf("and then the file says %d", got.Code)
	}
}

func TestHandler_SaysWhenAFileIsGone(t *testing.T) {
	h := newHouse(t)
	if err := h.bucket.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	got := h.ask("GET", h.link("GET", key))
	if got.Code != 404 || got.Body.String() != "this file is gone\n" {
		t.Errorf("GET a deleted file: got %d %q, want 404 this file is gone", got.Code, got.Body)
	}
	wantHeaders(t, got.Header(), map[string]string{"Cache-Control": "no-store"})
	if h.log.Len() > 0 {
		t.Errorf("the log says %s", &h.log)
	}
}

func TestHandler_KeepsTheStoresErrorsToTheLog(t *testing.T) {
	h := newHouse(t)
	h.bucket.Close()
	got := h.ask("GET", h.link("GET", key))
	if got.Code != 500 || got.Body.String() != "internal error\n" {
		t.Errorf("GET from a closed store: got %d %q, want 500 internal error", got.Code, got.Body)
	}
	wantHeaders(t, got.Header(), guards)
	wantHeaders(t, got.Header(), map[string]string{"Cache-Control": "no-store"})
	if log := h.log.String(); !strings.Contains(log, "file already closed") || !strings.Contains(log, key) {
		t.Errorf("the log says %q", log)
	}
}

// failingBucket is a bucket whose disk fails after a few bytes of a file.
type failingBucket struct{ bucket.Bucket }

func (failingBucket) Open(context.Context, string) (bucket.Reader, error) {
	return failingReader{io.MultiReader(strings.NewReader("a beginning"), iotest.ErrReader(errors.New("bad sector")))}, nil
}

type failingReader struct{ io.Reader }

func (failingReader) Info() bucket.Info { return bucket.Info{Size: 1000} }
func (failingReader) Close() error      { return nil }

// Seek moves nothing: http.ServeContent seeks to learn the size.
func (r failingReader) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		offset += r.Info().Size
	}
	return offset, nil
}

func TestHandler_AFileThatFailsHalfWayIsCutAndLogged(t *testing.T) {
	h := newHouse(t)
	logged := make(chan struct{})
	handler := Handler(failingBucket{}, h.signer, slog.New(slog.NewTextHandler(&h.log, nil)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(logged)
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	got, err := server.Client().Get(server.URL + h.link("GET", key))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if body, err := io.ReadAll(got.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the client read %q, %v", body, err)
	}
	<-logged
	if log := h.log.String(); !strings.Contains(log, "bad sector") {
		t.Errorf("the log says %q", log)
	}
}
