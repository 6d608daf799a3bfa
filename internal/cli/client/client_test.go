package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tagma/internal/base/fault"
	"tagma/internal/cli/client"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/client/upload"
)

// answering is a client of a server that answers with these, one after the
// other and the last for good, and how many requests have come.
func answering(t *testing.T, patience time.Duration, answers ...http.HandlerFunc) (*client.Client, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1))
		answers[min(n, len(answers))-1](w, r)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(client.Options{Server: server.URL, Token: "secret", Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	return c, &asked
}

// says answers with that status and body.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for n := 0; n < len(header); n += 2 {
			w.Header().Set(header[n], header[n+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// cut ends an answer in its middle.
func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"data": {"logout"`)
	panic(http.ErrAbortHandler)
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func failing(extensions string) http.HandlerFunc {
	return says(http.StatusOK, `{"errors": [{"message": "no", "extensions": {`+extensions+`}}], "data": null}`)
}

var good = says(http.StatusOK, `{"data": {"logout": true}}`)

func logout(t *testing.T, c *client.Client) (bool, error) {
	t.Helper()
	got, err := client.Retry(t.Context(), c, func() (*generated.LogoutResponse, error) {
		return generated.Logout(t.Context(), c)
	})
	return err == nil && got.Logout, err
}

func TestRetry_WhatPassesIsTriedAgainAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first http.HandlerFunc
		code  fault.Code // empty if it is tried again
		says  string
	}{
		"UNAVAILABLE":              {failing(`"code": "UNAVAILABLE"`), "", ""},
		"RATE_LIMITED":             {failing(`"code": "RATE_LIMITED", "retryAfter": 1`), "", ""},
		"a connection that breaks": {hangUp, "", ""},
		"an answer that breaks":    {cut, "", ""},
		"a proxy's 502":            {says(502, "<html>"), "", ""},
		"a proxy's 429":            {says(429, "", "Retry-After", "1"), "", ""},
		"RATE_LIMITED for long":    {failing(`"code": "RATE_LIMITED", "retryAfter": 900`), fault.RateLimited, "no"},
		"UNAUTHENTICATED":          {failing(`"code": "UNAUTHENTICATED"`), fault.Unauthenticated, "no"},
		"FORBIDDEN":                {failing(`"code": "FORBIDDEN"`), fault.Forbidden, "no"},
		"BAD_USER_INPUT":           {failing(`"code": "BAD_USER_INPUT", "problems": [{"path": ["a"], "message": "b"}]`), fault.BadInput, "no"},
		"INTERNAL":                 {failing(`"code": "INTERNAL", "requestId": "5f2b"`), fault.Internal, "no (5f2b)"},
		"a proxy's 413":            {says(413, "<html>"), fault.TooLarge, "does not take so much at once"},
		"another server":           {says(200, "<html>"), fault.BadInput, "does not answer as Tagma does"},
		"nothing there":            {says(404, `{"error": "not found"}`), fault.BadInput, "404 Not Found"},
		"a redirect":               {says(301, "", "Location", "https://elsewhere/graphql"), fault.BadInput, "sends on to https://elsewhere/graphql"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, asked := answering(t, time.Minute, test.first, good)
			done, err := logout(t, c)
			if test.code == "" {
				if !done || asked.Load() != 2 {
					t.Errorf("%v %v after %d requests", done, err, asked.Load())
				}
				return
			}
			if done || fault.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.says) || asked.Load() != 1 {
				t.Errorf("%v %v after %d requests", done, err, asked.Load())
			}
		})
	}
}

func TestRetry_PatienceEnds(t *testing.T) {
	t.Parallel()
	c, asked := answering(t, 0, failing(`"code": "UNAVAILABLE"`))
	if _, err := logout(t, c); fault.CodeOf(err) != fault.Unavailable || asked.Load() != 1 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
	c, asked = answering(t, time.Second, failing(`"code": "UNAVAILABLE"`))
	if _, err := logout(t, c); fault.CodeOf(err) != fault.Unavailable || asked.Load() < 2 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}

func TestRetry_AnInterruptionIsNoFaultOfTheServer(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	c, _ := answering(t, time.Minute, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // after which the server sees that nobody waits
		cancel(enough)
		<-r.Context().Done()
	})
	if _, err := generated.Logout(ctx, c); !errors.Is(err, enough) {
		t.Errorf("canceled request: got %v, want %v", err, enough)
	}
}

func TestLimits_AnotherServerIsToldApart(t *testing.T) {
	t.Parallel()
	c, _ := answering(t, time.Minute, says(200, `{"data": {"server": {"name": "Other"}}}`))
	if _, err := c.Limits(t.Context()); err == nil || !strings.Contains(err.Error(), "is not Tagma") {
		t.Errorf("limits of another server: got %v, want an error that says is not Tagma", err)
	}
}

func TestNew_AnAddressIsOne(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "localhost", "localhost:8080", "ftp://host", "http://", "http://host/?a=b", "http://host/#a", "http://u:p@host", ":"} {
		if _, err := client.New(client.Options{Server: address}); fault.CodeOf(err) != fault.BadInput {
			t.Errorf("address %q: got %v, want BAD_USER_INPUT", address, err)
		}
	}
	for _, address := range []string{"http://127.0.0.1:8080", "https://host/", "https://host/below/"} {
		if _, err := client.New(client.Options{Server: address}); err != nil {
			t.Errorf("address %q: got %v, want no error", address, err)
		}
	}
}

func TestUpload_TheFormIsWhatItsHeadSays(t *testing.T) {
	t.Parallel()
	type part struct{ name, filename, content string }
	var parts []part
	var length, announced int64
	c, _ := answering(t, 0, func(w http.ResponseWriter, r *http.Request) {
		announced = r.ContentLength
		counted := &counter{Reader: r.Body}
		r.Body = io.NopCloser(counted)
		form, err := r.MultipartReader()
		if err != nil {
			t.Error(err)
			return
		}
		for {
			p, err := form.NextPart()
			if err != nil {
				break
			}
			content, _ := io.ReadAll(p)
			parts = append(parts, part{p.FormName(), p.FileName(), string(content)})
		}
		length = counted.n
		says(200, `{"data": {"uploadImages": {"results": []}}}`)(w, r)
	})
	files := []upload.File{open("a.jpg", "first", 5), open(`b"\.jpg`, "", 0)}
	if _, err := generated.UploadImages(t.Context(), c, files, generated.ConflictPolicyRefuse); err != nil {
		t.Fatal(err)
	}
	if len(parts) != 4 || parts[0].name != "operations" || !strings.Contains(parts[0].content, `"files":[null,null]`) ||
		parts[1] != (part{"map", "", `{"0":["variables.files.0"],"1":["variables.files.1"]}`}) ||
		parts[2] != (part{"0", "a.jpg", "first"}) || parts[3].content != "" {
		t.Errorf("form: got %q, want operations, map and the files 0 and 1", parts)
	}
	if length != announced || announced <= 0 {
		t.Errorf("%d bytes came, %d were announced", length, announced)
	}
}

func TestUpload_AFileThatIsNotAsAnnouncedIsNamed(t *testing.T) {
	t.Parallel()
	for want, file := range map[string]upload.File{
		"a.jpg was changed": open("a.jpg", "longer than that", 3),
		"b.jpg was changed": open("b.jpg", "x", 3),
		"c.jpg cannot be read: gone": {Name: "c.jpg", Size: 3, Open: func() (io.ReadCloser, error) {
			return nil, errors.New("gone")
		}},
	} {
		c, _ := answering(t, time.Minute, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
		_, err := generated.UploadImages(t.Context(), c, []upload.File{file}, generated.ConflictPolicyRefuse)
		if fault.CodeOf(err) != fault.BadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%v is not %s", err, want)
		}
	}
}

func open(name, content string, size int64) upload.File {
	return upload.File{Name: name, Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
}

type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}
