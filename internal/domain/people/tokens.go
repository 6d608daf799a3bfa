package people

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/accesstoken"
	"tagma/ent/generated/predicate"
	"tagma/ent/generated/user"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/token"
	"tagma/internal/photo"
	"tagma/internal/storage/database"
)

// TokenInput is a token to create. Nil means the default.
type TokenInput struct {
	Name      string
	Role      *caller.Role
	Device    *string
	ExpiresAt *instant.Instant
}

// CreateToken creates a token for a script or a trap of the caller. Only this
// call returns the secret.
//
// Faults: BAD_USER_INPUT and FORBIDDEN with every problem; TOO_LARGE if the
// caller has MaxTokens tokens.
func (s *Service) CreateToken(ctx context.Context, input TokenInput) (token.Secret, *ent.AccessToken, error) {
	c, err := person(ctx)
	if err != nil {
		return token.Secret{}, nil, err
	}
	now := s.clock()
	params, err := input.validate(c, now)
	if err != nil {
		return token.Secret{}, nil, err
	}
	secret, hash := token.New()
	var row *ent.AccessToken
	err = s.db.InTx(ctx, func(tx *ent.Tx) error {
		if err := s.checkTokenLimit(ctx, tx, c.UserID, now); err != nil {
			return err
		}
		row, err = tx.AccessToken.Create().
			SetUserID(c.UserID).SetKind(accesstoken.KindACCESS).SetName(params.Name).SetHash(hash).
			SetRole(*params.Role).SetNillableDevice(params.Device).
			SetCreatedAt(now).SetNillableExpiresAt(params.ExpiresAt).Save(ctx)
		return err
	})
	if err != nil {
		return token.Secret{}, nil, err
	}
	row.Hash = ""
	return secret, row, nil
}

// validate returns the input with all defaults, or every problem.
func (input TokenInput) validate(c *caller.Caller, now instant.Instant) (TokenInput, error) {
	var problems fault.Problems
	path := func(field string) []any { return []any{"input", field} }
	if n := utf8.RuneCountInString(input.Name); n < 1 || n > MaxTokenName {
		problems.Add(fault.BadInput, path("name"), "the name has %d characters: it must have 1 to %d", n, MaxTokenName)
	} else if !utf8.ValidString(input.Name) || strings.ContainsFunc(input.Name, unicode.IsControl) {
		problems.Add(fault.BadInput, path("name"), "the name %q holds what cannot be printed: leave it out", input.Name)
	}
	role := c.Role
	if input.Device != nil {
		role = caller.Writer // lowest role that allows a trap's token
		if !c.Has(caller.Writer) {
			problems.Add(fault.Forbidden, path("device"), "only a WRITER may make a trap's token")
		}
		device, err := photo.ParseDevice(*input.Device)
		if err != nil {
			problems.Add(fault.BadInput, path("device"), "%s", err)
		}
		input.Device = &device
	}
	if input.Role != nil {
		role = *input.Role
		if !c.Has(role) {
			problems.Add(fault.Forbidden, path("role"), "a token of %s would exceed the caller, who is %s: ask for less", role, c.Role)
		}
		if input.Device != nil && !role.Includes(caller.Writer) {
			problems.Add(fault.BadInput, path("role"), "a trap's token needs WRITER: leave the role out")
		}
	}
	input.Role = &role
	if input.ExpiresAt != nil && *input.ExpiresAt <= now {
		problems.Add(fault.BadInput, path("expiresAt"), "%s is past: give a time to come, or none", input.ExpiresAt)
	}
	if !c.Session && c.Until != nil && (input.ExpiresAt == nil || *input.ExpiresAt > *c.Until) {
		problems.Add(fault.Forbidden, path("expiresAt"), "the token would outlive the one that asks for it, which ends at %s: give that or an earlier time", c.Until)
	}
	return input, problems.Err()
}

// checkTokenLimit locks a person's account, and fails if the person has
// MaxTokens tokens, or was disabled during the request.
func (s *Service) checkTokenLimit(ctx context.Context, tx *ent.Tx, userID int64, now instant.Instant) error {
	_, err := s.lock(tx.User.Query().Where(user.ID(userID), user.Disabled(false))).Select(user.FieldID).Only(ctx)
	if ent.IsNotFound(err) {
		return invalidToken()
	}
	if err != nil {
		return err
	}
	n, err := tx.AccessToken.Query().
		Where(accesstoken.UserID(userID), accesstoken.KindEQ(accesstoken.KindACCESS), notExpired(now)).Count(ctx)
	if err == nil && n >= MaxTokens {
		return fault.New(fault.TooLarge, "you have %d tokens, which is the most: revoke one first", n)
	}
	return err
}

// RevokeToken revokes a token or ends a session of the caller, or for an admin
// of anybody. RevokeToken returns false if there is no such token.
//
// An access token can revoke only itself, unless its role is ADMIN: a token
// with READER rights must not end the sessions of its owner.
//
// Faults: FORBIDDEN.
func (s *Service) RevokeToken(ctx context.Context, id int64) (bool, error) {
	c, err := person(ctx)
	if err != nil {
		return false, err
	}
	if !c.Session && !c.Has(caller.Admin) && id != c.TokenID {
		return false, fault.New(fault.Forbidden, "this token was made for a job, and revokes none but itself: sign in to revoke others")
	}
	defer s.callerCache.Forget()
	n, err := s.db.AccessToken.Delete().Where(accesstoken.ID(id), visibleTo(c)).Exec(ctx)
	return n > 0, err
}

// TokenByID returns a valid token, or nil if there is none or the caller may
// not see it.
func (s *Service) TokenByID(ctx context.Context, id int64) (*ent.AccessToken, error) {
	c, err := person(ctx)
	if err != nil {
		return nil, err
	}
	row, err := s.db.AccessToken.Query().Where(accesstoken.ID(id), visibleTo(c), notExpired(s.clock())).
		Select(tokenColumns...).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return row, err
}

// visibleTo returns the condition that a token belongs to the caller, or that
// the caller is an admin.
func visibleTo(c *caller.Caller) predicate.AccessToken {
	return func(s *sql.Selector) {
		if !c.Has(caller.Admin) {
			s.Where(sql.EQ(s.C(accesstoken.FieldUserID), c.UserID))
		}
	}
}

// TokensOf returns the valid sessions and tokens of people, by the person's id,
// the newest first.
func (s *Service) TokensOf(ctx context.Context, users []*ent.User) (map[int64][]*ent.AccessToken, error) {
	rows, err := s.db.AccessToken.Query().
		Where(database.AmongNumbers(accesstoken.FieldUserID, ent.Users(users).IDs()), notExpired(s.clock())).
		Order(accesstoken.ByCreatedAt(sql.OrderDesc()), accesstoken.ByID(sql.OrderDesc())).
		Select(tokenColumns...).All(ctx)
	tokens := make(map[int64][]*ent.AccessToken, len(users))
	for _, t := range ent.AccessTokens(rows).Siblings() {
		tokens[t.UserID] = append(tokens[t.UserID], t)
	}
	return tokens, err
}

// Sweep deletes expired tokens, and returns their number.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	return s.db.AccessToken.Delete().Where(accesstoken.ExpiresAtLTE(s.clock())).Exec(ctx)
}
