package people

import (
	"fmt"
	"strings"
	"testing"

	ent "tagma/ent/generated"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/page"
)

func TestCreate_MakesThemInTheInputsOrder(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		users := get(w.Create(t.Context(), []NewUser{
			{Username: "Zoe.B-1_x", Password: secret, Email: new("zoe@example.org"), Role: caller.Writer},
			{Username: "0", Password: secret, Role: caller.Admin},
			{Username: strings.Repeat("n", 64), Password: secret, Role: caller.Reader},
		}))(t)
		byID := get(w.ByIDs(t.Context(), []int64{users[0].ID, users[1].ID, users[2].ID, 1 << 40}))(t)
		if len(byID) != 3 {
			t.Fatalf("%d are there", len(byID))
		}
		for i, want := range []ent.User{
			{Username: "zoe.b-1_x", Email: new("zoe@example.org"), Role: caller.Writer},
			{Username: "0", Role: caller.Admin},
			{Username: strings.Repeat("n", 64), Role: caller.Reader},
		} {
			for _, got := range []*ent.User{users[i], byID[users[i].ID]} {
				if got.Username != want.Username || got.Role != want.Role || got.Disabled || got.CreatedAt != w.clock() ||
					(got.Email == nil) != (want.Email == nil) || got.Email != nil && *got.Email != *want.Email || got.Group == nil {
					t.Errorf("got %v, want %v", got, &want)
				}
			}
		}
		if none := get(w.Create(t.Context(), nil))(t); len(none) != 0 {
			t.Errorf("made %v of nothing", none)
		}
	})
}

func TestCreate_TellsOfEveryProblemAndMakesNobody(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("ada", caller.Admin)
		_, err := w.Create(t.Context(), []NewUser{
			{Username: "fine", Password: secret, Role: caller.Reader},
			{Username: "ADA", Password: "short", Email: new("nowhere"), Role: caller.Reader},
			{Username: "Fine", Password: secret, Role: caller.Reader},
			{Username: "no\x00name", Password: "0123456789\x00", Email: new("a\x00@example.org"), Role: caller.Reader},
			{Username: "self-evident", Password: "self-evident", Role: caller.Reader},
		})
		code(t, err, fault.Conflict,
			"input.1.username: CONFLICT", "input.1.password: BAD_USER_INPUT", "input.1.email: BAD_USER_INPUT",
			"input.2.username: CONFLICT",
			"input.3.username: BAD_USER_INPUT", "input.3.password: BAD_USER_INPUT", "input.3.email: BAD_USER_INPUT",
			"input.4.password: BAD_USER_INPUT")
		_, err = w.Create(t.Context(), make([]NewUser, 101))
		code(t, err, fault.TooLarge)
		if n := w.db.User.Query().CountX(t.Context()); n != 1 {
			t.Errorf("there are %d people", n)
		}
	})
}

func TestCreate_WhatIsNoNameIsRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, name := range []string{"", ".a", "-a", "_a", "a b", "a\n", "é", "\u212aim", "a@b", strings.Repeat("a", 65), "a\xff"} {
			_, err := w.Create(t.Context(), []NewUser{{Username: name, Password: secret, Role: caller.Reader}})
			code(t, err, fault.BadInput, "input.0.username: BAD_USER_INPUT")
		}
	})
}

func TestCreate_OfTwoAtOnceOneHearsOfTheConflict(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		errs := make(chan error)
		for range 8 {
			go func() {
				_, err := w.Create(t.Context(), []NewUser{
					{Username: "other", Password: secret, Role: caller.Reader},
					{Username: "ada", Password: secret, Role: caller.Reader},
				})
				errs <- err
			}()
		}
		successes := 0
		for range 8 {
			if err := <-errs; err == nil {
				successes++
			} else {
				code(t, err, fault.Conflict, "input.0.username: CONFLICT", "input.1.username: CONFLICT")
			}
		}
		if successes != 1 || w.db.User.Query().CountX(t.Context()) != 2 {
			t.Errorf("%d calls made %d people", successes, w.db.User.Query().CountX(t.Context()))
		}
	})
}

func TestCheckEmail_FindsSlips(t *testing.T) {
	for _, good := range []string{"a@b", "ada.l+traps@example.org", "ä@example.org", strings.Repeat("a", 242) + "@example.org"} {
		if err := validateEmail(&good); err != nil {
			t.Errorf("valid address: got error %v, want nil", err)
		}
	}
	for _, bad := range []string{"", "ada", "ada@", "@example.org", "Ada <ada@example.org>", " ada@example.org", "ada@example.org\n",
		"a@b, c@d", "a\x00@example.org", "\xff@example.org", strings.Repeat("a", 243) + "@example.org"} {
		if err := validateEmail(&bad); fault.CodeOf(err) != fault.BadInput {
			t.Errorf("address %q: got error %v, want code %s", bad, err, fault.BadInput)
		}
	}
}

func TestUpdate_ChangesWhatIsGivenAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("root", caller.Admin)
		ada := w.add("ada", caller.Reader)
		for i, step := range []struct {
			change   Change
			email    string
			role     caller.Role
			disabled bool
		}{
			{Change{}, "", caller.Reader, false},
			{Change{SetEmail: true, Email: new("ada@example.org")}, "ada@example.org", caller.Reader, false},
			{Change{Role: new(caller.Writer)}, "ada@example.org", caller.Writer, false},
			{Change{Disabled: new(true)}, "ada@example.org", caller.Writer, true},
			{Change{SetEmail: true}, "", caller.Writer, true},
			{Change{Disabled: new(false), Role: new(caller.Admin)}, "", caller.Admin, false},
			{Change{Disabled: new(true), Role: new(caller.Reader)}, "", caller.Reader, true},
		} {
			got := get(w.Update(t.Context(), ada.ID, step.change))(t)
			email := ""
			if got.Email != nil {
				email = *got.Email
			}
			if got.Username != "ada" || email != step.email || got.Role != step.role || got.Disabled != step.disabled {
				t.Errorf("step %d gives %v", i, got)
			}
		}
	})
}

func TestUpdate_TellsOfEveryProblem(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.add("ada", caller.Reader)
		_, err := w.Update(t.Context(), ada.ID, Change{SetEmail: true, Email: new("nowhere"), Password: new("short")})
		code(t, err, fault.BadInput, "input.email: BAD_USER_INPUT", "input.password: BAD_USER_INPUT")
		_, err = w.Update(t.Context(), ada.ID+1, Change{Role: new(caller.Admin)})
		code(t, err, fault.NotFound)
	})
}

func TestUpdate_DisablingEndsEverythingAndANewPasswordTheSessions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add("root", caller.Admin)
		ada, eve := w.add("ada", caller.Reader), w.add("eve", caller.Reader)
		ctx, session := w.in(ada)
		_, eves := w.in(eve)
		script, _, err := w.CreateToken(ctx, TokenInput{Name: "script"})
		must(t, err)

		get(w.Update(t.Context(), ada.ID, Change{Password: new("another bird in there")}))(t)
		if w.holds(session) || !w.holds(script) {
			t.Error("a new password does not end just the sessions")
		}
		get(w.Login(t.Context(), "ada", "another bird in there", home))(t)
		get(w.Update(t.Context(), ada.ID, Change{Disabled: new(true)}))(t)
		get(w.Update(t.Context(), ada.ID, Change{Disabled: new(false)}))(t)
		if n := len(get(w.TokensOf(t.Context(), []*ent.User{ada}))(t)[ada.ID]); n != 0 || w.holds(script) {
			t.Errorf("%d tokens have come back to life", n)
		}
		if !w.holds(eves) {
			t.Error("another's session has ended")
		}
	})
}

func TestUpdate_TheLastAdminStaysOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root, other := w.add("root", caller.Admin), w.add("other", caller.Admin)
		get(w.Update(t.Context(), other.ID, Change{Disabled: new(true)}))(t)
		_, bearer := w.in(root)
		for name, tt := range map[string]struct {
			change   Change
			problems []string
		}{
			"demoted":  {Change{Role: new(caller.Writer)}, []string{"input.role: CONFLICT"}},
			"disabled": {Change{Disabled: new(true)}, []string{"input.disabled: CONFLICT"}},
			"both":     {Change{Role: new(caller.Reader), Disabled: new(true), SetEmail: true}, []string{"input.role: CONFLICT", "input.disabled: CONFLICT"}},
		} {
			_, err := w.Update(t.Context(), root.ID, tt.change)
			code(t, err, fault.Conflict, tt.problems...)
			if c := caller.From(w.with(bearer)); c.Role != caller.Admin {
				t.Errorf("%s all the same", name)
			}
		}
		get(w.Update(t.Context(), other.ID, Change{Role: new(caller.Reader)}))(t) // was none that could sign in
		get(w.Update(t.Context(), other.ID, Change{Role: new(caller.Admin), Disabled: new(false)}))(t)
		get(w.Update(t.Context(), root.ID, Change{Role: new(caller.Reader)}))(t)
	})
}

func TestUpdate_OfAdminsWhoDemoteEachOtherAtOnceOneRemains(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admins := []*ent.User{w.add("a", caller.Admin), w.add("b", caller.Admin)}
		for round := range 20 {
			errs := make(chan error)
			for _, u := range admins {
				change := Change{Role: new(caller.Writer)}
				if (round+int(u.ID))%3 == 0 {
					change = Change{Disabled: new(true)}
				}
				go func() {
					_, err := w.Update(t.Context(), u.ID, change)
					errs <- err
				}()
			}
			failed := 0
			for range admins {
				if err := <-errs; err != nil {
					code(t, err, fault.Conflict)
					failed++
				}
			}
			if failed != 1 {
				t.Fatalf("%d of 2 were refused", failed)
			}
			for _, u := range admins {
				get(w.Update(t.Context(), u.ID, Change{Role: new(caller.Admin), Disabled: new(false)}))(t)
			}
		}
	})
}

func TestUpdate_WhoBecomesTheLastAdminMeanwhileStaysOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root, ada := w.add("root", caller.Admin), w.add("ada", caller.Writer)
		err := w.during(func(tx *ent.Tx) {
			must(t, tx.User.UpdateOneID(ada.ID).SetRole(caller.Admin).Exec(t.Context()))
			must(t, tx.User.UpdateOneID(root.ID).SetRole(caller.Reader).Exec(t.Context()))
		}, func() error {
			_, err := w.Update(t.Context(), ada.ID, Change{Disabled: new(true)})
			return err
		})
		code(t, err, fault.Conflict, "input.disabled: CONFLICT")
	})
}

func TestList_GivesTheUnionOfTheFiltersByName(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		get(w.Create(t.Context(), []NewUser{
			{Username: "dora", Password: secret, Role: caller.Reader, Email: new("Dora@Example.org")},
			{Username: "ada", Password: secret, Role: caller.Admin, Email: new("ada@example.com")},
			{Username: "a_b", Password: secret, Role: caller.Writer},
			{Username: "carl", Password: secret, Role: caller.Writer},
		}))(t)
		for _, tt := range []struct {
			filters []Filter
			want    string
		}{
			{nil, "a_b ada carl dora"},
			{[]Filter{}, "a_b ada carl dora"},
			{[]Filter{{}}, "a_b ada carl dora"},
			{[]Filter{{Username: new("carl")}, {}}, "a_b ada carl dora"},
			{[]Filter{{Username: new("CARL")}}, "carl"},
			{[]Filter{{Username: new("%A")}}, "ada dora"},
			{[]Filter{{Username: new(`a\_b`)}}, "a_b"},
			{[]Filter{{Username: new("a_a")}}, "ada"},
			{[]Filter{{Email: new("%@EXAMPLE.org")}}, "dora"},
			{[]Filter{{Email: new("%")}}, "ada dora"},
			{[]Filter{{Role: new("write_")}}, "a_b carl"},
			{[]Filter{{Role: new("%R"), Username: new("c%")}}, "carl"},
			{[]Filter{{Role: new("admin")}, {Username: new("c%")}, {Username: new("carl")}}, "ada carl"},
			{[]Filter{{Username: new("")}}, ""},
		} {
			got := get(w.List(t.Context(), tt.filters, page.Request{}))(t)
			var names []string
			for _, u := range got.Nodes {
				names = append(names, u.Username)
			}
			if strings.Join(names, " ") != tt.want {
				t.Errorf("%v: got %v, want %s", tt.filters, names, tt.want)
			}
			if n := get(got.TotalCount(t.Context()))(t); n != len(names) {
				t.Errorf("the total is %d", n)
			}
		}
		_, err := w.List(t.Context(), []Filter{{Username: new(`\`)}, {Email: new("\x00")}}, page.Request{})
		code(t, err, fault.BadInput, "filter.0.username: BAD_USER_INPUT", "filter.1.email: BAD_USER_INPUT")
		_, err = w.List(t.Context(), make([]Filter, 101), page.Request{})
		code(t, err, fault.TooLarge)
	})
}

func TestList_GoesByPages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i := range 7 {
			w.add(fmt.Sprintf("u%d", 6-i), caller.Reader)
		}
		var names []string
		request := page.Request{First: new(3)}
		for {
			p := get(w.List(t.Context(), []Filter{{Username: new("u%")}}, request))(t)
			for _, u := range p.Nodes {
				names = append(names, u.Username)
			}
			if !p.PageInfo.HasNextPage {
				break
			}
			request.After = p.PageInfo.EndCursor
		}
		if got := strings.Join(names, " "); got != "u0 u1 u2 u3 u4 u5 u6" {
			t.Errorf("got %s", got)
		}
	})
}
