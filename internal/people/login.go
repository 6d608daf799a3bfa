package people

import (
	"context"
	"database/sql"
	"errors"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/accesstoken"
	"tagma/ent/generated/user"
	"tagma/internal/caller"
	"tagma/internal/fault"
	"tagma/internal/instant"
	"tagma/internal/password"
	"tagma/internal/token"
)

// Session is what a login gives.
type Session struct {
	Token     token.Secret
	ExpiresAt instant.Instant
	User      *ent.User
}

// Login signs a person in from an address, with or without a port. Whether the
// name or the password is wrong, or the account disabled, makes no difference
// to the answer or to the time that it takes.
//
// Faults: UNAUTHENTICATED, RATE_LIMITED with the time to wait, and UNAVAILABLE if
// too many are signing in.
func (p *People) Login(ctx context.Context, username, plain, address string) (*Session, error) {
	name, ok := canonical(username)
	if err := p.allow(name, address); err != nil {
		return nil, err
	}
	var account *ent.User // nil if nobody may sign in by that name
	if ok {
		found, err := p.db.User.Query().Where(user.Username(name), user.Disabled(false)).Only(ctx)
		if err != nil && !ent.IsNotFound(err) {
			return nil, err
		}
		account = found
	}
	right, err := p.matches(ctx, name, account, plain)
	if err != nil {
		return nil, err
	}
	if !right {
		return nil, wrongLogin()
	}
	fresh := account.PasswordHash
	if p.hasher.NeedsRehash(fresh) {
		if fresh, err = p.hasher.Hash(ctx, plain); err != nil {
			return nil, err
		}
	}
	return p.begin(ctx, account, fresh)
}

// begin makes a session for an account whose password was just proved, and
// keeps the fresh hash of that password.
func (p *People) begin(ctx context.Context, account *ent.User, fresh string) (*Session, error) {
	secret, hash := token.New()
	now := p.clock()
	session := &Session{Token: secret, ExpiresAt: now.Add(SessionLifetime)}
	err := p.db.InTx(ctx, func(tx *ent.Tx) error {
		// To hash took a while. If the account was disabled or had its
		// password changed meanwhile, its sessions are gone, and this must not
		// be one that comes after.
		if err := p.unchanged(ctx, tx, account); err != nil {
			return err
		}
		if fresh != account.PasswordHash {
			if err := tx.User.UpdateOneID(account.ID).SetPasswordHash(fresh).Exec(ctx); err != nil {
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

// unchanged locks an account, and fails if its password is another by now or
// if it was disabled.
func (p *People) unchanged(ctx context.Context, tx *ent.Tx, account *ent.User) error {
	still, err := p.lock(tx.User.Query().Where(user.ID(account.ID), user.Disabled(false))).
		Select(user.FieldPasswordHash).Only(ctx)
	if ent.IsNotFound(err) || err == nil && still.PasswordHash != account.PasswordHash {
		return wrongLogin()
	}
	return err
}

// wrongLogin says the same of all that can be wrong.
func wrongLogin() error { return fault.New(fault.Unauthenticated, "wrong name or password") }

// allow takes one attempt at an account.
func (p *People) allow(name, address string) error {
	ok, wait := p.throttle.Allow(name, address)
	if ok {
		return nil
	}
	e := fault.New(fault.RateLimited, "too many tries: wait %s", (wait + time.Second - 1).Truncate(time.Second))
	e.RetryAfter = wait
	return e
}

// matches says whether plain is the password of the account, and tells the
// throttle. A nil account has none, which takes as long to find out.
func (p *People) matches(ctx context.Context, name string, account *ent.User, plain string) (right bool, err error) {
	if account == nil {
		err = p.hasher.VerifyNothing(ctx, plain)
	} else {
		right, err = p.hasher.Verify(ctx, account.PasswordHash, plain)
	}
	if right {
		p.throttle.Succeeded(name)
	} else {
		p.throttle.Failed(name)
	}
	return right, err
}

// authenticate finds the token with a hash, if it holds and its owner's account
// may be used: one statement, since every request begins with it.
const authenticate = `SELECT t.id, t.user_id, t.role, t.device, t.last_used_at, u.role, t.kind, t.expires_at
FROM access_tokens t JOIN users u ON u.id = t.user_id
WHERE t.hash = $1 AND (t.expires_at IS NULL OR t.expires_at > $2) AND NOT u.disabled`

// Authenticate is who sent a request with that bearer token. Their role is the
// lesser of the token's and the owner's present one. What another server has
// changed holds here after recent.Moment.
//
// Faults: UNAUTHENTICATED, the same for all that can be wrong with it.
func (p *People) Authenticate(ctx context.Context, bearer string) (*caller.Caller, error) {
	secret, ok := token.Parse(bearer)
	if !ok {
		return nil, noLongerHolds()
	}
	now, hash := p.clock(), secret.Hash()
	known, ok, changes := p.recent.Get(hash, now)
	if ok && (known.Until == nil || *known.Until > now) {
		return &known, nil
	}
	var (
		c        caller.Caller
		owner    caller.Role
		device   *string
		lastUsed *instant.Instant
		kind     accesstoken.Kind
	)
	err := p.db.SQL.QueryRowContext(ctx, authenticate, hash, int64(now)).
		Scan(&c.TokenID, &c.UserID, &c.Role, &device, &lastUsed, &owner, &kind, &c.Until)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, noLongerHolds()
	}
	if err != nil {
		return nil, err
	}
	c.Role, c.Session = lesser(c.Role, owner), kind == accesstoken.KindSESSION
	if device != nil {
		c.Device = *device
		if !owner.Includes(caller.Writer) {
			return nil, noLongerHolds()
		}
	}
	if lastUsed == nil || now.Sub(*lastUsed) >= usedEvery {
		p.noteUse(ctx, c.TokenID, now)
	}
	p.recent.Put(hash, c, now, changes)
	return &c, nil
}

func noLongerHolds() error {
	return fault.New(fault.Unauthenticated, "this token does not hold any more: sign in again")
}

func lesser(a, b caller.Role) caller.Role {
	if a.Includes(b) {
		return b
	}
	return a
}

// noteUse keeps when a token was last used. The condition lets one of many
// requests at once write it. That it could not be written is no reason to
// refuse the request: the next one tries again. On SQLite it waits for whoever
// is writing, as any write does.
func (p *People) noteUse(ctx context.Context, id int64, now instant.Instant) {
	_ = p.db.AccessToken.Update().
		Where(accesstoken.ID(id), accesstoken.Or(accesstoken.LastUsedAtIsNil(), accesstoken.LastUsedAtLTE(now.Add(-usedEvery)))).
		SetLastUsedAt(now).Exec(ctx)
}

// Logout revokes the token that the request came with. It is false if the
// token was gone already.
func (p *People) Logout(ctx context.Context) (bool, error) {
	c := caller.From(ctx)
	if c == nil {
		return false, fault.New(fault.Unauthenticated, "nobody is signed in")
	}
	defer p.recent.Forget()
	n, err := p.db.AccessToken.Delete().Where(accesstoken.ID(c.TokenID)).Exec(ctx)
	return n > 0, err
}

// ChangePassword gives the caller, at an address, another password, and ends
// all their sessions but the one that asks. Guesses at the present password
// count as those of a login do.
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
	right, err := p.matches(ctx, account.Username, account, current)
	if err != nil {
		return err
	}
	if !right {
		problems.Add(fault.BadInput, []any{"current"}, "that is not the present password")
		return problems.Err()
	}
	hash, err := p.hasher.Hash(ctx, next)
	if err != nil {
		return err
	}
	defer p.recent.Forget()
	return p.db.InTx(ctx, func(tx *ent.Tx) error {
		if err := p.unchanged(ctx, tx, account); err != nil {
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
