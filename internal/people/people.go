// Package people owns accounts, sessions and access tokens: who may sign in,
// what proves who is asking, and how that ends.
//
// What may do what is a matter of roles. The schema says which field wants
// which role, and package guard holds it before anything here is called; here
// is held only what depends on the rows: that a token is one's own, that no
// token exceeds its owner, and that an admin remains.
//
// It does not own what a password may be and how it is hashed (package
// password), how often one may be guessed (package throttle), the form of a
// token (package token), nor where a token stands in a request (package
// transport).
//
// Secrets stay inside. Only Login, Authenticate and the changes of a password
// look at hashes; what is given out was read without them, and no error holds
// any.
package people

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect"

	ent "tagma/ent/generated"
	"tagma/ent/generated/accesstoken"
	"tagma/ent/generated/predicate"
	"tagma/ent/generated/user"
	"tagma/internal/batch"
	"tagma/internal/caller"
	"tagma/internal/database"
	"tagma/internal/fault"
	"tagma/internal/instant"
	"tagma/internal/page"
	"tagma/internal/password"
	"tagma/internal/recent"
	"tagma/internal/throttle"
)

// The bounds, where the schema names no other place for them.
const (
	SessionLifetime = 24 * time.Hour
	MaxNewUsers     = 100 // made at once
	MaxFilters      = 100 // of one query
	MaxTokens       = 100 // made by hand, of one person
	MaxTokenName    = 100 // characters
	MaxEmail        = 254 // bytes: what fits into a path of RFC 5321

	// lastUsedResolution is how exactly it is kept when a token was last used. To
	// write it each time would make a write of every read.
	lastUsedResolution = time.Minute
)

// People is the accounts of one server. It is safe for concurrent use.
type People struct {
	db          *database.DB
	clock       instant.Clock
	hasher      *password.Hasher
	throttle    *throttle.Throttle
	limits      page.Limits
	callerCache recent.Memory[string, caller.Caller] // by the hash of the token
}

// New is the people in db. The caller closes db.
func New(db *database.DB, clock instant.Clock, hasher *password.Hasher, throttle *throttle.Throttle, limits page.Limits) *People {
	return &People{db: db, clock: clock, hasher: hasher, throttle: throttle, limits: limits}
}

// The columns that are given out: all but the hashes.
var (
	userColumns  = withoutColumn(user.Columns, user.FieldPasswordHash)       //nolint:gochecknoglobals // a table
	tokenColumns = withoutColumn(accesstoken.Columns, accesstoken.FieldHash) //nolint:gochecknoglobals // a table
)

func withoutColumn(columns []string, secret string) []string {
	return slices.DeleteFunc(slices.Clone(columns), func(column string) bool { return column == secret })
}

// usernameForm is the form of a name, before it is brought into lower case.
var usernameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// canonicalName is a name in the form in which accounts are kept.
func canonicalName(username string) (name string, ok bool) {
	return strings.ToLower(username), usernameForm.MatchString(username)
}

// person is the caller, who must be one: not anonymous, and not a trap.
func person(ctx context.Context) (*caller.Caller, error) {
	c := caller.From(ctx)
	if c == nil {
		return nil, fault.New(fault.Unauthenticated, "sign in first")
	}
	if c.Device != "" {
		return nil, fault.New(fault.Forbidden, "a trap's token adds images and does nothing else")
	}
	return c, nil
}

// lock keeps the rows that a transaction reads from changing until it ends.
// SQLite needs no such thing: it has one writer at a time.
func (p *People) lock(query *ent.UserQuery) *ent.UserQuery {
	if p.db.Dialect == dialect.Postgres {
		query.ForUpdate()
	}
	return query
}

// notExpired is the condition that a token has not expired.
func notExpired(now instant.Instant) predicate.AccessToken {
	return accesstoken.Or(accesstoken.ExpiresAtIsNil(), accesstoken.ExpiresAtGT(now))
}

// setGroup tells people that they were loaded together: see package batch.
func setGroup(rows []*ent.User) []*ent.User {
	group := batch.NewGroup(rows)
	for _, u := range rows {
		u.Group = group
	}
	return rows
}
