package httpd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/request"
)

// world is a handler that is wrapped, and what its log and metrics heard.
type world struct {
	http.Handler
	t       *testing.T
	logs    *logs
	metrics *prometheus.Registry
}

// logs is lines of JSON, written by many.
type logs struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

// lines are the lines with that message.
func (w *world) lines(message string) (found []map[string]any) {
	w.t.Helper()
	w.logs.mu.Lock()
	defer w.logs.mu.Unlock()
	for line := range bytes.Lines(w.logs.Bytes()) {
		var one map[string]any
		if err := json.Unmarshal(line, &one); err != nil {
			w.t.Fatal(err)
		}
		if one["msg"] == message {
			found = append(found, one)
		}
	}
	return found
}

func wrap(t *testing.T, next http.HandlerFunc, o Options) *world {
	w := &world{t: t, logs: &logs{}, metrics: prometheus.NewRegistry()}
	o.Log, o.Metrics = slog.New(LogHandler(slog.NewJSONHandler(w.logs, nil))), w.metrics
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	mux := http.NewServeMux()
	mux.Handle("/files/{name}", next)
	mux.Handle("/", next)
	w.Handler = Wrap(mux, o)
	return w
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	return answer
}

func get(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }

func TestWrap_EveryRequestHasAnIDThatTheLogAndTheCallerKnow(t *testing.T) {
	var within string
	w := wrap(t, func(_ http.ResponseWriter, r *http.Request) { within = request.ID(r.Context()) }, Options{})
	seen := map[string]bool{}
	for range 100 {
		r := get("/")
		r.Header.Set("X-Request-Id", "a caller's own") // which the log must not take
		id := w.do(r).Header().Get("X-Request-Id")
		if len(id) != 16 || seen[id] || id != within {
			t.Fatalf("got the id %q, and %q within the request, want one new id of 16 digits", id, within)
		}
		seen[id] = true
	}
	for _, line := range w.lines("request") {
		if !seen[line["request"].(string)] {
			t.Errorf("got the line %v, want the id of one of the requests", line)
		}
	}
}

func TestWrap_TheDeadlineIsLongerForAnUploadAlone(t *testing.T) {
	var left time.Duration
	w := wrap(t, func(_ http.ResponseWriter, r *http.Request) {
		deadline, _ := r.Context().Deadline()
		left = time.Until(deadline)
	}, Options{Timeout: time.Minute, UploadTimeout: time.Hour})
	for contentType, want := range map[string]time.Duration{
		"":                                    time.Minute,
		"application/json":                    time.Minute,
		"text/plain; a=multipart/form-data":   time.Minute,
		"multipart/form-data; boundary=x":     time.Minute + time.Hour,
		"Multipart/Form-Data; boundary=\"x\"": time.Minute + time.Hour,
	} {
		r := get("/")
		r.Header.Set("Content-Type", contentType)
		w.do(r)
		if left > want || left < want-30*time.Second {
			t.Errorf("%q: %s, want %s", contentType, left, want)
		}
	}
}

func TestWrap_TheContextEndsWithTheRequest(t *testing.T) {
	var within context.Context
	wrap(t, func(_ http.ResponseWriter, r *http.Request) { within = r.Context() }, Options{}).do(get("/"))
	if !errors.Is(within.Err(), context.Canceled) {
		t.Error(within.Err())
	}
}

func TestWrap_BrowsersAreKeptOutOfMischief(t *testing.T) {
	header := wrap(t, func(http.ResponseWriter, *http.Request) {}, Options{}).do(get("/")).Header()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
	} {
		if header.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, header.Get(name), want)
		}
	}
}

func TestWrap_APanicIsToldToTheLogAlone(t *testing.T) {
	const canary = "canary in a cage"
	w := wrap(t, func(http.ResponseWriter, *http.Request) { panic(canary) }, Options{})
	answer := w.do(get("/"))
	if answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), canary) {
		t.Errorf("got %d %s, want 500 without the value of the panic", answer.Code, answer.Body)
	}
	lines := w.lines("panic")
	if len(lines) != 1 || lines[0]["value"] != canary || !strings.Contains(lines[0]["stack"].(string), "httpd_test.go") ||
		lines[0]["request"] != answer.Header().Get("X-Request-Id") {
		t.Errorf("got %v, want one panic with its value, stack and request id", lines)
	}
	if lines := w.lines("request"); len(lines) != 1 || lines[0]["status"] != 500.0 {
		t.Errorf("got %v, want one request with status 500", lines)
	}
}

func TestWrap_AnAnswerThatAPanicCutShortIsNotTakenForTheWhole(t *testing.T) {
	for name, panicked := range map[string]any{"a defect": "oh", "an abort": http.ErrAbortHandler} {
		w := wrap(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half of")
			_ = http.NewResponseController(w).Flush()
			panic(panicked)
		}, Options{})
		server := httptest.NewUnstartedServer(w)
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		server.Start()
		answer, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); err == nil {
			t.Errorf("%s: %q looks whole", name, body)
		}
		answer.Body.Close()
		server.Close()
		if panics := len(w.lines("panic")); panics != map[string]int{"a defect": 1, "an abort": 0}[name] {
			t.Errorf("%s: the log has %d panics", name, panics)
		}
		if lines := w.lines("request"); len(lines) != 1 {
			t.Errorf("%s: got %v, want one request", name, lines)
		}
	}
}

func TestWrap_TheLogAndTheMetricsHearHowItWent(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		status  float64
		bytes   float64
		class   string
	}{
		"nothing said": {func(http.ResponseWriter, *http.Request) {}, 200, 0, "2xx"},
		"a body":       {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }, 200, 5, "2xx"},
		"a status":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 404, 0, "4xx"},
		"two statuses": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503); w.WriteHeader(200) }, 503, 0, "5xx"},
		"a hint first": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(304) }, 304, 0, "3xx"},
	} {
		w := wrap(t, c.handler, Options{})
		w.do(get("/files/a?token=canary"))
		line := w.lines("request")[0]
		if line["status"] != c.status || line["bytes"] != c.bytes || line["route"] != "/files/{name}" || line["from"] != "192.0.2.1" {
			t.Errorf("%s: got %v, want status %v, %v bytes, the route /files/{name} and the address 192.0.2.1", name, line, c.status, c.bytes)
		}
		if strings.Contains(w.logs.String(), "canary") {
			t.Errorf("%s: the log has what is in the address: %s", name, w.logs.String())
		}
		if labels := w.labels(); !slices.Equal(labels, []string{"GET /files/{name} " + c.class}) {
			t.Errorf("%s: got the labels %q, want GET /files/{name} %s", name, labels, c.class)
		}
	}
}

// labels are the labels of all that was measured.
func (w *world) labels() (all []string) {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var values []string
			for _, label := range metric.GetLabel() { // by name: method, route, status
				values = append(values, label.GetValue())
			}
			all = append(all, strings.Join(values, " "))
		}
	}
	return all
}

func TestWrap_WhatCallersChooseMakesNoMoreMetrics(t *testing.T) {
	w := wrap(t, func(http.ResponseWriter, *http.Request) {}, Options{})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "BREW", "get", strings.Repeat("X", 1000)} {
		for _, path := range []string{"/", "/a", "/b?c=d", "/files/1", "/files/2"} {
			w.do(httptest.NewRequest(method, path, nil))
		}
	}
	if labels := w.labels(); len(labels) != 5*2 {
		t.Errorf("got %d labels %q, want 10", len(labels), labels)
	}
}

func TestAddress_AProxyIsBelievedOnlyWhereTheOperatorSaysSo(t *testing.T) {
	for _, c := range []struct {
		trust     bool
		remote    string
		forwarded []string
		want      string
	}{
		{false, "192.0.2.1:1234", nil, "192.0.2.1"},
		{false, "[2001:db8::1]:1234", nil, "2001:db8::1"},
		{false, "192.0.2.1:1234", []string{"198.51.100.7"}, "192.0.2.1"},
		{true, "192.0.2.1:1234", nil, "192.0.2.1"},
		{true, "192.0.2.1:1234", []string{""}, "192.0.2.1"},
		{true, "192.0.2.1:1234", []string{"198.51.100.7"}, "198.51.100.7"},
		{true, "192.0.2.1:1234", []string{" 2001:db8::7 "}, "2001:db8::7"},
		// What stands before the last entry, the client may have written.
		{true, "192.0.2.1:1234", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		{true, "192.0.2.1:1234", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7"},
		{true, "192.0.2.1:1234", []string{"203.0.113.9,"}, "192.0.2.1"},
		{true, "192.0.2.1:1234", []string{"203.0.113.9, unknown"}, "192.0.2.1"},
		{true, "192.0.2.1:1234", []string{"198.51.100.7\nx"}, "192.0.2.1"},
		{false, "@", nil, "@"}, // a socket without addresses
	} {
		r := get("/")
		r.RemoteAddr = c.remote
		r.Header["X-Forwarded-For"] = c.forwarded
		if got := (Options{TrustProxy: c.trust}).address(r); got != c.want {
			t.Errorf("%+v: got %q, want %q", c, got, c.want)
		}
	}
}

func TestAuthenticate_ATokenHoldsOrTheRequestIsRefused(t *testing.T) {
	anna := &caller.Caller{UserID: 7}
	who := func(_ context.Context, bearer string) (*caller.Caller, error) {
		switch bearer {
		case "good":
			return anna, nil
		case "broken":
			return nil, errors.New("the database says: canary")
		case "busy":
			return nil, fault.New(fault.RateLimited, "canary")
		}
		return nil, fault.Wrap(errors.New("canary"), fault.Unauthenticated, "this token does not hold")
	}
	const form = "multipart/form-data; boundary=x"
	for name, c := range map[string]struct {
		authorization, contentType string
		status                     int
		code                       fault.Code
		by                         *caller.Caller
	}{
		"nobody":                   {status: 200},
		"nobody who asks":          {contentType: "application/json", status: 200},
		"nobody who uploads":       {contentType: form, status: 401, code: fault.Unauthenticated},
		"a good token":             {authorization: "Bearer good", status: 200, by: anna},
		"in small letters":         {authorization: "bearer   good ", status: 200, by: anna},
		"a good token's upload":    {authorization: "Bearer good", contentType: form, status: 200, by: anna},
		"a bad token":              {authorization: "Bearer bad", status: 401, code: fault.Unauthenticated},
		"no token":                 {authorization: "Bearer", status: 401, code: fault.Unauthenticated},
		"another scheme":           {authorization: "Basic good", status: 401, code: fault.Unauthenticated},
		"no scheme":                {authorization: "good", status: 401, code: fault.Unauthenticated},
		"the database is away":     {authorization: "Bearer broken", status: 503, code: fault.Unavailable},
		"the database is too full": {authorization: "Bearer busy", status: 503, code: fault.Unavailable},
	} {
		var logs logs
		status, by := 200, (*caller.Caller)(nil)
		var code fault.Code
		var message string
		handler := Authenticate(
			http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { by = caller.From(r.Context()) }), who,
			func(_ http.ResponseWriter, _ *http.Request, s int, c fault.Code, m string) {
				status, code, message = s, c, m
			},
			slog.New(slog.NewTextHandler(&logs, nil)))
		r := httptest.NewRequest(http.MethodPost, "/graphql", failing{t})
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		r.Header.Set("Content-Type", c.contentType)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if status != c.status || code != c.code || by != c.by {
			t.Errorf("%s: got %d %s by %v, want %d %s by %v", name, status, code, by, c.status, c.code, c.by)
		}
		if strings.Contains(message, "canary") || strings.Contains(logs.String(), "canary") != (c.status == 503) {
			t.Errorf("%s: the caller reads %q, the log has %q", name, message, logs.String())
		}
		if challenge := answer.Header().Get("WWW-Authenticate"); (challenge == "Bearer") != (c.status == 401) {
			t.Errorf("%s: WWW-Authenticate is %q", name, challenge)
		}
	}
}

// failing is a body that must not be read.
type failing struct{ t *testing.T }

func (f failing) Read([]byte) (int, error) {
	f.t.Error("the body was read")
	return 0, io.EOF
}

func TestReady_NamesWhatIsNotAndTellsWhyToTheLogAlone(t *testing.T) {
	var logs logs
	broken := func(context.Context) error { return errors.New("canary") }
	fine := func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("a check may take for ever")
		}
		return nil
	}
	check := func(checks map[string]func(context.Context) error) (int, string) {
		answer := httptest.NewRecorder()
		Ready(slog.New(slog.NewTextHandler(&logs, nil)), checks, func(context.Context) string { return "" }).ServeHTTP(answer, get("/readyz"))
		return answer.Code, answer.Body.String()
	}
	if status, body := check(map[string]func(context.Context) error{"a": fine, "b": fine}); status != 200 || body != "ready\n" {
		t.Error(status, body)
	}
	if status, body := check(map[string]func(context.Context) error{"c": broken, "b": fine, "a": broken}); status != 503 || body != "not ready: a, c\n" {
		t.Error(status, body)
	}
	if !strings.Contains(logs.String(), "canary") {
		t.Error("the log does not say why")
	}
}

func TestLogHandler_AddsTheRequestWhateverElseIsAdded(t *testing.T) {
	var logs logs
	log := slog.New(LogHandler(slog.NewJSONHandler(&logs, nil))).With("a", 1)
	about := request.New("192.0.2.1")
	log.InfoContext(request.With(t.Context(), about), "within")
	log.InfoContext(t.Context(), "without")
	w := &world{t: t, logs: &logs}
	if line := w.lines("within")[0]; line["request"] != about.ID || line["a"] != 1.0 {
		t.Errorf("got %v, want the request %s and a 1", line, about.ID)
	}
	if line := w.lines("without")[0]; line["request"] != nil {
		t.Errorf("got %v, want no request", line)
	}
}
