package people

import (
	"context"

	ent "tagma/ent/generated"
	"tagma/ent/generated/accesstoken"
	"tagma/ent/generated/user"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/password"
	"tagma/internal/storage/database"
)

// FirstAdmin is the name of the first account of a new server.
const FirstAdmin = "admin"

// EnsureAdmin creates the first account of a server without accounts, and
// returns its password. If several servers start on one database, only one
// server gets the password. EnsureAdmin returns "" on the other servers, and if
// accounts exist.
func (s *Service) EnsureAdmin(ctx context.Context) (plain string, err error) {
	if exists, err := s.db.User.Query().Exist(ctx); exists || err != nil {
		return "", err
	}
	plain, hash, err := s.generate(ctx)
	if err != nil {
		return "", err
	}
	err = s.db.User.Create().SetUsername(FirstAdmin).SetRole(caller.Admin).
		SetPasswordHash(hash).SetCreatedAt(s.clock()).Exec(ctx)
	if database.IsUnique(err) { // another server was faster
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return plain, nil
}

// ResetPassword sets a new password for the account of an operator who has lost
// the old password. ResetPassword also enables the account and ends the sessions of the
// account.
//
// Fault: NOT_FOUND.
func (s *Service) ResetPassword(ctx context.Context, username string) (plain string, err error) {
	name, _ := canonicalName(username)
	existing, err := s.existingNames(ctx, []string{name})
	if err != nil {
		return "", err
	}
	if !existing[name] {
		return "", fault.New(fault.NotFound, "nobody has the name %.80q", username)
	}
	plain, hash, err := s.generate(ctx)
	if err != nil {
		return "", err
	}
	defer s.callerCache.Forget()
	err = s.db.InTx(ctx, func(tx *ent.Tx) error {
		byName := user.Username(name)
		if err := tx.User.Update().Where(byName).SetPasswordHash(hash).SetDisabled(false).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.AccessToken.Delete().Where(accesstoken.HasUserWith(byName), accesstoken.KindEQ(accesstoken.KindSESSION)).Exec(ctx)
		return err
	})
	if err != nil {
		return "", err
	}
	return plain, nil
}

// generate returns a new password and its hash.
func (s *Service) generate(ctx context.Context) (plain, hash string, err error) {
	plain = password.Generate()
	hash, err = s.hasher.Hash(ctx, plain)
	return plain, hash, err
}
