package e2e

import (
	"fmt"
	"image/jpeg"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// get gets a URL with headers and gives the answer, its body read and put back
// as a text.
func get(t testing.TB, url string, header http.Header) *page {
	t.Helper()
	return ask(t, http.MethodGet, url, header)
}

// fetch gets a file by its link, which is a path on the server or the address
// of the store.
func (s *server) fetch(link string, header http.Header) *page {
	s.t.Helper()
	return get(s.t, s.address(link), header)
}

// address is that of a link or a target, which leads to the server or past it.
func (s *server) address(link string) string {
	if strings.HasPrefix(link, "/") {
		return s.URL + link
	}
	return link
}

// page is an answer to a plain HTTP request.
type page struct {
	StatusCode int
	Header     http.Header
	Body       string
}

func ask(t testing.TB, method, url string, header http.Header) *page {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		request.Header = header
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &page{response.StatusCode, response.Header, string(body)}
}

func TestFiles_AreServedByLinksThatStayTheSameForAWhile(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, f := s.admin(), snapshot(trap, 0, 1)
		admin.upload("REFUSE", f)
		var got struct {
			Image struct {
				File, Again, Small, Mini struct {
					URL       string
					ExpiresAt time.Time
				}
			}
		}
		admin.must(&got, `query($device: String!, $takenAt: DateTime!) { image(device: $device, takenAt: $takenAt) {
		  file { url expiresAt } again: file { url expiresAt } small: file(variant: THUMBNAIL) { url expiresAt } mini: file(variant: THUMBNAIL_MINI) { url expiresAt } } }`, key(trap, 0))
		link := got.Image.File
		if link != got.Image.Again || time.Until(link.ExpiresAt) < 5*time.Minute-time.Second || time.Until(link.ExpiresAt) > time.Hour {
			t.Errorf("the links are %+v", got)
		}
		whole := get(t, s.URL+link.URL, nil)
		for name, want := range map[string]string{"Content-Type": "image/jpeg", "X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes", "Content-Length": fmt.Sprint(len(f.Content)), "Content-Disposition": "inline; filename=" + f.Name} {
			if whole.Header.Get(name) != want {
				t.Errorf("%s: got %q, want %q", name, whole.Header.Get(name), want)
			}
		}
		if whole.StatusCode != http.StatusOK || whole.Body != string(f.Content) || !strings.Contains(whole.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("the file is answered %d %v", whole.StatusCode, whole.Header)
		}
		head := ask(t, http.MethodHead, s.URL+link.URL, nil)
		if head.StatusCode != http.StatusOK || head.Body != "" || head.Header.Get("ETag") != whole.Header.Get("ETag") || head.Header.Get("Content-Length") != fmt.Sprint(len(f.Content)) {
			t.Errorf("HEAD is answered %d %v", head.StatusCode, head.Header)
		}
		part := get(t, s.URL+link.URL, http.Header{"Range": {"bytes=10-19"}})
		if part.StatusCode != http.StatusPartialContent || part.Body != string(f.Content[10:20]) {
			t.Errorf("a range is answered %d with %d bytes", part.StatusCode, len(part.Body))
		}
		if got := get(t, s.URL+link.URL, http.Header{"Range": {"bytes=99999999-"}}); got.StatusCode != http.StatusRequestedRangeNotSatisfiable {
			t.Errorf("a range beyond the end is answered %d", got.StatusCode)
		}
		cached := get(t, s.URL+link.URL, http.Header{"If-None-Match": {whole.Header.Get("ETag")}})
		if cached.StatusCode != http.StatusNotModified || cached.Body != "" {
			t.Errorf("what the browser has is answered %d", cached.StatusCode)
		}
		for name, small := range map[string]string{"thumbnail": got.Image.Small.URL, "mini": got.Image.Mini.URL} {
			config, err := jpeg.DecodeConfig(strings.NewReader(get(t, s.URL+small, nil).Body))
			if err != nil || name == "mini" && (config.Width != 128 || config.Height != 96) {
				t.Errorf("%s: got %v, %v, want a JPEG; a mini has 128 × 96 pixels", name, config, err)
			}
		}

		path, query, _ := strings.Cut(link.URL, "?")
		other, _, _ := strings.Cut(got.Image.Small.URL, "?")
		last := link.URL[len(link.URL)-1:]
		for what, url := range map[string]string{
			"no signature":         path,
			"another variant":      other + "?" + query,
			"another end":          strings.Replace(link.URL, "expires=", "expires=9", 1),
			"another signature":    link.URL[:len(link.URL)-1] + map[bool]string{true: "A", false: "Q"}[last != "A"],
			"one parameter more":   link.URL + "&download=1",
			"another file":         strings.Replace(link.URL, "20-00-00", "20-00-01", 1),
			"another way to write": strings.Replace(link.URL, ".jpg", "%2Ejpg", 1),
		} {
			if got := get(t, s.URL+url, nil); got.StatusCode != http.StatusForbidden {
				t.Errorf("%s is answered %d", what, got.StatusCode)
			}
		}
		if got := ask(t, http.MethodDelete, s.URL+link.URL, nil); got.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("DELETE is answered %d", got.StatusCode)
		}

		// Whoever starts the server anew does not break the links.
		s.stop()
		s.boot()
		if got := get(t, s.URL+link.URL, nil); got.StatusCode != http.StatusOK || got.Header.Get("ETag") != whole.Header.Get("ETag") {
			t.Errorf("after a new start the file is answered %d", got.StatusCode)
		}
	})
}
