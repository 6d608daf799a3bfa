// Package caller owns who is asking: the person or the trap behind a request,
// and what their role lets them do. It does not own how that was proved, which
// is package people's, nor which field wants which role, which the schema says
// and package guard holds.
package caller

import (
	"context"
	"io"
	"slices"
	"strconv"

	"tagma/internal/fault"
	"tagma/internal/instant"
)

// Role is what a person may do. Each role may do what the ones before it may.
type Role string

// The roles, from the least to the greatest.
const (
	Reader Role = "READER" // looks at everything but other people's accounts
	Writer Role = "WRITER" // adds images, annotations, labels and bundles
	Admin  Role = "ADMIN"  // deletes, and looks after people
)

var ranks = []Role{Reader, Writer, Admin}

// Values lists the roles for ent.
func (Role) Values() []string {
	return []string{string(Reader), string(Writer), string(Admin)}
}

// Includes says whether r may do all that other may.
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

// Caller is who is asking. A nil *Caller is an anonymous one, and may do
// nothing that is not open to all.
type Caller struct {
	UserID  int64
	TokenID int64
	Role    Role

	// Session says that the token is that of a sign-in. One that was made by
	// hand is for one job: it looks after no other tokens, unless it is an
	// admin's in full.
	Session bool

	// Until is when the token ends; nil if it holds for good.
	Until *instant.Instant

	// Device is set for the token of a trap. Its bearer adds images of that
	// device and may do nothing else: its Role counts for nothing.
	Device string
}

// Has says whether c is a person with at least that role.
func (c *Caller) Has(role Role) bool {
	return c != nil && c.Device == "" && c.Role.Includes(role)
}

// Is says whether c is the person with that id.
func (c *Caller) Is(userID int64) bool {
	return c != nil && c.Device == "" && c.UserID == userID
}

type key struct{}

// With puts c into the context of a request.
func With(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, key{}, c)
}

// From is who is asking, or nil for an anonymous caller.
func From(ctx context.Context) *Caller {
	c, _ := ctx.Value(key{}).(*Caller)
	return c
}
