package people

import (
	"sync"
	"testing"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
)

func TestEnsureAdmin_MakesTheFirstAccountOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		plain := get(w.EnsureAdmin(t.Context()))(t)
		session := get(w.Login(t.Context(), "admin", plain, home))(t)
		if session.User.Role != caller.Admin {
			t.Errorf("the first account is %s", session.User.Role)
		}
		if again := get(w.EnsureAdmin(t.Context()))(t); again != "" {
			t.Error("it was made twice")
		}
	})
}

func TestEnsureAdmin_WhereThereArePeopleItMakesNobody(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("ada", caller.Reader)
		if plain := get(w.EnsureAdmin(t.Context()))(t); plain != "" || w.db.User.Query().CountX(t.Context()) != 1 {
			t.Error("an admin was made")
		}
	})
}

func TestEnsureAdmin_OfManyServersThatStartAtOnceOneGetsThePassword(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		passwords := make(chan string, 200)
		start := make(chan struct{})
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				<-start
				plain, err := w.EnsureAdmin(t.Context())
				if err != nil {
					t.Errorf("EnsureAdmin: got error %v, want nil", err)
				}
				if plain != "" {
					passwords <- plain
				}
			})
		}
		close(start)
		all.Wait()
		if len(passwords) != 1 || w.db.User.Query().CountX(t.Context()) != 1 {
			t.Fatalf("%d passwords for %d accounts", len(passwords), w.db.User.Query().CountX(t.Context()))
		}
		get(w.Login(t.Context(), "admin", <-passwords, home))(t)
	})
}

func TestResetPassword_MakesAnAccountUsableAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("root", caller.Admin)
		ada := w.add("ada", caller.Reader)
		ctx, bearer := w.in(ada)
		script, _, err := w.CreateToken(ctx, TokenInput{Name: "script"})
		must(t, err)
		plain := get(w.ResetPassword(t.Context(), "ADA"))(t)
		if w.holds(bearer) || !w.holds(script) {
			t.Error("not just the sessions have ended")
		}
		get(w.Login(t.Context(), "ada", plain, home))(t)
		get(w.Update(t.Context(), ada.ID, Change{Disabled: new(true)}))(t)
		plain = get(w.ResetPassword(t.Context(), "ada"))(t)
		get(w.Login(t.Context(), "ada", plain, home))(t)
		for _, name := range []string{"nobody", "", "no\x00name"} {
			plain, err := w.ResetPassword(t.Context(), name)
			if code(t, err, fault.NotFound); plain != "" {
				t.Error("a password for nobody")
			}
		}
	})
}
