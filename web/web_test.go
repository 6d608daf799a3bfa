package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tagma/web"
)

func get(t *testing.T, path string) *http.Response {
	t.Helper()
	recorder := httptest.NewRecorder()
	web.Playground().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return recorder.Result()
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPlayground_ThePageIsFreshAndItsPartsAreKeptForEver(t *testing.T) {
	page := get(t, "/")
	if got := page.Header.Get("Cache-Control"); page.StatusCode != http.StatusOK || got != "no-cache" {
		t.Errorf("the page: %s, Cache-Control %q", page.Status, got)
	}
	parts := regexp.MustCompile(`"(playground/assets/[^"]+)"`).FindAllStringSubmatch(body(t, page), -1)
	if len(parts) < 5 { // script, style and three workers
		t.Fatalf("the page names %d parts", len(parts))
	}
	for _, part := range parts {
		response := get(t, "/"+part[1])
		if got := response.Header.Get("Cache-Control"); response.StatusCode != http.StatusOK || !strings.Contains(got, "immutable") {
			t.Errorf("%s: %s, Cache-Control %q", part[1], response.Status, got)
		}
	}
}

func TestPlayground_EveryFileHasItsTypeAndTheSecurityHeaders(t *testing.T) {
	types := map[string]string{
		".css": "text/css; charset=utf-8",
		".js":  "text/javascript; charset=utf-8",
		".ttf": "font/ttf",
		".txt": "text/plain; charset=utf-8",
	}
	files, err := os.ReadDir("playground/dist/assets")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"/": "text/html; charset=utf-8"}
	for _, file := range files {
		want["/playground/assets/"+file.Name()] = types[filepath.Ext(file.Name())]
	}
	for path, contentType := range want {
		response := get(t, path)
		if response.StatusCode != http.StatusOK {
			t.Errorf("GET %s: got %s, want 200", path, response.Status)
		}
		for name, value := range map[string]string{
			"Content-Type":           contentType,
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        "no-referrer",
		} {
			if got := response.Header.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", path, name, got, value)
			}
		}
		policy := response.Header.Get("Content-Security-Policy")
		for _, rule := range []string{"default-src 'self';", "script-src 'self';", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, rule) {
				t.Errorf("%s: the policy %q lacks %q", path, policy, rule)
			}
		}
	}
}

func TestPlayground_OtherPathsAreNotFoundAndNotCached(t *testing.T) {
	for _, path := range []string{
		"/index.html",
		"/graphql",
		"/playground/",
		"/playground/assets/",
		"/playground/assets/none.js",
	} {
		response := get(t, path)
		if got := response.Header.Get("Cache-Control"); response.StatusCode != http.StatusNotFound || got != "" {
			t.Errorf("%s: %s, Cache-Control %q", path, response.Status, got)
		}
	}
}

func TestPlayground_APathCannotClimbOutOfTheAssets(t *testing.T) {
	if response := get(t, "/playground/assets/%2e%2e%2findex.html"); response.StatusCode < 400 {
		t.Errorf("GET outside of the assets: got %s, want an error", response.Status)
	}
}

func TestPlayground_ItStaysSmall(t *testing.T) {
	const most = 6_000_000
	var size int64
	err := filepath.Walk("playground/dist", func(_ string, file os.FileInfo, err error) error {
		if err == nil && !file.IsDir() {
			size += file.Size()
		}
		return err
	})
	if err != nil || size > most {
		t.Errorf("dist has %d bytes, want at most %d (%v)", size, most, err)
	}
}
