package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/internal/base/instant"
)

// alive says whether a token holds.
func (c *client) alive() bool {
	c.t.Helper()
	got := c.do(`{ viewer { id } }`, nil)
	if got.Status == http.StatusOK && len(got.Errors) == 0 {
		return true
	}
	if got.Status != http.StatusUnauthorized || got.code() != "UNAUTHENTICATED" || got.Header.Get("WWW-Authenticate") != "Bearer" {
		c.t.Errorf("a token that does not hold is answered %d %s", got.Status, got.Body)
	}
	return false
}

// token makes a token as the caller, to expire at a moment, or for good.
func (c *client) token(expires *instant.Instant) (id string, made *client) {
	c.t.Helper()
	var got struct {
		CreateAccessToken struct {
			Token       string
			AccessToken struct{ ID string }
		}
	}
	c.must(&got, `mutation($e: DateTime) { createAccessToken(input: {name: "script", expiresAt: $e}) { token accessToken { id } } }`, vars{"e": expires})
	return got.CreateAccessToken.AccessToken.ID, &client{t: c.t, s: c.s, Token: got.CreateAccessToken.Token}
}

func TestPeople_ATokenEndsAtOnceWhereverItIsEnded(t *testing.T) {
	const password = "correct horse battery"
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		first := s.person(admin, "ada", "WRITER")
		second := s.signIn("ada", password)
		id, script := first.token(nil)
		var gone struct{ RevokeAccessToken struct{ TokenID *string } }

		var before struct {
			Viewer struct{ Tokens []struct{ ID, Kind string } }
		}
		var ended struct{ Logout struct{ TokenID string } }
		second.must(&before, `{ viewer { tokens { id kind } } }`, nil) // script, second, first: the newest first
		second.must(&ended, `mutation { logout { tokenId } }`, nil)
		if tokens := before.Viewer.Tokens; len(tokens) != 3 || ended.Logout.TokenID != tokens[1].ID {
			t.Errorf("logout ends %q, want the second of %v", ended.Logout.TokenID, tokens)
		}
		if second.alive() || !first.alive() || !script.alive() {
			t.Error("a logout ends the session that asks, and no other")
		}
		first.must(&gone, `mutation($id: ID!) { revokeAccessToken(id: $id) { tokenId } }`, vars{"id": id})
		if gone.RevokeAccessToken.TokenID == nil || *gone.RevokeAccessToken.TokenID != id || script.alive() || !first.alive() {
			t.Error("to revoke a token ends it, and nothing else")
		}
		second, _ = s.signIn("ada", password), script
		_, script = first.token(nil)
		var changed struct {
			ChangePassword struct{ User struct{ Username string } }
		}
		first.must(&changed, `mutation { changePassword(current: "`+password+`", new: "another fine password") { user { username } } }`, nil)
		if name := changed.ChangePassword.User.Username; name != "ada" {
			t.Errorf("changePassword returns the user %q, want ada", name)
		}
		if second.alive() || !first.alive() || !script.alive() {
			t.Error("a change of password ends the other sessions, and nothing else")
		}
		if got := s.anonymous().do(`mutation { login(username: "ada", password: "`+password+`") { token } }`, nil); got.code() != "UNAUTHENTICATED" {
			t.Errorf("the old password is answered %s", got.Body)
		}

		var people struct {
			Users struct{ Nodes []struct{ ID string } }
		}
		admin.must(&people, `{ users(filter: [{username: "ADA"}]) { nodes { id } } }`, nil)
		update := `mutation($id: ID!, $i: UpdateUserInput!) { updateUser(id: $id, input: $i) { user { disabled } } }`
		her := people.Users.Nodes[0].ID
		admin.must(nil, update, vars{"id": her, "i": vars{"role": "READER"}})
		if got := first.do(`mutation { putAnnotations(input: []) { __typename } }`, nil); got.code() != "FORBIDDEN" {
			t.Errorf("who is a WRITER no more is answered %s", got.Body)
		}
		admin.must(nil, update, vars{"id": her, "i": vars{"disabled": true}})
		if first.alive() || script.alive() {
			t.Error("to disable an account ends its sessions and tokens")
		}
		if got := s.anonymous().do(`mutation { login(username: "ada", password: "another fine password") { token } }`, nil); got.code() != "UNAUTHENTICATED" {
			t.Errorf("a disabled account is answered %s", got.Body)
		}
		admin.must(nil, update, vars{"id": her, "i": vars{"disabled": false}})
		if first.alive() || script.alive() {
			t.Error("to enable an account brings no session back")
		}

		soon := instant.Of(time.Now().Add(1500 * time.Millisecond))
		_, script = admin.token(&soon)
		if !script.alive() {
			t.Error("a token does not hold before it expires")
		}
		// Whenever this is asked, the answer before the moment is yes, and after it no.
		for time.Now().Before(soon.Time()) {
			admin.must(nil, `{ viewer { id } }`, nil)
		}
		if script.alive() {
			t.Error("a token holds beyond its time")
		}
	})
}

func TestPeople_GuessesAreThrottledHoweverTheyAreSent(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	s.person(admin, "ada", "READER")
	// Twenty in one request are as many as twenty requests.
	guesses := ""
	for n := range 20 {
		guesses += fmt.Sprintf(` g%d: login(username: "ada", password: "guess number %d") { token }`, n, n)
	}
	got := s.anonymous().do("mutation { "+guesses+" }", nil)
	codes := map[string]int{}
	for _, e := range got.Errors {
		codes[e.Extensions.Code]++
		if (e.Extensions.Code == "RATE_LIMITED") != (e.Extensions.RetryAfter > 0) {
			t.Errorf("retryAfter is %d with %s", e.Extensions.RetryAfter, e.Extensions.Code)
		}
	}
	// A mutation whose field may not be null ends with its first error.
	if codes["UNAUTHENTICATED"] > 5 {
		t.Errorf("of twenty guesses in one request %v were heard", codes)
	}
	for range 10 {
		got = s.anonymous().do("mutation { "+guesses+" }", nil)
		for _, e := range got.Errors {
			codes[e.Extensions.Code]++
		}
	}
	if codes["UNAUTHENTICATED"] > 8 || codes["RATE_LIMITED"] == 0 {
		t.Errorf("of 220 guesses within moments %v were heard", codes)
	}
	thirty := "mutation {"
	for n := range 30 {
		thirty += fmt.Sprintf(` g%d: login(username: "ada", password: "guess number %d") { token }`, n, n)
	}
	if got := s.anonymous().do(thirty+" }", nil); got.code() != "TOO_LARGE" {
		t.Errorf("thirty logins in one request are answered %s", got.Body)
	}
	// Who must wait hears so with the right password too, in either case of
	// letters, and others do not wait.
	got = s.anonymous().do(`mutation { login(username: "ADA", password: "correct horse battery") { token } }`, nil)
	if got.code() != "RATE_LIMITED" || got.Errors[0].Extensions.RetryAfter < 1 {
		t.Errorf("the right password after too many wrong ones is answered %s", got.Body)
	}
	s.signIn("admin", s.Password)
}

func TestPeople_AWrongLoginDoesNotTellWhetherTheAccountIsThere(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	s.person(admin, "ada", "READER")
	answers := map[string]bool{}
	for _, name := range []string{"ada", "nobody", "", "ADA LOVELACE", strings.Repeat("x", 200), "ada\u0000", "%"} {
		got := s.anonymous().do(`mutation($u: String!) { login(username: $u, password: "a wrong password") { token } }`, vars{"u": name})
		answers[regexp.MustCompile(`"requestId":"\w+"`).ReplaceAllString(string(got.Body), "")] = true
	}
	if len(answers) != 1 {
		t.Errorf("wrong logins are answered in different ways: %v", answers)
	}
}

func TestPeople_PasswordsThatAreEasilyGuessedAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	person := s.person(admin, "ada-lovelace", "READER")
	for password, why := range map[string]string{
		"short":                  "5 characters",
		strings.Repeat("x", 129): "129 characters",
		"ada-lovelace":           "user name",
		"ADA-LOVELACE":           "user name",
		"1234567890":             "guessed first",
		"nul\u0000nul\u0000nul":  "NUL",
	} {
		for what, got := range map[string]*answer{
			"createUsers":    admin.do(`mutation($p: String!) { createUsers(input: [{username: "ada-lovelace", password: $p}]) { users { id } } }`, vars{"p": password}),
			"changePassword": person.do(`mutation($p: String!) { changePassword(current: "correct horse battery", new: $p) { user { id } } }`, vars{"p": password}),
			"updateUser":     admin.do(`mutation($p: String!) { updateUser(id: "User:2", input: {password: $p}) { user { id } } }`, vars{"p": password}),
		} {
			if !strings.Contains(string(got.Body), why) || strings.Contains(string(got.Body), fmt.Sprintf("%q", password)) || !strings.Contains(string(got.Body), "BAD_USER_INPUT") {
				t.Errorf("%s with %.20q is answered %s", what, password, got.Body)
			}
		}
	}
	if !person.alive() {
		t.Error("a refused change of password has ended the session")
	}
}

// A canary is a secret that must be nowhere but where it was sent to.
func TestPeople_NoSecretIsInLogsErrorsMetricsOrInClearInTheDatabase(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			each(t, func(t *testing.T, s *server) {
				admin := s.admin()
				secrets := map[string]string{"the first password": s.Password, "admin's token": admin.Token}
				keep := func(name, secret string) string { secrets[name] = secret; return secret }
				var shown []byte // every answer that is an error
				try := func(c *client, query string, variables vars) *answer {
					got := c.do(query, variables)
					if len(got.Errors) > 0 {
						shown = append(shown, got.Body...)
					}
					return got
				}
				one, two := keep("a password", "canary-one-password"), keep("a new password", "canary-two-password")
				create := `mutation($u: String!, $p: String!, $e: String) { createUsers(input: [{username: $u, password: $p, email: $e, role: WRITER}]) { users { id } } }`
				try(admin, create, vars{"u": "ada", "p": one})
				try(admin, create, vars{"u": "ada", "p": one, "e": "nowhere"})
				try(admin, create, vars{"u": "bad name", "p": keep("a refused password", "canary-refused-password")})
				try(admin, create, vars{"u": "bad name", "p": vars{"in": keep("a misplaced password", "canary-misplaced-password")}})
				ada := s.signIn("ada", one)
				keep("a session's token", ada.Token)
				_, script := ada.token(nil)
				keep("a script's token", script.Token)
				try(ada, `mutation($c: String!, $n: String!) { changePassword(current: $c, new: $n) { user { id } } }`, vars{"c": keep("a guess", "canary-guessed-password"), "n": two})
				try(ada, `mutation($c: String!, $n: String!) { changePassword(current: $c, new: $n) { user { id } } }`, vars{"c": one, "n": two})
				try(s.anonymous(), `mutation($p: String!) { login(username: "ada", password: $p) { token } }`, vars{"p": one})
				try(s.anonymous(), `mutation { login(username: "ada", password: "`+two+`", nope: 1) { token } }`, nil)
				try(s.anonymous(), `mutation `+two+` { login(username: "ada", password: "`+two+`) { token } }`, nil)
				forged := s.anonymous()
				forged.Token = keep("a forged token", strings.ToUpper(script.Token))
				try(forged, `{ viewer { id } }`, nil)
				ada.upload("REFUSE", snapshot(trap, 1, 1))
				var link struct {
					Image struct{ File struct{ URL string } }
				}
				ada.must(&link, `{ image(device: "`+trap+`", takenAt: "`+at(1)+`") { file { url } } }`, nil)
				signature := regexp.MustCompile(`[A-Za-z0-9_=-]{20,}`).FindAllString(link.Image.File.URL, -1)
				keep("a link's signature", signature[len(signature)-1])
				s.get(link.Image.File.URL)
				_, refused := s.get(link.Image.File.URL + "x")
				s.get("/nowhere?token=" + script.Token)
				s.get("/graphql?query={nope}&token=" + script.Token)
				// A fault within, whose cause is logged.
				db := s.open()
				for _, statement := range []string{`ALTER TABLE annotations RENAME TO elsewhere`, `ALTER TABLE users RENAME TO elsewhere_too`} {
					if _, err := db.Exec(statement); err != nil {
						t.Fatal(err)
					}
				}
				try(ada, create, vars{"u": "eve", "p": one})
				try(s.anonymous(), `mutation($p: String!) { login(username: "ada", password: $p) { token } }`, vars{"p": two})
				for _, statement := range []string{`ALTER TABLE elsewhere RENAME TO annotations`, `ALTER TABLE elsewhere_too RENAME TO users`} {
					if _, err := db.Exec(statement); err != nil {
						t.Fatal(err)
					}
				}
				_, metrics := s.get("/metrics")
				rows := strings.Join(s.rows(), "\n")
				s.stop()
				for where, text := range map[string]string{
					"the log": s.logs.String(), "an error": string(shown), "the metrics": string(metrics), "the database": rows, "a refused link": string(refused),
				} {
					for name, secret := range secrets {
						if strings.Contains(text, secret) {
							t.Errorf("%s in %s: got the secret, want none", name, where)
						}
					}
				}
				for line := range strings.Lines(s.logs.String()) {
					if format == "json" && !json.Valid([]byte(line)) {
						t.Errorf("this line of the log is no JSON: %s", line)
					}
				}
				if !strings.Contains(rows, "$argon2id$") || slices.Contains(s.rows(), "") {
					t.Error("the rows of accounts were not looked at")
				}
			}, "--log-format", format, "--log-level", "debug")
		})
	}
}
