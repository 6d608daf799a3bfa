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
func (p *People) Login(ctx context.Context, username, plain, address string) (*Session, error) {
	name, ok := canonicalName(username)
	if err := p.allow(name, address); err != nil {
		return nil, err
	}
	var account *ent.User // nil if the name has no enabled account
	if ok {
		row, err := p.db.User.Query().Where(user.Username(name), user.Disabled(false)).Only(ctx)
		if err != nil && !ent.IsNotFound(err) {
			return nil, err
		}
		account = row
	}
	ok, err := p.matches(ctx, name, account, plain)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, wrongLogin()
	}
	newHash := account.PasswordHash
	if p.hasher.NeedsRehash(newHash) {
		if newHash, err = p.hasher.Hash(ctx, plain); err != nil {
			return nil, err
		}
	}
	return p.createSession(ctx, account, newHash)
}

// createSession creates a session for an account whose password was just
// verified, and stores the new hash of the password.
func (p *People) createSession(ctx context.Context, account *ent.User, newHash string) (*Session, error) {
	secret, hash := token.New()
	now := p.clock()
	session := &Session{Token: secret, ExpiresAt: now.Add(SessionLifetime)}
	err := p.db.InTx(ctx, func(tx *ent.Tx) error {
		// Hashing took some time. If the account was disabled or got a new
		// password meanwhile, its sessions were ended, and no new session may
		// follow.
		if err := p.lockUnchanged(ctx, tx, account); err != nil {
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
func (p *People) lockUnchanged(ctx context.Context, tx *ent.Tx, account *ent.User) error {
	current, err := p.lock(tx.User.Query().Where(user.ID(account.ID), user.Disabled(false))).
		Select(user.FieldPasswordHash).Only(ctx)
	if ent.IsNotFound(err) || err == nil && current.PasswordHash != account.PasswordHash {
		return wrongLogin()
	}
	return err
}

// wrongLogin returns the same error for every cause.
func wrongLogin() error { return fault.New(fault.Unauthenticated, "wrong name or password") }

// allow counts one attempt at an account.
func (p *People) allow(name, address string) error {
	ok, wait := p.throttle.Allow(name, address)
	if ok {
		return nil
	}
	e := fault.New(fault.RateLimited, "too many tries: wait %s", (wait + time.Second - 1).Truncate(time.Second))
	e.RetryAfter = wait
	return e
}

// matches reports whether plain is the password of the account, and informs the
// throttle. For a nil account matches returns false after the same time.
func (p *People) matches(ctx context.Context, name string, account *ent.User, plain string) (ok bool, err error) {
	if account == nil {
		err = p.hasher.VerifyNothing(ctx, plain)
	} else {
		ok, err = p.hasher.Verify(ctx, account.PasswordHash, plain)
	}
	if ok {
		p.throttle.Succeeded(name)
	} else {
		p.throttle.Failed(name)
	}
	return ok, err
}

// authenticateQuery finds a valid token by hash, if the account of its owner is
// enabled. It is one statement because every request runs it.
const authenticateQuery = `SELECT t.id, t.user_id, t.role, t.device, t.last_used_at, u.role, t.kind, t.expires_at
FROM access_tokens t JOIN users u ON u.id = t.user_id
WHERE t.hash = $1 AND (t.expires_at IS NULL OR t.expires_at > $2) AND NOT u.disabled`

// Authenticate returns the caller of a request with the given bearer token. The
// role is the lesser of the token's role and the owner's present role. A change
// made on another server takes effect after ttlcache.TTL.
//
// Faults: UNAUTHENTICATED, the same for every cause.
func (p *People) Authenticate(ctx context.Context, bearer string) (*caller.Caller, error) {
	secret, ok := token.Parse(bearer)
	if !ok {
		return nil, invalidToken()
	}
	now, hash := p.clock(), secret.Hash()
	cached, ok, generation := p.callerCache.Get(hash, now)
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
	err := p.db.SQL.QueryRowContext(ctx, authenticateQuery, hash, int64(now)).
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
		p.recordUse(ctx, c.TokenID, now)
	}
	p.callerCache.Put(hash, c, now, generation)
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
func (p *People) recordUse(ctx context.Context, id int64, now instant.Instant) {
	_ = p.db.AccessToken.Update().
		Where(accesstoken.ID(id), accesstoken.Or(accesstoken.LastUsedAtIsNil(), accesstoken.LastUsedAtLTE(now.Add(-lastUsedResolution)))).
		SetLastUsedAt(now).Exec(ctx)
}

// Logout revokes the token of the request. It returns false if the token was
// revoked already.
func (p *People) Logout(ctx context.Context) (bool, error) {
	c := caller.From(ctx)
	if c == nil {
		return false, fault.New(fault.Unauthenticated, "nobody is signed in")
	}
	defer p.callerCache.Clear()
	n, err := p.db.AccessToken.Delete().Where(accesstoken.ID(c.TokenID)).Exec(ctx)
	return n > 0, err
}

// ChangePassword changes the password of the caller at an address, and ends all
// sessions of the caller except the current session. Guesses at the current
// password count like guesses of Login.
//
// Faults: BAD_USER_INPUT at "current" or "new", RATE_LIMITED, and UNAVAILABLE.
func (p *People) ChangePassword(ctx context.Context, current, next, address string) error {
	c, err := person(ctx)
	if err != nil {
		return err
	}
	account, err := p.db.User.Get(ctx, c.UserID)
	if err != nil {
		return err
	}
	var problems fault.Problems
	if err := password.Check(next, account.Username); err != nil {
		problems.Add(fault.BadInput, []any{"new"}, "%s", err)
		return problems.Err()
	}
	if err := p.allow(account.Username, address); err != nil {
		return err
	}
	ok, err := p.matches(ctx, account.Username, account, current)
	if err != nil {
		return err
	}
	if !ok {
		problems.Add(fault.BadInput, []any{"current"}, "that is not the present password")
		return problems.Err()
	}
	hash, err := p.hasher.Hash(ctx, next)
	if err != nil {
		return err
	}
	defer p.callerCache.Clear()
	return p.db.InTx(ctx, func(tx *ent.Tx) error {
		if err := p.lockUnchanged(ctx, tx, account); err != nil {
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
