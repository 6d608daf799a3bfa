package people

import (
	"context"
	"database/sql"
	"errors"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/accesstoken"
	"tagma/ent/generated/user"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/password"
	"tagma/internal/base/token"
)

// Session is the result of a login.
type Session struct {
	Token     token.Secret
	ExpiresAt instant.Instant
	User      *ent.User
}

// Login signs in a person from an address, with or without a port. The error
// and the time are the same for a wrong name, a wrong password and a disabled
// account.
//
// Faults: UNAUTHENTICATED, RATE_LIMITED with the time to wait, and UNAVAILABLE if
// too many are signing in.
func (s *Service) Login(ctx context.Context, username, plain, address string) (*Session, error) {
	name, ok := canonicalName(username)
	if err := s.allow(name, address); err != nil {
		return nil, err
	}
	var account *ent.User // nil if the name has no enabled account
	if ok {
		row, err := s.db.User.Query().Where(user.Username(name), user.Disabled(false)).Only(ctx)
		if err != nil && !ent.IsNotFound(err) {
			return nil, err
		}
		account = row
	}
	ok, err := s.matches(ctx, name, account, plain)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, wrongLogin()
	}
	newHash := account.PasswordHash
	if s.hasher.NeedsRehash(newHash) {
		if newHash, err = s.hasher.Hash(ctx, plain); err != nil {
			return nil, err
		}
	}
	return s.createSession(ctx, account, newHash)
}

// createSession creates a session for an account whose password was just
// verified, and stores the new hash of the password.
func (s *Service) createSession(ctx context.Context, account *ent.User, newHash string) (*Session, error) {
	secret, hash := token.New()
	now := s.clock()
	session := &Session{Token: secret, ExpiresAt: now.Add(SessionLifetime)}
	err := s.db.InTx(ctx, func(tx *ent.Tx) error {
		// Hashing took some time. If the account was disabled or got a new
		// password meanwhile, the sessions of the account were ended, and no new session may
		// follow.
		if err := s.lockUnchanged(ctx, tx, account); err != nil {
			return err
		}
		if newHash != account.PasswordHash {
			if err := tx.User.UpdateOneID(account.ID).SetPasswordHash(newHash).Exec(ctx); err != nil {
				return err
			}
		}
		return tx.AccessToken.Create().
			SetUserID(account.ID).SetKind(accesstoken.KindSESSION).SetName("login").SetHash(hash).
			SetRole(account.Role).SetCreatedAt(now).SetExpiresAt(session.ExpiresAt).Exec(ctx)
	})
	if err != nil {
		return nil, err
	}
	account.PasswordHash = ""
	session.User = account
	return session, nil
}

// lockUnchanged locks an account, and fails if the account was disabled or has
// another password now.
func (s *Service) lockUnchanged(ctx context.Context, tx *ent.Tx, account *ent.User) error {
	current, err := s.lock(tx.User.Query().Where(user.ID(account.ID), user.Disabled(false))).
		Select(user.FieldPasswordHash).Only(ctx)
	if ent.IsNotFound(err) || err == nil && current.PasswordHash != account.PasswordHash {
		return wrongLogin()
	}
	return err
}

// wrongLogin returns the same error for every cause.
func wrongLogin() error { return fault.New(fault.Unauthenticated, "wrong name or password") }

// allow counts one attempt at an account.
func (s *Service) allow(name, address string) error {
	ok, wait := s.throttle.Allow(name, address)
	if ok {
		return nil
	}
	e := fault.New(fault.RateLimited, "too many tries: wait %s", (wait + time.Second - 1).Truncate(time.Second))
	e.RetryAfter = wait
	return e
}

// matches reports whether plain is the password of the account, and informs the
// throttle. For a nil account matches returns false after the same time.
func (s *Service) matches(ctx context.Context, name string, account *ent.User, plain string) (ok bool, err error) {
	if account == nil {
		err = s.hasher.VerifyNothing(ctx, plain)
	} else {
		ok, err = s.hasher.Verify(ctx, account.PasswordHash, plain)
	}
	if ok {
		s.throttle.Succeeded(name)
	} else {
		s.throttle.Failed(name)
	}
	return ok, err
}

// authenticateQuery finds a valid token by hash, if the account of its owner is
// enabled. One statement does all, because every request runs the query.
const authenticateQuery = `SELECT t.id, t.user_id, t.role, t.device, t.last_used_at, u.role, t.kind, t.expires_at
FROM access_tokens t JOIN users u ON u.id = t.user_id
WHERE t.hash = $1 AND (t.expires_at IS NULL OR t.expires_at > $2) AND NOT u.disabled`

// Authenticate returns the caller of a request with the given bearer token. The
// role is the lesser of the token's role and the owner's present role. A change
// made on another server takes effect after ttlcache.TTL.
//
// Faults: UNAUTHENTICATED, the same for every cause.
func (s *Service) Authenticate(ctx context.Context, bearer string) (*caller.Caller, error) {
	secret, ok := token.Parse(bearer)
	if !ok {
		return nil, invalidToken()
	}
	now, hash := s.clock(), secret.Hash()
	cached, ok, generation := s.callerCache.Get(hash, now)
	if ok && (cached.Until == nil || *cached.Until > now) {
		return &cached, nil
	}
	var (
		c        caller.Caller
		owner    caller.Role
		device   *string
		lastUsed *instant.Instant
		kind     accesstoken.Kind
	)
	err := s.db.SQL.QueryRowContext(ctx, authenticateQuery, hash, int64(now)).
		Scan(&c.TokenID, &c.UserID, &c.Role, &device, &lastUsed, &owner, &kind, &c.Until)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, invalidToken()
	}
	if err != nil {
		return nil, err
	}
	c.Role, c.Session = minRole(c.Role, owner), kind == accesstoken.KindSESSION
	if device != nil {
		c.Device = *device
		if !owner.Includes(caller.Writer) {
			return nil, invalidToken()
		}
	}
	if lastUsed == nil || now.Sub(*lastUsed) >= lastUsedResolution {
		s.recordUse(ctx, c.TokenID, now)
	}
	s.callerCache.Put(hash, c, now, generation)
	return &c, nil
}

func invalidToken() error {
	return fault.New(fault.Unauthenticated, "this token does not hold any more: sign in again")
}

func minRole(a, b caller.Role) caller.Role {
	if a.Includes(b) {
		return b
	}
	return a
}

// recordUse stores the time of a token's last use. The condition makes one of
// many concurrent requests write. A failed write does not fail the request,
// because the next request tries again. On SQLite the write waits for other
// writers.
func (s *Service) recordUse(ctx context.Context, id int64, now instant.Instant) {
	_ = s.db.AccessToken.Update().
		Where(accesstoken.ID(id), accesstoken.Or(accesstoken.LastUsedAtIsNil(), accesstoken.LastUsedAtLTE(now.Add(-lastUsedResolution)))).
		SetLastUsedAt(now).Exec(ctx)
}

// Logout revokes the token of the request. Logout returns false if the token was
// revoked already.
func (s *Service) Logout(ctx context.Context) (bool, error) {
	c := caller.From(ctx)
	if c == nil {
		return false, fault.New(fault.Unauthenticated, "nobody is signed in")
	}
	defer s.callerCache.Forget()
	n, err := s.db.AccessToken.Delete().Where(accesstoken.ID(c.TokenID)).Exec(ctx)
	return n > 0, err
}

// ChangePassword changes the password of the caller at an address, and ends all
// sessions of the caller except the current session. Guesses at the current
// password count like guesses of Login.
//
// Faults: BAD_USER_INPUT at "current" or "new", RATE_LIMITED, and UNAVAILABLE.
func (s *Service) ChangePassword(ctx context.Context, current, next, address string) error {
	c, err := person(ctx)
	if err != nil {
		return err
	}
	account, err := s.db.User.Get(ctx, c.UserID)
	if err != nil {
		return err
	}
	var problems fault.Problems
	if err := password.Check(next, account.Username); err != nil {
		problems.Add(fault.BadInput, []any{"new"}, "%s", err)
		return problems.Err()
	}
	if err := s.allow(account.Username, address); err != nil {
		return err
	}
	ok, err := s.matches(ctx, account.Username, account, current)
	if err != nil {
		return err
	}
	if !ok {
		problems.Add(fault.BadInput, []any{"current"}, "that is not the present password")
		return problems.Err()
	}
	hash, err := s.hasher.Hash(ctx, next)
	if err != nil {
		return err
	}
	defer s.callerCache.Forget()
	return s.db.InTx(ctx, func(tx *ent.Tx) error {
		if err := s.lockUnchanged(ctx, tx, account); err != nil {
			return err
		}
		if err := tx.User.UpdateOneID(account.ID).SetPasswordHash(hash).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.AccessToken.Delete().
			Where(accesstoken.UserID(account.ID), accesstoken.KindEQ(accesstoken.KindSESSION), accesstoken.IDNEQ(c.TokenID)).
			Exec(ctx)
		return err
	})
}
