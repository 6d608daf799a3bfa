package people

import (
	"slices"
	"strings"
	"testing"
	"time"

	ent "tagma/ent/generated"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
)

func TestCreateToken_HoldsUntilItExpires(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.add("ada", caller.Writer)
		ctx, _ := w.in(ada)
		until := w.clock().Add(time.Hour)
		bearer, row, err := w.CreateToken(ctx, TokenInput{Name: "script", ExpiresAt: &until})
		must(t, err)
		if row.Name != "script" || row.Role != caller.Writer || row.UserID != ada.ID || row.Kind != "ACCESS" ||
			row.CreatedAt != w.clock() || *row.ExpiresAt != until || row.Device != nil || row.LastUsedAt != nil {
			t.Errorf("made %v", row)
		}
		w.pass(time.Hour - time.Millisecond)
		if !w.holds(bearer) {
			t.Error("it ends too early")
		}
		w.pass(time.Millisecond)
		if w.holds(bearer) {
			t.Error("it does not end")
		}
	})
}

func TestCreateToken_TellsOfEveryProblemAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		readerCtx, _ := w.in(w.add("ada", caller.Reader))
		writerCtx, _ := w.in(w.add("wim", caller.Writer))
		past := w.clock()
		_, _, err := w.CreateToken(readerCtx, TokenInput{Role: new(caller.Admin), Device: new("0x5bb6f4"), ExpiresAt: &past})
		code(t, err, fault.BadInput, "input.name: BAD_USER_INPUT", "input.device: FORBIDDEN", "input.device: BAD_USER_INPUT",
			"input.role: FORBIDDEN", "input.expiresAt: BAD_USER_INPUT")
		_, _, err = w.CreateToken(readerCtx, TokenInput{Name: "n", Role: new(caller.Writer)})
		code(t, err, fault.Forbidden, "input.role: FORBIDDEN")
		_, _, err = w.CreateToken(readerCtx, TokenInput{Name: "n", Device: new("0a5bb6f4")})
		code(t, err, fault.Forbidden, "input.device: FORBIDDEN")
		_, _, err = w.CreateToken(writerCtx, TokenInput{Name: "n", Device: new("0a5bb6f4"), Role: new(caller.Reader)})
		code(t, err, fault.BadInput, "input.role: BAD_USER_INPUT")
		for _, name := range []string{"", strings.Repeat("é", 101), "a\x00b", "a\nb", "\xff"} {
			_, _, err = w.CreateToken(readerCtx, TokenInput{Name: name})
			code(t, err, fault.BadInput, "input.name: BAD_USER_INPUT")
		}
		_, _, err = w.CreateToken(readerCtx, TokenInput{Name: strings.Repeat("é", 100)})
		must(t, err)
	})
}

func TestCreateToken_IsBoundedByTheTokenThatAsks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, _ := w.in(w.add("ada", caller.Admin))
		small, _, err := w.CreateToken(ctx, TokenInput{Name: "small", Role: new(caller.Reader)})
		must(t, err)
		_, _, err = w.CreateToken(w.with(small), TokenInput{Name: "great", Role: new(caller.Writer)})
		code(t, err, fault.Forbidden)
		_, row, err := w.CreateToken(w.with(small), TokenInput{Name: "as small"})
		must(t, err)
		if row.Role != caller.Reader {
			t.Errorf("a READER's token made one of %s", row.Role)
		}
		trap, row, err := w.CreateToken(ctx, TokenInput{Name: "trap", Device: new("0a5bb6f4")})
		must(t, err)
		if row.Role != caller.Writer || *row.Device != "0a5bb6f4" {
			t.Errorf("made %v", row)
		}
		_, _, err = w.CreateToken(w.with(trap), TokenInput{Name: "from a trap"})
		code(t, err, fault.Forbidden)
		_, _, err = w.CreateToken(t.Context(), TokenInput{Name: "from nobody"})
		code(t, err, fault.Unauthenticated)
	})
}

func TestCreateToken_AHundredAreTheMost(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.add("ada", caller.Reader)
		ctx, _ := w.in(ada)
		w.tokens(ada, 99)
		_, row, err := w.CreateToken(ctx, TokenInput{Name: "the last"})
		must(t, err)
		_, _, err = w.CreateToken(ctx, TokenInput{Name: "one too many"})
		code(t, err, fault.TooLarge)
		get(w.RevokeToken(ctx, row.ID))(t)
		_, _, err = w.CreateToken(ctx, TokenInput{Name: "another"})
		must(t, err)
	})
}

func TestCreateToken_AHundredAreTheMostAlsoWhenAskedForAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.add("ada", caller.Reader)
		ctx, _ := w.in(ada)
		w.tokens(ada, 99)
		err := w.during(func(tx *ent.Tx) {
			must(t, w.checkTokenLimit(ctx, tx, ada.ID, w.clock()))
			must(t, tx.AccessToken.Create().SetUserID(ada.ID).SetKind("ACCESS").SetName("the last").SetHash("h").
				SetRole(caller.Reader).SetCreatedAt(w.clock()).Exec(ctx))
		}, func() error {
			_, _, err := w.CreateToken(ctx, TokenInput{Name: "one too many"})
			return err
		})
		code(t, err, fault.TooLarge)
	})
}

func TestCreateToken_ADisabledOwnerGetsNone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("root", caller.Admin)
		ada := w.add("ada", caller.Reader)
		ctx, _ := w.in(ada) // the request is under way
		get(w.Update(t.Context(), ada.ID, Change{Disabled: new(true)}))(t)
		_, _, err := w.CreateToken(ctx, TokenInput{Name: "n"})
		code(t, err, fault.Unauthenticated)
	})
}

func TestRevokeToken_OnesOwnOrForAnAdminAnyones(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		adaCtx, _ := w.in(w.add("ada", caller.Writer))
		eveCtx, _ := w.in(w.add("eve", caller.Writer))
		rootCtx, _ := w.in(w.add("root", caller.Admin))
		bearer, row, err := w.CreateToken(adaCtx, TokenInput{Name: "n"})
		must(t, err)

		if get(w.RevokeToken(eveCtx, row.ID))(t) || !w.holds(bearer) {
			t.Error("another's token could be revoked")
		}
		if get(w.TokenByID(eveCtx, row.ID))(t) != nil {
			t.Error("another's token can be seen")
		}
		if get(w.TokenByID(adaCtx, row.ID))(t) == nil || get(w.TokenByID(rootCtx, row.ID))(t) == nil {
			t.Error("a token cannot be seen by whom it concerns")
		}
		for _, want := range []bool{true, false} {
			if got := get(w.RevokeToken(adaCtx, row.ID))(t); got != want {
				t.Errorf("RevokeToken = %v, want %v", got, want)
			}
		}
		if w.holds(bearer) || get(w.TokenByID(adaCtx, row.ID))(t) != nil {
			t.Error("a revoked token holds")
		}
		_, row, err = w.CreateToken(adaCtx, TokenInput{Name: "n"})
		must(t, err)
		if !get(w.RevokeToken(rootCtx, row.ID))(t) {
			t.Error("an admin cannot revoke another's token")
		}
		trap, row, err := w.CreateToken(adaCtx, TokenInput{Name: "n", Device: new("0a5bb6f4")})
		must(t, err)
		_, err = w.RevokeToken(w.with(trap), row.ID)
		code(t, err, fault.Forbidden)
		_, err = w.TokenByID(w.with(trap), row.ID)
		code(t, err, fault.Forbidden)
		_, err = w.RevokeToken(t.Context(), row.ID)
		code(t, err, fault.Unauthenticated)
	})
}

func TestRevokeToken_OneThatWasMadeForAJobEndsNothingElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root := w.add("root", caller.Admin)
		ctx, session := w.in(root)
		for role, may := range map[caller.Role]bool{caller.Reader: false, caller.Writer: false, caller.Admin: true} {
			other, otherMade, err := w.CreateToken(ctx, TokenInput{Name: "other", Role: new(caller.Reader)})
			must(t, err)
			script, row, err := w.CreateToken(ctx, TokenInput{Name: "script", Role: &role})
			must(t, err)
			revoked, err := w.RevokeToken(w.with(script), otherMade.ID)
			if !may {
				code(t, err, fault.Forbidden)
			}
			if revoked != may || w.holds(other) == may || !w.holds(session) {
				t.Errorf("a token of %s revokes another: %v", role, revoked)
			}
			if !get(w.RevokeToken(w.with(script), row.ID))(t) || w.holds(script) {
				t.Errorf("a token of %s cannot revoke itself", role)
			}
		}
	})
}

func TestCreateToken_OneThatWasMadeForAWhileMakesNoneThatOutlivesIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, _ := w.in(w.add("ada", caller.Reader))
		soon, later := w.clock().Add(time.Hour), w.clock().Add(2*time.Hour)
		script, _, err := w.CreateToken(ctx, TokenInput{Name: "script", ExpiresAt: &soon})
		must(t, err)
		for _, until := range []*instant.Instant{nil, &later} {
			_, _, err := w.CreateToken(w.with(script), TokenInput{Name: "heir", ExpiresAt: until})
			code(t, err, fault.Forbidden, "input.expiresAt: FORBIDDEN")
		}
		_, _, err = w.CreateToken(w.with(script), TokenInput{Name: "heir", ExpiresAt: &soon})
		must(t, err)
	})
}

func TestTokensOf_ThoseThatHoldTheNewestFirst(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada, eve := w.add("ada", caller.Reader), w.add("eve", caller.Reader)
		ctx, _ := w.in(ada)
		soon := w.clock().Add(time.Minute)
		for _, input := range []TokenInput{{Name: "first"}, {Name: "short", ExpiresAt: &soon}, {Name: "last"}} {
			w.pass(time.Second)
			_, _, err := w.CreateToken(ctx, input)
			must(t, err)
		}
		w.pass(time.Hour)
		byOwner := get(w.TokensOf(t.Context(), []*ent.User{ada, eve}))(t)
		var names []string
		for _, tok := range byOwner[ada.ID] {
			names = append(names, tok.Name)
			if tok.Group == nil {
				t.Error("a token does not know the others")
			}
		}
		if !slices.Equal(names, []string{"last", "first", "login"}) || len(byOwner[eve.ID]) != 0 {
			t.Errorf("got %v and %v", names, byOwner[eve.ID])
		}
	})
}

func TestSweep_DeletesWhatHasExpiredAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.add("ada", caller.Reader)
		ctx, bearer := w.in(ada)
		for _, lifetime := range []time.Duration{time.Minute, time.Hour, 2 * time.Hour} {
			until := w.clock().Add(lifetime)
			_, _, err := w.CreateToken(ctx, TokenInput{Name: "n", ExpiresAt: &until})
			must(t, err)
		}
		_, _, err := w.CreateToken(ctx, TokenInput{Name: "for good"})
		must(t, err)
		w.pass(time.Hour)
		for _, want := range []int{2, 0} {
			if got := get(w.Sweep(t.Context()))(t); got != want {
				t.Errorf("Sweep = %d, want %d", got, want)
			}
		}
		if n := w.db.AccessToken.Query().CountX(t.Context()); n != 3 || !w.holds(bearer) {
			t.Errorf("%d are left", n)
		}
	})
}
