package caller

import (
	"slices"
	"strings"
	"testing"

	"tagma/internal/base/fault"
)

func TestIncludes_EachRoleMayDoWhatTheOnesBeforeItMay(t *testing.T) {
	roles := []Role{Reader, Writer, Admin}
	for n, role := range roles {
		for m, other := range roles {
			if role.Includes(other) != (n >= m) {
				t.Errorf("%s includes %s: %t", role, other, role.Includes(other))
			}
		}
		for _, none := range []Role{"", "reader", "OWNER"} {
			if role.Includes(none) || none.Includes(role) || none.Includes(none) {
				t.Errorf("%q counts for something beside %s", none, role)
			}
		}
	}
	if !slices.Equal(Reader.Values(), []string{"READER", "WRITER", "ADMIN"}) {
		t.Errorf("Values: got %q, want READER, WRITER, ADMIN", Reader.Values())
	}
}

func TestCaller_NobodyAndATrapAreNoPersons(t *testing.T) {
	var nobody *Caller
	trap := &Caller{UserID: 1, Role: Admin, Device: "0a5bb6f4"}
	for _, c := range []*Caller{nobody, trap} {
		if c.Has(Reader) || c.Is(1) || c.Is(0) {
			t.Errorf("got the rights of a person for %+v, want none", c)
		}
	}
	anna := &Caller{UserID: 1, Role: Writer}
	if !anna.Has(Reader) || !anna.Has(Writer) || anna.Has(Admin) || !anna.Is(1) || anna.Is(2) {
		t.Errorf("got wrong rights for the writer %+v", anna)
	}
}

func TestFrom_IsWhoWasPutThere(t *testing.T) {
	if c := From(t.Context()); c != nil {
		t.Errorf("without a caller: got %+v, want nil", c)
	}
	anna := &Caller{UserID: 1}
	if From(With(t.Context(), anna)) != anna {
		t.Error("somebody else")
	}
	if From(With(With(t.Context(), anna), nil)) != nil {
		t.Error("nobody became somebody")
	}
}

func TestRole_OnlyThoseOfTheListAreRead(t *testing.T) {
	for _, v := range []any{nil, 1, "", "reader", "OWNER", []any{"READER"}} {
		var r Role
		if err := r.UnmarshalGQL(v); fault.CodeOf(err) != fault.BadInput || r != "" {
			t.Errorf("%v: got role %q, error %v, want code %s", v, r, err, fault.BadInput)
		}
	}
	var r Role
	if err := r.UnmarshalGQL("WRITER"); err != nil || r != Writer {
		t.Errorf("WRITER: got role %q, error %v", r, err)
	}
	var wire strings.Builder
	r.MarshalGQL(&wire)
	if wire.String() != `"WRITER"` {
		t.Errorf(`MarshalGQL: got %s, want "WRITER"`, wire.String())
	}
}
