package labelrepo

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/githost"
)

func TestPush_AnAnswerThatIsNotGitsSaysWhatStandsInTheWay(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<html><head><TITLE lang=en>\n Sign in &ndash; Campus SSO </TITLE></head></html>")
	}
	for name, c := range map[string]struct {
		fault http.HandlerFunc
		kind  error
		want  string
	}{
		"a sign-in page": {page, ErrUnavailable, `the web page "Sign in – Campus SSO"`},
		"a list of files": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprintln(w, strings.Repeat("0", 40)+"\trefs/heads/main")
		}, ErrUnavailable, "not git's smart protocol"},
		"a redirect to a repository": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://user:s3cret@git.example.org/lab/labels.git"+r.URL.Path[strings.LastIndex(r.URL.Path, "/info"):]+"?service=x&token=s3cret", http.StatusMovedPermanently)
		}, ErrUnavailable, "redirects to https://git.example.org/lab/labels.git. "},
		"a redirect to a page": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://sso.example.org/login?next=s3cret", http.StatusFound)
		}, ErrUnavailable, "the page https://sso.example.org/login, which is not git"},
		"a long title with a secret": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<title>"+strings.Repeat("x", 195)+" "+testToken+"</title>")
		}, ErrUnavailable, "xxx ***"},
		"too large": {githost.Status(http.StatusRequestEntityTooLarge), ErrTooLarge, "client_max_body_size"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			r := open(t, config(t, h.Address()))
			h.SetFault(c.fault)
			_, err := push(t.Context(), r, label(1, "x"))
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %v with %q and no secret", err, c.kind, c.want)
			}
			checkNoSecret(t, err.Error())
		})
	}
}

func TestPush_APauseThatTheHostAsksForIsReported(t *testing.T) {
	h := newHost(t)
	r := open(t, config(t, h.Address()))
	for value, want := range map[string]time.Duration{
		"120": 2 * time.Minute, "": 0, "soon": 0, "-5": 0, "Mon, 02 Jan 2006 15:04:05 GMT": 0,
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat): time.Hour,
	} {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			h.SetFault(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", value)
				w.WriteHeader(status)
			})
			_, err := push(t.Context(), r, label(1, "x"))
			if got := RetryAfter(err); !errors.Is(err, ErrUnavailable) || got > want || got < want-10*time.Second {
				t.Errorf("%d with Retry-After %q: got %v, a pause of %v, want ErrUnavailable and %v", status, value, err, got, want)
			}
			if want == 2*time.Minute && !strings.Contains(err.Error(), "wait for 2m0s") {
				t.Errorf("%d with Retry-After %q: got %v, want the pause in the text", status, value, err)
			}
		}
	}
}

func TestPush_ARenewedTokenIsReadAtTheNextTry(t *testing.T) {
	h := newHost(t)
	cfg := config(t, h.Address())
	cfg.Credentials.TokenFile = filepath.Join(t.TempDir(), "token")
	write := func(content string) {
		if err := os.WriteFile(cfg.Credentials.TokenFile, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(testToken + "\n")
	r := open(t, cfg)
	mustPush(t, r, label(1, "x"))
	const renewed = "canary-renewed"
	h.SetToken(renewed)
	if _, err := push(t.Context(), r, label(2, "x")); !errors.Is(err, ErrAuth) {
		t.Errorf("before the file has the new token: got %v, want ErrAuth", err)
	}
	write("\n") // as while the file is written
	if _, err := push(t.Context(), r, label(2, "x")); !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), "the file of the token cannot be read") {
		t.Errorf("with an empty file: got %v, want ErrAuth with the reason", err)
	}
	write(" " + renewed + "\n")
	mustPush(t, r, label(2, "x"))
	if n := commitCount(t, h.Dir); n != 2 {
		t.Errorf("got %d commits, want 2", n)
	}
	// Neither token is in an error.
	hook(t, h.Dir, "echo '"+testToken+" "+renewed+"' >&2; exit 1\n")
	_, err := push(t.Context(), r, label(3, "x"))
	if !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), "*** ***") {
		t.Errorf("got %v, want ErrRejected with both tokens removed", err)
	}
	checkNoSecret(t, err.Error())
}

func TestPush_AnUnknownAuthorityAndAProxyAreNamed(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	check := func(r *Repo, want string) {
		t.Helper()
		_, err := push(t.Context(), r, label(1, "x"))
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrUnavailable with %q", err, want)
		}
		checkNoSecret(t, err.Error())
	}
	check(open(t, config(t, secure.URL+"/labels.git")), "SSL_CERT_FILE")

	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(proxy.Close)
	through := func(address string) *Repo {
		r := open(t, config(t, "https://git.example.org/labels.git"))
		// As HTTPS_PROXY does, which net/http reads once for a process.
		transport := newGitTransport()
		target, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		transport.RoundTripper.(*http.Transport).Proxy = http.ProxyURL(target)
		r.remote.transport = newHTTPClient(transport)
		return r
	}
	check(through("http://ana:canary@"+strings.TrimPrefix(proxy.URL, "http://")), "407")
	check(through("http://ana:canary@127.0.0.1:1"), "the proxy that HTTPS_PROXY names cannot be reached")
}
