package people

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	ent "tagma/ent/generated"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/base/password"
	"tagma/internal/base/throttle"
	"tagma/internal/base/token"
	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

// home is the address that logins of these tests come from.
const home = "192.0.2.1:4711"

// secret is the password of everybody whom add makes.
const secret = "a canary in a cage"

// world is people on a new database, with a clock that stands still.
type world struct {
	*Service
	t          *testing.T
	now        atomic.Int64
	statements log
}

type log struct {
	mu    sync.Mutex
	lines []string
}

// each runs a test on both databases.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run(dialect.SQLite, func(t *testing.T) {
		test(t, newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db")))
	})
	t.Run(dialect.Postgres, func(t *testing.T) {
		test(t, newWorld(t, testenv.Postgres(t)))
	})
}

func newWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	w := &world{t: t}
	start, err := instant.Parse("2024-05-01T12:00:00Z")
	must(t, err)
	w.now.Store(int64(start))
	db, err := database.Open(t.Context(), databaseURL, database.Options{Observe: func(_ context.Context, query string) {
		w.statements.mu.Lock()
		defer w.statements.mu.Unlock()
		w.statements.lines = append(w.statements.lines, query)
	}})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	w.Service = New(db, w.clock, password.New(password.Options{Cheap: true}),
		throttle.New(w.clock, throttle.Options{}), page.Limits{Default: 50, Max: 500})
	return w
}

func (w *world) clock() instant.Instant { return instant.Instant(w.now.Load()) }
func (w *world) pass(d time.Duration)   { w.now.Add(d.Milliseconds()) }
func (w *world) exec(statement string) {
	w.t.Helper()
	get(w.db.SQL.ExecContext(w.t.Context(), statement))(w.t)
}
func (w *world) counted(do func()) []string { // the statements that do sends
	w.statements.mu.Lock()
	w.statements.lines = nil
	w.statements.mu.Unlock()
	do()
	w.statements.mu.Lock()
	defer w.statements.mu.Unlock()
	return slices.Clone(w.statements.lines)
}

// add makes an account with the password secret.
func (w *world) add(name string, role caller.Role) *ent.User {
	w.t.Helper()
	users, err := w.Create(w.t.Context(), []NewUser{{Username: name, Password: secret, Role: role}})
	must(w.t, err)
	return users[0]
}

// in is the context of somebody who has just signed in, and their token.
func (w *world) in(u *ent.User) (context.Context, token.Secret) {
	w.t.Helper()
	session, err := w.Login(w.t.Context(), u.Username, secret, home)
	must(w.t, err)
	return w.with(session.Token), session.Token
}

// with is the context of a request with a token that holds.
func (w *world) with(s token.Secret) context.Context {
	w.t.Helper()
	c, err := w.Authenticate(w.t.Context(), s.Reveal())
	must(w.t, err)
	return caller.With(w.t.Context(), c)
}

func (w *world) holds(s token.Secret) bool {
	w.t.Helper()
	_, err := w.Authenticate(w.t.Context(), s.Reveal())
	if err != nil {
		code(w.t, err, fault.Unauthenticated)
	}
	return err == nil
}

// tokens makes n tokens for somebody, each a second after the last.
func (w *world) tokens(u *ent.User, n int) {
	w.t.Helper()
	rows := make([]*ent.AccessTokenCreate, n)
	for i := range rows {
		_, hash := token.New()
		rows[i] = w.db.AccessToken.Create().SetUserID(u.ID).SetKind("ACCESS").SetName(fmt.Sprint(i)).SetHash(hash).
			SetRole(caller.Reader).SetCreatedAt(w.clock().Add(time.Duration(i) * time.Second))
	}
	must(w.t, w.db.AccessToken.CreateBulk(rows...).Exec(w.t.Context()))
}

// during begins do while a transaction that made changes is open, commits that
// when do waits for it, and is what do comes to. SQLite does not tell who
// waits; there do may come after the transaction as a whole.
func (w *world) during(changes func(*ent.Tx), do func() error) error {
	w.t.Helper()
	tx := get(w.db.Tx(w.t.Context()))(w.t)
	changes(tx)
	var ended atomic.Bool
	result := make(chan error, 1)
	go func() {
		result <- do()
		ended.Store(true)
	}()
	for waiting := 0; w.db.Dialect == dialect.Postgres && waiting == 0 && !ended.Load(); {
		must(w.t, w.db.SQL.QueryRowContext(w.t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting))
	}
	must(w.t, tx.Commit())
	return <-result
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get is the value that goes with no error.
func get[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// code checks the code of an error, and its problems as "path: code".
func code(t *testing.T, err error, want fault.Code, problems ...string) *fault.Error {
	t.Helper()
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Code != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	var got []string
	for _, p := range e.Problems {
		got = append(got, fmt.Sprintf("%s: %s", strings.Join(p.Path, "."), p.Code))
	}
	if problems != nil && !slices.Equal(got, problems) {
		t.Errorf("got problems %v, want %v", got, problems)
	}
	return e
}

func TestPeople_StatementsDoNotGrowWithTheRows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var input []NewUser
		for i := range 100 {
			input = append(input, NewUser{Username: fmt.Sprintf("user%02d", i), Password: secret, Role: caller.Reader})
		}
		all, err := w.Create(t.Context(), input)
		must(t, err)
		for _, u := range all {
			w.tokens(u, 2)
		}
		for _, n := range []int{1, 100} {
			ids := make([]int64, n)
			for i := range n {
				ids[i] = all[i].ID
			}
			for name, do := range map[string]func() int{
				"ByIDs":    func() int { return len(get(w.ByIDs(t.Context(), ids))(t)) },
				"TokensOf": func() int { return len(get(w.TokensOf(t.Context(), all[:n]))(t)) },
				"List":     func() int { return len(get(w.List(t.Context(), nil, page.Request{First: &n}))(t).Nodes) },
			} {
				rows := 0
				if sent := w.counted(func() { rows = do() }); len(sent) != 1 || rows != n {
					t.Errorf("%s gave %d of %d rows by %q", name, rows, n, sent)
				}
			}
		}
	})
}

func TestPeople_WhatIsGivenOutHoldsNoHash(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.add("ada", caller.Admin)
		session := get(w.Login(t.Context(), "ada", secret, home))(t)
		ctx := w.with(session.Token)
		given, tokenMade, err := w.CreateToken(ctx, TokenInput{Name: "script"})
		must(t, err)
		changed := get(w.Update(ctx, ada.ID, Change{SetEmail: true}))(t)
		listed := get(w.List(ctx, nil, page.Request{}))(t)
		byID := get(w.ByIDs(ctx, []int64{ada.ID}))(t)
		for name, u := range map[string]*ent.User{
			"Create": ada, "Login": session.User, "Update": changed, "List": listed.Nodes[0], "ByIDs": byID[ada.ID],
		} {
			if u.PasswordHash != "" {
				t.Errorf("%s gives the hash of the password", name)
			}
			if u.ID != ada.ID || u.Username != "ada" || u.Role != caller.Admin || u.CreatedAt != w.clock() {
				t.Errorf("%s gives %v", name, u)
			}
		}
		tokens := get(w.TokensOf(ctx, []*ent.User{ada}))(t)[ada.ID]
		one := get(w.TokenByID(ctx, tokenMade.ID))(t)
		for _, tok := range append(tokens, tokenMade, one) {
			if tok.Hash != "" {
				t.Errorf("token %d shows its hash", tok.ID)
			}
		}
		if printed := fmt.Sprintf("%v %+v %#v", given, session, tokens); strings.Contains(printed, given.Reveal()) || strings.Contains(printed, session.Token.Reveal()) {
			t.Error("a printed token shows its text")
		}
	})
}

func TestPeople_NoErrorHoldsASecret(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const other = "another bird in there"
		u := w.add("ada", caller.Admin)
		ctx, bearer := w.in(u)
		row := get(w.db.User.Get(ctx, u.ID))(t)
		secrets := []string{secret, other, bearer.Reveal(), bearer.Hash(), row.PasswordHash, "argon2"}

		everything := func() []error {
			_, login := w.Login(ctx, "ada", secret, home)
			_, wrong := w.Login(ctx, "ada", other, home)
			_, authenticate := w.Authenticate(ctx, bearer.Reveal())
			_, half := w.Authenticate(ctx, bearer.Reveal()[1:])
			_, logout := w.Logout(caller.With(ctx, &caller.Caller{}))
			_, create := w.Create(ctx, []NewUser{{Username: "eve", Password: secret, Role: caller.Reader}, {Username: "ada", Password: other}})
			_, update := w.Update(ctx, u.ID, Change{Password: new(other), Role: new(caller.Reader)})
			change := w.ChangePassword(ctx, other, other, home)
			_, _, createToken := w.CreateToken(ctx, TokenInput{Name: secret, Role: new(caller.Role("GOD"))})
			_, err := w.ResetPassword(ctx, "nobody")
			return []error{login, wrong, authenticate, half, logout, create, update, change, createToken, err}
		}
		failed := 0
		check := func() {
			for _, err := range everything() {
				if err == nil {
					continue
				}
				failed++
				for _, s := range secrets {
					if strings.Contains(fmt.Sprintf("%v %+v", err, err), s) {
						t.Errorf("an error holds a secret: %v", err)
					}
				}
			}
		}
		check()
		w.exec(`ALTER TABLE users RENAME TO lost`)
		w.exec(`ALTER TABLE access_tokens RENAME TO lost_too`)
		check()
		if failed < 16 {
			t.Errorf("only %d calls failed: this test has lost its point", failed)
		}
	})
}
