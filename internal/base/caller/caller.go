// Package caller owns the identity behind a request: the person or the trap,
// and the rights of the role. Package caller does not own authentication
// (package people). Package caller does not own the required role of a field:
// the schema states the role, and package guard checks the role.
package caller

import (
	"context"
	"io"
	"slices"
	"strconv"

	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
)

// Role is the set of rights of a person. Each role includes the rights of the
// roles before.
type Role string

// The roles, from the least to the greatest.
const (
	Reader Role = "READER" // reads everything except other people's accounts
	Writer Role = "WRITER" // adds images, annotations, labels and bundles
	Admin  Role = "ADMIN"  // deletes, and manages people
)

var ranks = []Role{Reader, Writer, Admin}

// Values returns the roles for ent.
func (Role) Values() []string {
	return []string{string(Reader), string(Writer), string(Admin)}
}

// Includes reports whether r has all rights of other.
func (r Role) Includes(other Role) bool {
	rank := slices.Index(ranks, other)
	return rank >= 0 && slices.Index(ranks, r) >= rank
}

// MarshalGQL writes the enum Role.
func (r Role) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(string(r))) }

// UnmarshalGQL reads the enum Role.
func (r *Role) UnmarshalGQL(v any) error {
	s, ok := v.(string)
	if !ok || !slices.Contains(ranks, Role(s)) {
		return fault.New(fault.BadInput, "the value is not a role: it is one of READER, WRITER, ADMIN")
	}
	*r = Role(s)
	return nil
}

// Caller is the person or trap behind a request. A nil *Caller is anonymous,
// and may use only fields that are open to everybody.
type Caller struct {
	UserID  int64
	TokenID int64
	Role    Role

	// Session reports whether a sign-in created the token. A token without
	// Session serves one purpose. Such a token manages no tokens but itself,
	// unless the token has the full rights of an admin.
	Session bool

	// Until is the time at which the token expires; nil means never.
	Until *instant.Instant

	// Device is the name of the trap for the token of a trap, and empty
	// otherwise. The trap adds images of Device and may do nothing else: Role
	// is ignored.
	Device string
}

// Has reports whether c is a person with at least the given role.
func (c *Caller) Has(role Role) bool {
	return c != nil && c.Device == "" && c.Role.Includes(role)
}

// Is reports whether c is the person with the given id.
func (c *Caller) Is(userID int64) bool {
	return c != nil && c.Device == "" && c.UserID == userID
}

type key struct{}

// With returns a context that carries c.
func With(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, key{}, c)
}

// From returns the caller of a request, or nil for an anonymous caller.
func From(ctx context.Context) *Caller {
	c, _ := ctx.Value(key{}).(*Caller)
	return c
}
