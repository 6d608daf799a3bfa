package httpd

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// front is a server behind CrossOrigin, and how often it was reached.
func front(t *testing.T, origins ...string) (url string, reached *int) {
	t.Helper()
	reached = new(int)
	server := httptest.NewServer(CrossOrigin(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		*reached++
		_, _ = io.WriteString(w, "answered")
	}), origins))
	t.Cleanup(server.Close)
	return server.URL, reached
}

func ask(t *testing.T, method, url string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}

const app = "https://app.example.org"

func TestCrossOrigin_APreflightOfAnAllowedOriginIsAnsweredAtOnceAndKept(t *testing.T) {
	url, reached := front(t, "http://localhost:5173", app)
	got := ask(t, http.MethodOptions, url, "Origin", app, "Access-Control-Request-Method", "POST",
		"Access-Control-Request-Headers", "authorization,content-type,graphql-require-preflight,idempotency-key")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":      app,
		"Access-Control-Allow-Methods":     "POST",
		"Access-Control-Allow-Headers":     "authorization,content-type,graphql-require-preflight,idempotency-key",
		"Access-Control-Max-Age":           "7200",
		"Access-Control-Allow-Credentials": "",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if got.StatusCode != http.StatusNoContent || *reached != 0 {
		t.Errorf("%d, and the server was asked %d times", got.StatusCode, *reached)
	}
}

func TestCrossOrigin_OtherOriginsHeadersAndMethodsAreNotAllowed(t *testing.T) {
	url, _ := front(t, app)
	for name, c := range map[string][3]string{
		"another origin":         {"https://evil.example.org", "POST", "content-type"},
		"one that begins alike":  {app + ".evil.org", "POST", "content-type"},
		"one that ends alike":    {"https://evil-app.example.org", "POST", "content-type"},
		"another scheme":         {strings.Replace(app, "https", "http", 1), "POST", "content-type"},
		"another port":           {app + ":8443", "POST", "content-type"},
		"no origin":              {"null", "POST", "content-type"},
		"another method":         {app, "DELETE", "content-type"},
		"a header of no concern": {app, "POST", "x-forwarded-for"},
	} {
		got := ask(t, http.MethodOptions, url, "Origin", c[0], "Access-Control-Request-Method", c[1], "Access-Control-Request-Headers", c[2])
		if allowed := got.Header.Get("Access-Control-Allow-Origin"); allowed != "" {
			t.Errorf("%s: %q is allowed", name, allowed)
		}
	}
}

func TestCrossOrigin_AnAnswerIsForAllowedOriginsAndShowsWhatAClientNeeds(t *testing.T) {
	url, _ := front(t, app)
	got := ask(t, http.MethodPost, url, "Origin", app)
	exposed := got.Header.Get("Access-Control-Expose-Headers")
	if got.Header.Get("Access-Control-Allow-Origin") != app || got.Header.Get("Vary") != "Origin" ||
		!strings.Contains(exposed, "X-Request-Id") || !strings.Contains(exposed, "Retry-After") {
		t.Errorf("answer to an allowed origin: got %v, want Allow-Origin %s, Vary and exposed headers", got.Header, app)
	}
	if got := ask(t, http.MethodPost, url, "Origin", "https://evil.example.org"); got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("answer to another origin: got %v, want no Allow-Origin", got.Header)
	}
}

func TestCrossOrigin_WithoutAListNothingIsAllowed(t *testing.T) {
	url, reached := front(t)
	for _, method := range []string{http.MethodOptions, http.MethodPost} {
		got := ask(t, method, url, "Origin", app, "Access-Control-Request-Method", "POST")
		for name := range got.Header {
			if strings.HasPrefix(name, "Access-Control") {
				t.Errorf("%s is answered with %s", method, name)
			}
		}
	}
	if *reached != 2 {
		t.Errorf("the server was asked %d times", *reached)
	}
}

func TestCheckOrigin_OnlyWhatBrowsersSend(t *testing.T) {
	for _, origin := range []string{"https://a.example", "http://localhost:5173", "http://127.0.0.1:3000", "https://[::1]:8443", "https://a.example:80"} {
		if err := CheckOrigin(origin); err != nil {
			t.Error(err)
		}
	}
	for _, origin := range []string{
		"", "*", "null", "a.example", "https://", "https://*.example", "https://a.example/", "https://a.example/app", "https://a.example?x", "https://A.example",
		"HTTPS://a.example", "https://a.example:443", "http://a.example:80", "https://a.example:", "ftp://a.example", "https://user@a.example", "https://a.example#x",
	} {
		if CheckOrigin(origin) == nil {
			t.Errorf("%q is taken", origin)
		}
	}
}
