// Package people owns accounts, sessions and access tokens: creating,
// validating and ending them.
//
// Roles decide about rights. The schema states the role that a field requires,
// and package guard checks the role before package graph calls this package. Package
// people checks only rules about rows: a token belongs to the caller, no token
// exceeds its owner, and one admin remains.
//
// Package people does not own password rules and hashing (package password),
// the rate of guesses (package throttle), the form of a token (package token),
// nor the place of a token in a request (package transport).
//
// Secrets stay in this package. Only Login, Authenticate and the changes of a
// password read hashes. Returned rows contain no hash, and neither does any
// error.
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
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/base/password"
	"tagma/internal/base/throttle"
	"tagma/internal/base/ttlcache"
	"tagma/internal/storage/database"
)

// Bounds without another place in the schema.
const (
	SessionLifetime = 24 * time.Hour
	MaxNewUsers     = 100 // created at once
	MaxFilters      = 100 // in one query
	MaxTokens       = 100 // access tokens of one person
	MaxTokenName    = 100 // characters
	MaxEmail        = 254 // bytes; the longest address in a path of RFC 5321

	// lastUsedResolution is the precision of a token's time of last use. An
	// exact time would turn every read into a write.
	lastUsedResolution = time.Minute
)

// Service holds the accounts of one server. A Service is safe for concurrent use.
type Service struct {
	db          *database.DB
	clock       instant.Clock
	hasher      *password.Hasher
	throttle    *throttle.Throttle
	limits      page.Limits
	callerCache ttlcache.Cache[string, caller.Caller] // by the hash of the token
}

// New returns the people in db. The caller closes db.
func New(db *database.DB, clock instant.Clock, hasher *password.Hasher, throttle *throttle.Throttle, limits page.Limits) *Service {
	return &Service{db: db, clock: clock, hasher: hasher, throttle: throttle, limits: limits}
}

// Columns without hashes.
var (
	userColumns  = withoutColumn(user.Columns, user.FieldPasswordHash)       //nolint:gochecknoglobals // a table
	tokenColumns = withoutColumn(accesstoken.Columns, accesstoken.FieldHash) //nolint:gochecknoglobals // a table
)

func withoutColumn(columns []string, secret string) []string {
	return slices.DeleteFunc(slices.Clone(columns), func(column string) bool { return column == secret })
}

// usernameForm is the form of a username, in upper or lower case.
var usernameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// canonicalName returns a username in its stored form, and reports whether the
// username is valid.
func canonicalName(username string) (name string, ok bool) {
	return strings.ToLower(username), usernameForm.MatchString(username)
}

// person returns the caller, who must be a person: not anonymous, and not a
// trap.
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

// lock locks the rows of a query until the transaction ends. SQLite needs no
// locks, because SQLite has one writer at a time.
func (s *Service) lock(query *ent.UserQuery) *ent.UserQuery {
	if s.db.Dialect == dialect.Postgres {
		query.ForUpdate()
	}
	return query
}

// notExpired returns the condition that a token has not expired.
func notExpired(now instant.Instant) predicate.AccessToken {
	return accesstoken.Or(accesstoken.ExpiresAtIsNil(), accesstoken.ExpiresAtGT(now))
}
