package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/testenv"
)

// keyed sends an operation under an Idempotency-Key.
func (c *client) keyed(key, query string, variables vars) *answer {
	c.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.ask(http.MethodPost, "/graphql", bytes.NewReader(body), "Content-Type", "application/json", "Idempotency-Key", key)
}

// insist sends an operation under a key until it is no longer under way.
func (c *client) insist(key, query string, variables vars) *answer {
	c.t.Helper()
	began := time.Now()
	for {
		got := c.keyed(key, query, variables)
		if got.Status != http.StatusConflict || got.code() != "UNAVAILABLE" {
			return got
		}
		if got.Header.Get("Retry-After") == "" || time.Since(began) > time.Minute {
			c.t.Fatalf("after %s: %v %s", time.Since(began), got.Header, got.Body)
		}
		<-time.After(20 * time.Millisecond) // a client's pause
	}
}

const makeSet = `mutation($n: String!, $l: String!) { createLabelSet(input: {name: $n, labels: [{key: $l, name: $l}]}) { labelSet { id version } } }`

// versions are those of a label set that there are.
func (s *server) versions(name string) int {
	s.t.Helper()
	db := s.open()
	defer db.Close()
	return len(query(s.t, db, "SELECT version FROM label_sets WHERE name = '"+name+"'"))
}

func TestIdempotency_AMutationUnderAKeyTakesEffectOnceAndIsAnsweredAlike(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		first := admin.keyed("k1", makeSet, vars{"n": "eyes", "l": "left"})
		admin.must(nil, makeSet, vars{"n": "eyes", "l": "right"}) // the world goes on
		again := admin.keyed("k1", makeSet, vars{"n": "eyes", "l": "left"})
		if len(first.Errors) > 0 || !bytes.Equal(first.Body, again.Body) || again.Header.Get("Idempotency-Replayed") != "true" || s.versions("eyes") != 2 {
			t.Errorf("%s, and then %s; there are %d versions", first.Body, again.Body, s.versions("eyes"))
		}
		other := admin.keyed("k1", makeSet, vars{"n": "ears", "l": "left"})
		if other.Status != http.StatusUnprocessableEntity || other.code() != "IDEMPOTENCY_KEY_REUSED" || s.versions("ears") != 0 {
			t.Errorf("another request under the key is answered %d %s", other.Status, other.Body)
		}
		const makeUser = `mutation { createUsers(input: [{username: "ada", password: "correct horse battery"}]) { users { id username } } }`
		made, madeAgain := admin.keyed("k2", makeUser, nil), admin.keyed("k2", makeUser, nil)
		if len(made.Errors) > 0 || !bytes.Equal(made.Body, madeAgain.Body) {
			t.Errorf("%s, and then %s", made.Body, madeAgain.Body)
		}
		// Signed in anew the person is the same; another is another.
		if got := s.admin().keyed("k2", makeUser, nil); !bytes.Equal(made.Body, got.Body) {
			t.Errorf("in another session: %s", got.Body)
		}
		second := s.person(admin, "second", "ADMIN")
		if got := second.keyed("k2", makeUser, nil); got.code() != "CONFLICT" {
			t.Errorf("to another admin: %s", got.Body)
		}
	})
}

func TestIdempotency_AnUploadIsAnsweredAlikeAndABrokenOneGoesOn(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		send := func(files ...file) *answer {
			body, contentType := form(t, uploadImages, "REFUSE", files...)
			return admin.ask(http.MethodPost, "/graphql", body, "Content-Type", contentType, "Idempotency-Key", "card 1")
		}
		if got := send(); got.Status != http.StatusBadRequest {
			t.Errorf("a key with a space is answered %d %s", got.Status, got.Body)
		}
		upload := func(files ...file) *answer {
			body, contentType := form(t, uploadImages, "REFUSE", files...)
			return admin.ask(http.MethodPost, "/graphql", body, "Content-Type", contentType, "Idempotency-Key", "card-1")
		}
		first, again := upload(snapshot(trap, 1, 1), snapshot(trap, 2, 2)), upload(snapshot(trap, 1, 1), snapshot(trap, 2, 2))
		if strings.Count(string(again.Body), "CREATED") != 2 || !bytes.Equal(first.Body, again.Body) {
			t.Errorf("%s, and then %s", first.Body, again.Body)
		}
		if got := upload(snapshot(trap, 1, 1), snapshot(trap, 2, 3)); got.code() != "IDEMPOTENCY_KEY_REUSED" {
			t.Errorf("other bytes under the key: %s", got.Body)
		}
	})
}

func TestIdempotency_NoSecretIsKept(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		const makeToken = `mutation { createAccessToken(input: {name: "script"}) { token accessToken { id } } }`
		var made struct{ CreateAccessToken struct{ Token string } }
		first, again := admin.keyed("k1", makeToken, nil), admin.keyed("k1", makeToken, nil)
		if err := json.Unmarshal(first.Data, &made); err != nil || made.CreateAccessToken.Token == "" {
			t.Fatalf("createAccessToken: got %v, %s, want a secret", err, first.Body)
		}
		if again.Status != http.StatusConflict || again.code() != "ANSWER_NOT_KEPT" {
			t.Errorf("sent again it is answered %d %s", again.Status, again.Body)
		}
		const secret = "a canary in a cage"
		admin.keyed("k2-canary", `mutation { createUsers(input: [{username: "ada", password: "`+secret+`"}]) { users { username } } }`, nil)
		all := strings.Join(s.rows(), "\n")
		for _, hidden := range []string{made.CreateAccessToken.Token, secret, "k2-canary"} {
			if strings.Contains(all, hidden) {
				t.Errorf("the database holds %q", hidden)
			}
		}
		if n := strings.Count(all, " name:script "); n != 1 {
			t.Errorf("there are %d tokens", n)
		}
	})
}

// A mutation whose change is not made in a transaction that says so would be
// made again after a crash.
func TestIdempotency_EveryMutationThatIsNotRepeatableSaysWhenItHasTakenEffect(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		examples := map[string]string{
			"login":             `login(username: "admin", password: "` + s.Password + `") { expiresAt }`,
			"createLabelSet":    `createLabelSet(input: {name: "eyes", labels: [{key: "l", name: "l"}]}) { labelSet { id } }`,
			"createUsers":       `createUsers(input: [{username: "ada", password: "correct horse battery"}]) { users { id } }`,
			"updateUser":        `updateUser(id: "User:1", input: {email: "ada@example.org"}) { user { id } }`,
			"createAccessToken": `createAccessToken(input: {name: "script"}) { accessToken { id } }`,
			"changePassword":    `changePassword(current: "` + s.Password + `", new: "correct horse battery") { user { id } }`,
		}
		db := s.open()
		defer db.Close()
		for _, field := range contract(t).Mutation.Fields {
			if field.Directives.ForName("repeatable") != nil {
				continue
			}
			example, ok := examples[field.Name]
			if !ok {
				t.Errorf("there is no example of %s, which is not @repeatable", field.Name)
				continue
			}
			before := len(query(t, db, "SELECT id FROM keyed_requests WHERE effective"))
			if got := admin.keyed(field.Name, "mutation { "+example+" }", nil); len(got.Errors) > 0 {
				t.Errorf("mutation %s: got %s, want no errors", field.Name, got.Body)
			}
			if after := len(query(t, db, "SELECT id FROM keyed_requests WHERE effective")); after != before+1 {
				t.Errorf("%s takes effect without saying so", field.Name)
			}
		}
	})
}

func TestIdempotency_OfManyAtOnceOnTwoServersOneTakesEffect(t *testing.T) {
	t.Parallel()
	one := start(t, testenv.Postgres(t))
	other := &server{t: t, Data: t.TempDir(), Database: one.Database, Password: one.Password}
	other.boot()
	defer other.stop()
	admin := one.admin()
	elsewhere := &client{t: t, s: other, Token: admin.Token}
	for n := range 5 {
		name := fmt.Sprintf("set %d", n)
		got := together(t, 12, func(i int) (*answer, error) {
			return []*client{admin, elsewhere}[i%2].insist("key-"+name[4:], makeSet, vars{"n": name, "l": "a"}), nil
		})
		for _, a := range got {
			if !bytes.Equal(a.Body, got[0].Body) || len(a.Errors) > 0 {
				t.Errorf("answer to %s: got %s, want %s without errors", name, a.Body, got[0].Body)
			}
		}
		// What comes to the same is no new version, so it takes another to tell.
		admin.must(nil, makeSet, vars{"n": name, "l": "b"})
		elsewhere.insist("key-"+name[4:], makeSet, vars{"n": name, "l": "a"})
		if v := one.versions(name); v != 2 {
			t.Errorf("%s has %d versions", name, v)
		}
	}
}

// The server is killed again and again while tokens are made under keys, and
// each request is sent until it is answered.
func TestIdempotency_ACrashMakesNoSecondEffect(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		const mint = `mutation($n: String!) { createAccessToken(input: {name: $n}) { accessToken { id name } } }`
		const rounds, atOnce = 4, 8
		fates := map[string]int{}
		for round := range rounds {
			name := func(n int) string { return fmt.Sprintf("token-%d-%d", round, n) }
			sent := make(chan bool, atOnce)
			var done []chan bool
			for n := range atOnce {
				ended := make(chan bool)
				done = append(done, ended)
				go func() {
					defer close(ended)
					body, _ := json.Marshal(map[string]any{"query": mint, "variables": vars{"n": name(n)}})
					request, _ := http.NewRequest(http.MethodPost, s.URL+"/graphql", bytes.NewReader(body))
					request.Header.Set("Content-Type", "application/json")
					request.Header.Set("Authorization", "Bearer "+admin.Token)
					request.Header.Set("Idempotency-Key", name(n))
					sent <- true
					if response, err := http.DefaultClient.Do(request); err == nil { // it may be dying
						_ = response.Body.Close()
					}
				}()
			}
			for range atOnce {
				<-sent
			}
			<-done[round%atOnce] // one of them is through, and others are at every stage
			s.kill()
			for _, ended := range done {
				<-ended
			}
			s.boot()
			for n := range atOnce {
				got := admin.insist(name(n), mint, vars{"n": name(n)})
				fate := got.code()
				if fate == "" {
					fate = "answered, new: " + fmt.Sprint(got.Header.Get("Idempotency-Replayed") == "")
				}
				fates[fate]++
				if fate != "ANSWER_NOT_KEPT" && len(got.Errors) > 0 {
					t.Errorf("%s: got %s, want an answer or ANSWER_NOT_KEPT", name(n), got.Body)
				}
			}
		}
		db := s.open()
		defer db.Close()
		made := query(t, db, "SELECT name FROM access_tokens WHERE kind = 'ACCESS'")
		names := map[string]bool{}
		for _, row := range made {
			names[row["name"]] = true
		}
		if len(made) != rounds*atOnce || len(names) != len(made) {
			t.Errorf("of %d requests there are %d tokens by %d names", rounds*atOnce, len(made), len(names))
		}
		t.Logf("after the crash: %v", fates)
	}, "--timeout", "2s")
}

func TestIdempotency_TheHeaderIsForThoseWhoAreSignedIn(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	login := `mutation { login(username: "admin", password: "` + s.Password + `") { token } }`
	tokens := []string{}
	for range 2 {
		tokens = append(tokens, string(s.anonymous().keyed("k1", login, nil).Data))
	}
	if tokens[0] == tokens[1] || slices.Contains(tokens, "") {
		t.Errorf("two logins with one key: got tokens %q, want two different ones", tokens)
	}
}
