package e2e

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// desk is where somebody uses Tagma's commands: a home of their own, and what
// they have set in their shell.
type desk struct {
	t    *testing.T
	Home string
	env  []string
}

func newDesk(t *testing.T, variables ...string) *desk {
	t.Helper()
	home := t.TempDir()
	env := append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, "config"), "XDG_CACHE_HOME="+filepath.Join(home, "cache"))
	return &desk{t: t, Home: home, env: append(env, variables...)}
}

// deskAt is a desk at which one uses that server, by that token.
func deskAt(t *testing.T, url, token string) *desk {
	t.Helper()
	return newDesk(t, "TAGMA_SERVER="+url, "TAGMA_TOKEN="+token)
}

// command is a command that is about to be run.
func (d *desk) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env = d.Home, d.env
	return cmd
}

// ran is how a command ended.
type ran struct {
	Out, Said string // standard output and error
	OK        bool
}

// run runs a command to its end. It must not race.
func (d *desk) run(input string, args ...string) ran {
	d.t.Helper()
	var out, said bytes.Buffer
	cmd := d.command(d.t.Context(), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &said
	ok := cmd.Run() == nil
	if strings.Contains(said.String(), "DATA RACE") {
		d.t.Errorf("tagma %v has raced:\n%s", args, &said)
	}
	return ran{Out: out.String(), Said: said.String(), OK: ok}
}

// must is run for a command that must succeed.
func (d *desk) must(args ...string) ran {
	d.t.Helper()
	got := d.run("", args...)
	if !got.OK {
		d.t.Fatalf("tagma %v fails:\n%s%s", args, got.Out, got.Said)
	}
	return got
}

// folder writes photographs into a folder, and gives its name.
func folder(t *testing.T, files ...file) string {
	t.Helper()
	name := t.TempDir()
	fill(t, name, files...)
	return name
}

func fill(t *testing.T, folder string, files ...file) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(folder, f.Name), f.Content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// snapshots are the photographs 0 to n-1 of a device.
func snapshots(device string, n int) []file {
	files := make([]file, n)
	for i := range files {
		files[i] = snapshot(device, i, uint64(i))
	}
	return files
}

// front stands before a server, as a proxy does: its address stays when the
// server's does not, and it counts the uploads that pass.
type front struct {
	URL     string
	Uploads atomic.Int64
	Bytes   atomic.Int64 // of uploads

	mu     sync.Mutex
	target *url.URL
	before func(upload int64) // is called with the number of each upload that comes, from 1
	after  func(upload int64) // if set, is called after the server has answered, and the answer is lost
}

// before is a front of a server.
func before(t *testing.T, s *server) *front {
	t.Helper()
	f := &front{}
	f.to(t, s)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			f.mu.Lock()
			defer f.mu.Unlock()
			r.SetURL(f.target)
		},
		// Where there is no server, the connection breaks.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
			n := f.Uploads.Add(1)
			f.Bytes.Add(r.ContentLength)
			f.mu.Lock()
			then, after := f.before, f.after
			f.mu.Unlock()
			if then != nil {
				then(n)
			}
			if after != nil {
				proxy.ServeHTTP(httptest.NewRecorder(), r)
				after(n)
				<-r.Context().Done()
				panic(http.ErrAbortHandler)
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.URL = server.URL
	return f
}

// to sends on to that server from now on.
func (f *front) to(t *testing.T, s *server) {
	t.Helper()
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = target
}

// on says what happens before each upload that comes from now on.
func (f *front) on(do func(upload int64)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = do
}

// images is how many images the server has.
func (c *client) images() int {
	c.t.Helper()
	var got struct {
		Devices struct{ Nodes []struct{ ImageCount int } }
	}
	c.must(&got, `{ devices { nodes { imageCount } } }`, nil)
	sum := 0
	for _, d := range got.Devices.Nodes {
		sum += d.ImageCount
	}
	return sum
}
