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
	"time"

	"tagma/internal/base/fault"
)

const (
	targetKey = "bundles/0123456789abcdef/9e107d9d372bb6826bd81d3542a419d6"
	targetMD5 = "9e107d9d372bb6826bd81d3542a419d6"
)

// dock takes what is sent to a house's targets.
type dock struct {
	*house
	handler http.Handler
	took    []string // keys and contents
	answer  error
}

func newDock(t *testing.T) *dock {
	d := &dock{house: newHouse(t)}
	d.handler = Receiver(d.signer, func(_ context.Context, key string, size int64, body io.Reader) error {
		content, err := io.ReadAll(body)
		if err != nil || int64(len(content)) != size {
			t.Errorf("%d bytes of %d, %v", len(content), size, err)
		}
		d.took = append(d.took, key+" "+string(content))
		return d.answer
	}, slog.New(slog.NewTextHandler(&d.log, nil)))
	return d
}

func (d *dock) target(t *testing.T, key string, size int64, md5 string) Target {
	t.Helper()
	to, err := d.signer.Target(t.Context(), File{Key: key, Size: size, MD5: md5})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func (d *dock) send(method, url, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, httptest.NewRequest(method, url, strings.NewReader(body)))
	return w
}

func TestTarget_TakesOneFileOfThatSizeForAQuarterOfAnHour(t *testing.T) {
	d := newDock(t)
	to := d.target(t, targetKey, 3, targetMD5)
	if to.Method != http.MethodPut || !strings.HasPrefix(to.URL, "/uploads/"+targetKey+"?") || to.ExpiresAt != noon.Add(15*time.Minute) {
		t.Errorf("target: got %+v, want PUT to %s until %v", to, TargetPrefix+targetKey, noon.Add(15*time.Minute))
	}
	d.now = to.ExpiresAt.Add(-time.Millisecond)
	if got := d.send("PUT", to.URL, "abc"); got.Code != http.StatusCreated || len(d.took) != 1 || d.took[0] != targetKey+" abc" {
		t.Errorf("PUT: got %d %s with %q, want 201 and the file once", got.Code, got.Body, d.took)
	}
	for body, want := range map[string]int{"ab": 400, "abcd": 400, "": 400} {
		if got := d.send("PUT", to.URL, body); got.Code != want || !strings.Contains(got.Body.String(), "3 were asked for") {
			t.Errorf("PUT %q: got %d %s, want %d with the size", body, got.Code, got.Body, want)
		}
	}
	endless := httptest.NewRequest("PUT", to.URL, io.MultiReader(strings.NewReader("abc")))
	endless.ContentLength = -1
	w := httptest.NewRecorder()
	if d.handler.ServeHTTP(w, endless); w.Code != http.StatusLengthRequired {
		t.Errorf("without a length: %d", w.Code)
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"} {
		if got := d.send(method, to.URL, "abc"); got.Code != http.StatusMethodNotAllowed || got.Header().Get("Allow") != "PUT" {
			t.Errorf("%s: got %d with Allow %q, want 405 with PUT", method, got.Code, got.Header().Get("Allow"))
		}
	}
	d.now = to.ExpiresAt
	if got := d.send("PUT", to.URL, "abc"); got.Code != http.StatusForbidden {
		t.Errorf("expired: %d", got.Code)
	}
	if len(d.took) != 1 {
		t.Errorf("it took %q", d.took)
	}
}

func TestTarget_NoOtherSpellingAndNoOtherMeaningHolds(t *testing.T) {
	d := newDock(t)
	to := d.target(t, targetKey, 3, targetMD5).URL
	path, query, _ := strings.Cut(to, "?")
	other := strings.Replace(targetKey, "0123", "3210", 1)
	_, link, _ := strings.Cut(d.link("PUT", targetKey), "?")
	stranger, err := d.newSigner(t, 'x', time.Hour).Target(t.Context(), File{Key: targetKey, Size: 3, MD5: targetMD5})
	if err != nil {
		t.Fatal(err)
	}
	for what, url := range map[string]string{
		"no signature":         path,
		"another key":          TargetPrefix + other + "?" + query,
		"another size":         strings.Replace(to, "size=3", "size=4", 1),
		"another size, as 03":  strings.Replace(to, "size=3", "size=03", 1),
		"another md5":          strings.Replace(to, "md5=9", "md5=8", 1),
		"another end":          strings.Replace(to, "expires=1", "expires=2", 1),
		"one parameter more":   to + "&size=3",
		"another order":        path + "?size=3&" + strings.Replace(query, "&size=3", "", 1),
		"escaped otherwise":    strings.Replace(to, "bundles", "%62undles", 1),
		"a link's signature":   path + "?" + link,
		"a stranger's":         stranger.URL,
		"half of it":           to[:len(to)-1],
		"the size of nothing":  strings.Replace(to, "size=3", "size=", 1),
		"the end of nothing":   strings.Replace(to, "expires=", "expired=", 1),
		"below another prefix": strings.Replace(to, TargetPrefix, Prefix, 1),
	} {
		if url == to {
			t.Errorf("%s: it is the same", what)
		}
		if got := d.send("PUT", url, "abc"); got.Code != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", what, got.Code)
		}
	}
	// Nor is a target a link.
	if got := d.ask("GET", strings.Replace(to, TargetPrefix, Prefix, 1)); got.Code != http.StatusForbidden {
		t.Errorf("read by a target: %d", got.Code)
	}
	if len(d.took) != 0 {
		t.Errorf("it took %q", d.took)
	}
}

func TestReceiver_SaysWhatTheSenderMayKnowAndLogsTheRest(t *testing.T) {
	d := newDock(t)
	to := d.target(t, targetKey, 3, targetMD5).URL
	for _, c := range []struct {
		err    error
		status int
		said   string
	}{
		{fault.New(fault.BadInput, "other bytes"), 400, "other bytes\n"},
		{fault.New(fault.NotFound, "no upload"), 404, "no upload\n"},
		{fault.New(fault.Conflict, "it is here"), 412, "it is here\n"},
		{fault.Wrap(errors.New("secret"), fault.BadInput, "broke off"), 400, "broke off\n"},
		{errors.New("secret"), 500, "internal error\n"},
	} {
		d.answer = c.err
		got := d.send("PUT", to, "abc")
		if got.Code != c.status || got.Body.String() != c.said {
			t.Errorf("PUT with error %v: got %d %q, want %d %q", c.err, got.Code, got.Body, c.status, c.said)
		}
		wantHeaders(t, got.Header(), map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": guards["Content-Security-Policy"]})
	}
	if log := d.log.String(); strings.Count(log, "secret") != 1 {
		t.Errorf("the log says %q", log)
	}
}
