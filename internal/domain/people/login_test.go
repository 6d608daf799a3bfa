package people

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	ent "tagma/ent/generated"
	"tagma/ent/generated/user"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/password"
	"tagma/internal/base/token"
)

func TestLogin_GivesASessionOf24Hours(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.add("Ada", caller.Writer)
		session, err := w.Login(t.Context(), "aDA", secret, home)
		must(t, err)
		if session.User.ID != ada.ID || session.ExpiresAt != w.clock().Add(24*time.Hour) {
			t.Errorf("got %+v", session)
		}
		c, err := w.Authenticate(t.Context(), session.Token.Reveal())
		must(t, err)
		if c.UserID != ada.ID || c.Role != caller.Writer || c.Device != "" || c.TokenID == 0 {
			t.Errorf("the caller is %+v", c)
		}
		w.pass(24*time.Hour - time.Millisecond)
		if !w.holds(session.Token) {
			t.Error("the session ends too early")
		}
		w.pass(time.Millisecond)
		if w.holds(session.Token) {
			t.Error("the session does not end")
		}
	})
}

func TestLogin_WhateverIsWrongTheAnswerIsTheSame(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("root", caller.Admin)
		w.add("kim", caller.Reader)
		disabledUser := w.add("gone", caller.Reader)
		_, err := w.Update(t.Context(), disabledUser.ID, Change{Disabled: new(true)})
		must(t, err)
		for name, try := range map[string][2]string{
			"a wrong password":           {"kim", "not the password"},
			"no password":                {"kim", ""},
			"an unknown name":            {"mallory", secret},
			"a disabled account":         {"gone", secret},
			"a name that is no text":     {"kim\x00", secret},
			"a name that is not UTF-8":   {"kim\xff", secret},
			"the sign for a kelvin":      {"\u212aim", secret}, // whose lower case is k
			"a name with space":          {" kim", secret},
			"no name":                    {"", secret},
			"a password that is no text": {"kim", "\xff\x00"},
		} {
			_, err := w.Login(t.Context(), try[0], try[1], home)
			if e := code(t, err, fault.Unauthenticated); e.Message != "wrong name or password" || e.Error() != e.Message {
				t.Errorf("%s: got %v, want the same message without a cause", name, e)
			}
		}
	})
}

// A hash takes 19 MiB of memory, which can be told without a clock: times mean
// little on a machine that does other things too.
func TestLogin_AnUnknownOrDisabledNameCostsAHashAsAKnownOneDoes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.hasher = password.New(password.Options{})
		w.add("root", caller.Admin)
		disabledUser := w.add("gone", caller.Reader)
		_, err := w.Update(t.Context(), disabledUser.ID, Change{Disabled: new(true)})
		must(t, err)
		for _, name := range []string{"root", "nobody", "gone", "no name"} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := w.Login(t.Context(), name, "not the password", home)
			runtime.ReadMemStats(&after)
			code(t, err, fault.Unauthenticated)
			if took := after.TotalAlloc - before.TotalAlloc; took < 19<<20 {
				t.Errorf("%q is refused with %d bytes of memory: no hash was computed", name, took)
			}
		}
	})
}

func TestLogin_TooManyGuessesMustWait(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("ada", caller.Reader)
		for _, name := range []string{"ada", "nobody"} {
			for range 5 {
				_, err := w.Login(t.Context(), name, "not the password", home)
				code(t, err, fault.Unauthenticated)
			}
			var e *fault.Error
			sent := w.counted(func() {
				_, err := w.Login(t.Context(), name, secret, home)
				e = code(t, err, fault.RateLimited)
			})
			if e.RetryAfter != time.Second || len(sent) != 0 {
				t.Errorf("%s: wait %s, after %q", name, e.RetryAfter, sent)
			}
		}
		w.pass(time.Second)
		w.in(&ent.User{Username: "ADA"})
		w.in(&ent.User{Username: "ada"}) // the success has ended the series
	})
}

func TestLogin_AHashOfAnotherCostIsMadeAnew(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		cheap := w.hasher
		w.hasher = password.New(password.Options{})
		ada := w.add("ada", caller.Reader)
		w.hasher = cheap
		w.in(ada)
		row := get(w.db.User.Get(t.Context(), ada.ID))(t)
		if cheap.NeedsRehash(row.PasswordHash) {
			t.Error("the hash is as it was")
		}
		w.in(ada)
	})
}

func TestLogin_ThatAChangeOvertakesBeginsNoSession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("root", caller.Admin)
		ada := w.add("ada", caller.Reader)
		for name, change := range map[string]Change{
			"another password":   {Password: new("not the password")},
			"a disabled account": {Disabled: new(true)},
		} {
			proved := get(w.db.User.Query().Where(user.ID(ada.ID)).Only(t.Context()))(t)
			get(w.Update(t.Context(), ada.ID, change))(t)
			_, err := w.createSession(t.Context(), proved, proved.PasswordHash)
			code(t, err, fault.Unauthenticated)
			if n := w.db.AccessToken.Query().CountX(t.Context()); n != 0 {
				t.Errorf("%s: %d sessions", name, n)
			}
		}
	})
}

func TestLogin_ThatComesDuringAChangeOfPasswordBeginsNoSession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.add("ada", caller.Reader)
		proved := get(w.db.User.Get(t.Context(), ada.ID))(t)
		err := w.during(func(tx *ent.Tx) {
			must(t, tx.User.UpdateOneID(ada.ID).SetPasswordHash("another").Exec(t.Context()))
		}, func() error {
			_, err := w.createSession(t.Context(), proved, proved.PasswordHash)
			return err
		})
		code(t, err, fault.Unauthenticated)
	})
}

func TestAuthenticate_TakesOneStatement(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, bearer := w.in(w.add("ada", caller.Reader))
		w.pass(watchInterval)
		if sent := w.counted(func() { w.holds(bearer) }); len(sent) != 1 {
			t.Errorf("sent %q", sent)
		}
		w.pass(watchInterval - time.Millisecond)
		if sent := w.counted(func() { w.holds(bearer) }); len(sent) != 0 {
			t.Errorf("what is known was asked for: %q", sent)
		}
		slip := []byte(bearer.Reveal())
		slip[10] ^= 1
		for _, text := range []string{"", "Bearer", string(slip), bearer.Reveal() + " "} {
			sent := w.counted(func() {
				_, err := w.Authenticate(t.Context(), text)
				code(t, err, fault.Unauthenticated)
			})
			if len(sent) != 0 {
				t.Errorf("%q was looked for", text)
			}
		}
		unknown, _ := token.New()
		if w.holds(unknown) {
			t.Error("a token that nobody made holds")
		}
	})
}

func TestAuthenticate_TheRoleIsTheLesserOfTheTokensAndItsOwners(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("root", caller.Admin)
		ada := w.add("ada", caller.Admin)
		ctx, _ := w.in(ada)
		for _, tt := range []struct{ token, owner, want caller.Role }{
			{caller.Reader, caller.Admin, caller.Reader},
			{caller.Writer, caller.Admin, caller.Writer},
			{caller.Admin, caller.Admin, caller.Admin},
			{caller.Admin, caller.Writer, caller.Writer},
			{caller.Admin, caller.Reader, caller.Reader},
			{caller.Writer, caller.Reader, caller.Reader},
		} {
			get(w.Update(t.Context(), ada.ID, Change{Role: new(caller.Admin)}))(t)
			bearer, _, err := w.CreateToken(ctx, TokenInput{Name: "script", Role: &tt.token})
			must(t, err)
			get(w.Update(t.Context(), ada.ID, Change{Role: &tt.owner}))(t)
			if got := caller.From(w.with(bearer)).Role; got != tt.want {
				t.Errorf("role of a %s token of a %s: got %s, want %s", tt.token, tt.owner, got, tt.want)
			}
		}
	})
}

func TestAuthenticate_ATrapsTokenHoldsWhileItsOwnerIsAWriter(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("root", caller.Admin)
		ada := w.add("ada", caller.Writer)
		ctx, _ := w.in(ada)
		trap, _, err := w.CreateToken(ctx, TokenInput{Name: "trap", Device: new("0A5BB6F4")})
		must(t, err)
		if c := caller.From(w.with(trap)); c.Device != "0a5bb6f4" || c.UserID != ada.ID || c.Has(caller.Reader) {
			t.Errorf("the caller is %+v", c)
		}
		get(w.Update(t.Context(), ada.ID, Change{Role: new(caller.Reader)}))(t)
		if w.holds(trap) {
			t.Error("a READER's trap goes on sending")
		}
		get(w.Update(t.Context(), ada.ID, Change{Role: new(caller.Admin)}))(t)
		if !w.holds(trap) {
			t.Error("an ADMIN's trap may not send")
		}
	})
}

func TestAuthenticate_NotesTheUseOnceAMinute(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, bearer := w.in(w.add("ada", caller.Reader))
		id := caller.From(ctx).TokenID
		first := w.clock()
		w.callerCache.Clear()
		for _, step := range []struct {
			delay      time.Duration
			statements int
		}{{0, 1}, {59 * time.Second, 1}, {time.Second, 2}, {time.Second, 1}} {
			w.pass(step.delay)
			if sent := w.counted(func() { w.holds(bearer) }); len(sent) != step.statements {
				t.Errorf("%s later: %q", step.delay, sent)
			}
		}
		used := get(w.TokenByID(ctx, id))(t).LastUsedAt
		if used == nil || *used != first.Add(time.Minute) {
			t.Errorf("last used %v, want %v", used, first.Add(time.Minute))
		}
	})
}

func TestAuthenticate_OfManyAtOnceOneNotesTheUse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, _ := w.in(w.add("ada", caller.Reader))
		id, first := caller.From(ctx).TokenID, w.clock()
		w.recordUse(ctx, id, first.Add(lastUsedResolution-time.Millisecond)) // read the row before the first wrote
		if used := get(w.TokenByID(ctx, id))(t).LastUsedAt; *used != first {
			t.Errorf("it was written again after %s", used.Sub(first))
		}
	})
}

func TestAuthenticate_ADisabledOwnersTokenDoesNotHold(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.add("ada", caller.Reader)
		_, bearer := w.in(ada)
		// Not by Update, which deletes the token too.
		must(t, w.db.User.UpdateOneID(ada.ID).SetDisabled(true).Exec(t.Context()))
		w.pass(watchInterval)
		if w.holds(bearer) {
			t.Error("it holds")
		}
	})
}

func TestAuthenticate_WhatChangesHereHoldsAtOnceAndElsewhereAfterHalfASecond(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("root", caller.Admin)
		otherServer := New(w.db, w.clock, w.hasher, w.throttle, w.limits)
		for name, change := range map[string]func(context.Context, *ent.User) error{
			"logout": func(ctx context.Context, _ *ent.User) error { _, err := w.Logout(ctx); return err },
			"revoked": func(ctx context.Context, _ *ent.User) error {
				_, err := w.RevokeToken(ctx, caller.From(ctx).TokenID)
				return err
			},
			"disabled": func(ctx context.Context, u *ent.User) error {
				_, err := w.Update(ctx, u.ID, Change{Disabled: new(true)})
				return err
			},
			"password": func(ctx context.Context, u *ent.User) error {
				_, err := w.Update(ctx, u.ID, Change{Password: new("another good one 5")})
				return err
			},
			"lost password": func(ctx context.Context, u *ent.User) error { _, err := w.ResetPassword(ctx, u.Username); return err },
		} {
			ada := w.add(strings.ReplaceAll(name, " ", "-"), caller.Writer)
			ctx, bearer := w.in(ada)
			for _, people := range []*Service{w.Service, otherServer} {
				if _, err := people.Authenticate(t.Context(), bearer.Reveal()); err != nil {
					t.Fatal(err)
				}
			}
			must(t, change(ctx, ada))
			if w.holds(bearer) {
				t.Errorf("%s: the token still holds", name)
			}
			w.pass(watchInterval)
			if _, err := otherServer.Authenticate(t.Context(), bearer.Reveal()); fault.CodeOf(err) != fault.Unauthenticated {
				t.Errorf("%s: elsewhere the token still holds: %v", name, err)
			}
		}
	})
}

func TestAuthenticate_ATokenThatIsRememberedEndsAtItsTime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, bearer := w.in(w.add("ada", caller.Reader))
		w.pass(SessionLifetime - time.Millisecond)
		if !w.holds(bearer) {
			t.Error("it does not hold until its time")
		}
		w.pass(time.Millisecond)
		if w.holds(bearer) {
			t.Error("it holds beyond its time")
		}
	})
}

func TestAuthenticate_ThatTheUseCannotBeNotedDoesNotMatter(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		session := get(w.Login(t.Context(), w.add("ada", caller.Reader).Username, secret, home))(t)
		if w.db.Dialect == dialect.SQLite {
			w.exec(`CREATE TRIGGER no BEFORE UPDATE ON access_tokens BEGIN SELECT RAISE(ABORT, 'no'); END`)
		} else {
			w.exec(`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`)
			w.exec(`CREATE TRIGGER no BEFORE UPDATE ON access_tokens EXECUTE FUNCTION no()`)
		}
		if sent := w.counted(func() { w.holds(session.Token) }); len(sent) != 2 {
			t.Errorf("sent %q", sent)
		}
		if !w.holds(session.Token) {
			t.Error("the request was refused")
		}
	})
}

func TestLogout_EndsTheSessionThatAsks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.add("ada", caller.Writer)
		ctx, bearer := w.in(ada)
		_, other := w.in(ada)
		trap, _, err := w.CreateToken(ctx, TokenInput{Name: "trap", Device: new("0a5bb6f4")})
		must(t, err)
		trapCtx := w.with(trap)
		for _, want := range []bool{true, false} {
			if got := get(w.Logout(ctx))(t); got != want {
				t.Errorf("Logout = %v, want %v", got, want)
			}
		}
		if w.holds(bearer) || !w.holds(other) || !w.holds(trap) {
			t.Error("another than the one session has ended")
		}
		if !get(w.Logout(trapCtx))(t) || w.holds(trap) {
			t.Error("a trap cannot give up its token")
		}
		_, err = w.Logout(t.Context())
		code(t, err, fault.Unauthenticated)
	})
}

func TestChangePassword_EndsTheOtherSessions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada, eve := w.add("ada", caller.Reader), w.add("eve", caller.Reader)
		ctx, present := w.in(ada)
		_, other := w.in(ada)
		_, eves := w.in(eve)
		script, _, err := w.CreateToken(ctx, TokenInput{Name: "script"})
		must(t, err)
		must(t, w.ChangePassword(ctx, secret, "another bird in there", home))
		if !w.holds(present) || w.holds(other) || !w.holds(script) || !w.holds(eves) {
			t.Error("not just her other sessions have ended")
		}
		_, err = w.Login(t.Context(), "ada", secret, home)
		code(t, err, fault.Unauthenticated)
		get(w.Login(t.Context(), "ada", "another bird in there", home))(t)
	})
}

func TestChangePassword_TellsWhatIsWrong(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, _ := w.in(w.add("a-long-name", caller.Writer))
		code(t, w.ChangePassword(ctx, secret, "short", home), fault.BadInput, "new: BAD_USER_INPUT")
		code(t, w.ChangePassword(ctx, secret, "a-long-name", home), fault.BadInput, "new: BAD_USER_INPUT")
		code(t, w.ChangePassword(t.Context(), secret, "another bird in there", home), fault.Unauthenticated)
		trap, _, err := w.CreateToken(ctx, TokenInput{Name: "trap", Device: new("0a5bb6f4")})
		must(t, err)
		code(t, w.ChangePassword(w.with(trap), secret, "another bird in there", home), fault.Forbidden)
		// Guesses count as those of a login, with it.
		for range 5 {
			code(t, w.ChangePassword(ctx, "not the password", "another bird in there", home), fault.BadInput, "current: BAD_USER_INPUT")
		}
		e := code(t, w.ChangePassword(ctx, secret, "another bird in there", home), fault.RateLimited)
		if e.RetryAfter != time.Second {
			t.Errorf("wait %s", e.RetryAfter)
		}
		_, err = w.Login(t.Context(), "a-long-name", secret, home)
		code(t, err, fault.RateLimited)
	})
}

func TestChangePassword_OfTwoAtOnceOneIsRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, _ := w.in(w.add("ada", caller.Reader))
		errs := make(chan error)
		for _, next := range []string{"the first new password", "the second new password"} {
			go func() { errs <- w.ChangePassword(ctx, secret, next, home) }()
		}
		a, b := <-errs, <-errs
		if (a == nil) == (b == nil) {
			t.Errorf("got %v and %v", a, b)
		}
		if err := errors.Join(a, b); fault.CodeOf(err) == fault.Internal {
			t.Errorf("got %v", err)
		}
	})
}
