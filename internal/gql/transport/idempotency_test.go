package transport_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"tagma/internal/base/caller"
	"tagma/internal/base/instant"
	"tagma/internal/gql/idempotency"
	"tagma/internal/gql/transport"
	"tagma/internal/storage/database"
)

// keyed is a server that keeps answers, for a caller who is signed in as
// somebody unless X-As says otherwise. How often a resolver ran is in ran.
type keyed struct {
	http.Handler
	ran  atomic.Int64
	dir  string
	fail atomic.Bool // what is asked next
}

func newKeyed(t *testing.T, run resolve) *keyed {
	t.Helper()
	db, err := database.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"), database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	k := &keyed{dir: t.TempDir()}
	server := newServer(transport.Options{TempDir: k.dir, Idempotency: idempotency.New(db, instant.System), Log: quiet()},
		func(ctx context.Context, variables map[string]any) ([]byte, error) {
			n := k.ran.Add(1)
			if run != nil {
				return run(ctx, variables)
			}
			if k.fail.Load() {
				return nil, errors.New("no")
			}
			return json.Marshal(map[string]int64{"run": n})
		})
	people := map[string]*caller.Caller{
		"":       {UserID: 1, TokenID: 1, Role: caller.Reader},
		"again":  {UserID: 1, TokenID: 2, Role: caller.Reader},
		"other":  {UserID: 2, TokenID: 3, Role: caller.Reader},
		"trap":   {UserID: 1, TokenID: 4, Role: caller.Writer, Device: "0a5bb6f4"},
		"nobody": nil,
	}
	k.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := people[r.Header.Get("X-As")]; c != nil {
			r = r.WithContext(caller.With(r.Context(), c))
		}
		server.ServeHTTP(w, r)
	})
	return k
}

const (
	mutation = `{"query":"mutation($n: String) { make(name: $n) { name } }","variables":{"n":"a"}}`
	key      = "Idempotency-Key"
)

func TestIdempotency_ARequestUnderAKeyRunsOnceAndIsAnsweredAlike(t *testing.T) {
	k := newKeyed(t, nil)
	first := do(t, k, post(mutation, key, "k1"))
	for _, c := range [][]string{
		{key, "k1"},
		{key, `"k1"`},
		{key, " k1 "},
		{key, "k1", "X-As", "again"}, // the same person, signed in anew
		{key, "k1", "Accept", response},
	} {
		a := do(t, k, post(mutation, c...))
		if string(a.body) != string(first.body) || a.status != 200 || a.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%v: %d %s, not %s", c, a.status, a.body, first.body)
		}
	}
	if first.header.Get("Idempotency-Replayed") != "" || k.ran.Load() != 1 {
		t.Errorf("it ran %d times", k.ran.Load())
	}
}

func TestIdempotency_OtherRequestsRun(t *testing.T) {
	for name, header := range map[string][]string{
		"without a key":    {},
		"another key":      {key, "k2"},
		"another person":   {key, "k1", "X-As", "other"},
		"a trap of theirs": {key, "k1", "X-As", "trap"},
		"nobody in sight":  {key, "k1", "X-As", "nobody"},
	} {
		k := newKeyed(t, nil)
		do(t, k, post(mutation, key, "k1"))
		if a := do(t, k, post(mutation, header...)); k.ran.Load() != 2 || len(a.Errors) > 0 {
			t.Errorf("%s: it ran %d times: %s", name, k.ran.Load(), a.body)
		}
	}
	k := newKeyed(t, nil)
	for range 2 { // a query is none of it
		do(t, k, post(`{"query":"{ hello }"}`, key, "k1"))
		do(t, k, get("query=%7Bhello%7D", key, "k1"))
	}
	if k.ran.Load() != 4 {
		t.Errorf("queries ran %d times", k.ran.Load())
	}
}

func TestIdempotency_OtherContentUnderTheSameKeyIsRefused(t *testing.T) {
	k := newKeyed(t, nil)
	do(t, k, post(mutation, key, "k1"))
	for name, body := range map[string]string{
		"other variables":   `{"query":"mutation($n: String) { make(name: $n) { name } }","variables":{"n":"b"}}`,
		"another document":  `{"query":"mutation($n: String) { make(name: $n) { name secret } }","variables":{"n":"a"}}`,
		"another operation": `{"query":"mutation A { make { name } } mutation B { put { name } }","operationName":"B"}`,
	} {
		if a := do(t, k, post(body, key, "k1")); a.status != 422 || a.code() != "IDEMPOTENCY_KEY_REUSED" {
			t.Errorf("%s: got %d %s, want 422 IDEMPOTENCY_KEY_REUSED", name, a.status, a.body)
		}
	}
	// The same, written in another way, is the same.
	if a := do(t, k, post(`{"variables": {"n": "a"}, "query": "mutation($n: String) { make(name: $n) { name } }"}`, key, "k1")); a.status != 200 {
		t.Errorf("same request in another form: got %d %s, want 200", a.status, a.body)
	}
	if k.ran.Load() != 1 {
		t.Errorf("it ran %d times", k.ran.Load())
	}
}

func TestIdempotency_AKeyThatIsNoneIsRefused(t *testing.T) {
	k := newKeyed(t, nil)
	for _, value := range []string{`"`, `""`, `"a`, `a"b`, "a b", "é", `a\b`, strings.Repeat("k", 256)} {
		if a := do(t, k, post(mutation, key, value)); a.status != 400 || a.code() != "BAD_USER_INPUT" || !strings.Contains(a.message(), "255") {
			t.Errorf("key %.20q: got %d %s, want 400 BAD_USER_INPUT with the limit 255", value, a.status, a.body)
		}
	}
	two := post(mutation, key, "k1")
	two.Header.Add(key, "k2")
	if a := do(t, k, two); a.status != 400 {
		t.Errorf("two keys: %d %s", a.status, a.body)
	}
	if a := do(t, k, post(mutation, key, strings.Repeat("k", 255))); a.status != 200 || k.ran.Load() != 1 {
		t.Errorf("a long key: %d %s", a.status, a.body)
	}
}

func TestIdempotency_WhatFailedMayBeSentAgain(t *testing.T) {
	k := newKeyed(t, nil)
	k.fail.Store(true)
	if a := do(t, k, post(mutation, key, "k1")); a.message() != "no" {
		t.Errorf("first request: got %s, want the error no", a.body)
	}
	k.fail.Store(false)
	if a := do(t, k, post(mutation, key, "k1")); len(a.Errors) > 0 || string(a.Data) != `{"run":2}` {
		t.Errorf("request after a failure: got %s, want run 2", a.body)
	}
	// What is wrong with the request itself binds no key.
	do(t, k, post(`{"query":"mutation { nothing }"}`, key, "k2"))
	if a := do(t, k, post(mutation, key, "k2")); len(a.Errors) > 0 {
		t.Errorf("key after an invalid request: got %s, want no errors", a.body)
	}
}

func TestIdempotency_AnAnswerWithASecretIsNotGivenTwice(t *testing.T) {
	for _, document := range []string{
		`mutation { make { name secret } }`,
		`mutation { make { ... on Made { a: secret } } }`,
		`mutation { make { ...F } } fragment F on Made { secret }`,
	} {
		body, err := json.Marshal(map[string]string{"query": document})
		if err != nil {
			t.Fatal(err)
		}
		k := newKeyed(t, nil)
		if a := do(t, k, post(string(body), key, "k1")); len(a.Errors) > 0 {
			t.Errorf("%s: got %s, want no errors", document, a.body)
		}
		if a := do(t, k, post(string(body), key, "k1")); a.status != 409 || a.code() != "ANSWER_NOT_KEPT" || k.ran.Load() != 1 {
			t.Errorf("%s again: got %d %s, want 409 ANSWER_NOT_KEPT", document, a.status, a.body)
		}
	}
}

func TestIdempotency_WhatMayBeRepeatedIsRatherThanRefused(t *testing.T) {
	for document, runs := range map[string]int64{
		`mutation { put { secret } }`: 2,
		`mutation { ... { put { secret } ...F } } fragment F on Mutation { b: put { name } }`: 2,
		`mutation { put { secret } make { name } }`:                                           1,
		`mutation { put { secret } ...F } fragment F on Mutation { make { name } }`:           1,
	} {
		body, err := json.Marshal(map[string]string{"query": document})
		if err != nil {
			t.Fatal(err)
		}
		k := newKeyed(t, nil)
		do(t, k, post(string(body), key, "k1"))
		if a := do(t, k, post(string(body), key, "k1")); k.ran.Load() != runs || (a.status == 409) != (runs == 1) {
			t.Errorf("%s ran %d times: %d %s", document, k.ran.Load(), a.status, a.body)
		}
	}
}

func TestIdempotency_WhileTheFirstRunsTheSecondIsToldToComeBack(t *testing.T) {
	running, finish := make(chan bool), make(chan bool)
	k := newKeyed(t, func(context.Context, map[string]any) ([]byte, error) {
		running <- true
		<-finish
		return []byte(`{"made":1}`), nil
	})
	listening := httptest.NewServer(k)
	defer listening.Close()
	first := make(chan answer)
	go func() { first <- send(t, listening, post(mutation, key, "k1")) }()
	<-running
	a := send(t, listening, post(mutation, key, "k1"))
	if a.status != 409 || a.code() != "UNAVAILABLE" || a.header.Get("Retry-After") != "1" || a.Errors[0].Extensions["retryAfter"] != 1.0 {
		t.Errorf("second request during the first: got %d %v %s, want 409 UNAVAILABLE with Retry-After 1", a.status, a.header, a.body)
	}
	close(finish)
	if got, again := <-first, send(t, listening, post(mutation, key, "k1")); string(got.body) != string(again.body) {
		t.Errorf("%s, and then %s", got.body, again.body)
	}
}

func TestIdempotency_WhoLosesTheConnectionGetsTheAnswerLater(t *testing.T) {
	gone, client := context.WithCancel(t.Context())
	k := newKeyed(t, func(ctx context.Context, _ map[string]any) ([]byte, error) {
		client() // hangs up
		<-gone.Done()
		return []byte(`{"made":1}`), ctx.Err()
	})
	k.ServeHTTP(httptest.NewRecorder(), post(mutation, key, "k1").WithContext(gone))
	if a := do(t, k, post(mutation, key, "k1")); string(a.Data) != `{"made":1}` || k.ran.Load() != 1 {
		t.Errorf("it ran %d times: %s", k.ran.Load(), a.body)
	}
}

func TestIdempotency_AnUploadIsKnownByTheBytesOfItsFiles(t *testing.T) {
	k := newKeyed(t, describe)
	body := func(name, content string) *http.Request {
		return upload(strings.NewReader(form(operations(one), fileMap(`{"0":["variables.file"]}`), section{"0", name, content})), key, "k1")
	}
	first := do(t, k, body("a.jpg", "Alpha"))
	if want := `{"files":["variables.file a.jpg image/jpeg 5 b1a96dd6"]}`; string(first.Data) != want {
		t.Errorf("the resolver is given %s, not %s", first.Data, want)
	}
	if again := do(t, k, body("a.jpg", "Alpha")); string(again.body) != string(first.body) || k.ran.Load() != 1 {
		t.Errorf("it ran %d times: %s", k.ran.Load(), again.body)
	}
	for name, other := range map[string]*http.Request{"other bytes": body("a.jpg", "Aloha"), "another name": body("b.jpg", "Alpha")} {
		if a := do(t, k, other); a.code() != "IDEMPOTENCY_KEY_REUSED" {
			t.Errorf("%s: got %d %s, want IDEMPOTENCY_KEY_REUSED", name, a.status, a.body)
		}
	}
	if n := left(t, k.dir); n != 0 {
		t.Errorf("%d files or descriptors left", n)
	}
}
