package people

import (
	"context"

	ent "tagma/ent/generated"
	"tagma/ent/generated/accesstoken"
	"tagma/ent/generated/user"
	"tagma/internal/caller"
	"tagma/internal/database"
	"tagma/internal/fault"
	"tagma/internal/password"
)

// FirstAdmin is the name of the account that a new server begins with.
const FirstAdmin = "admin"

// EnsureAdmin makes the first account, on a server that has none, and gives its
// password: this once, to one of all servers that start on the database. It is
// "" for the others, and where there are people already.
func (p *People) EnsureAdmin(ctx context.Context) (plain string, err error) {
	if exists, err := p.db.User.Query().Exist(ctx); exists || err != nil {
		return "", err
	}
	plain, hash, err := p.generate(ctx)
	if err != nil {
		return "", err
	}
	err = p.db.User.Create().SetUsername(FirstAdmin).SetRole(caller.Admin).
		SetPasswordHash(hash).SetCreatedAt(p.clock()).Exec(ctx)
	if database.IsUnique(err) { // another server was faster
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return plain, nil
}

// ResetPassword gives an account a new password, and makes it usable again for
// an operator who has lost theirs: the account is enabled, and its sessions
// end.
//
// Fault: NOT_FOUND.
func (p *People) ResetPassword(ctx context.Context, username string) (plain string, err error) {
	name, _ := canonicalName(username)
	existing, err := p.existingNames(ctx, []string{name})
	if err != nil {
		return "", err
	}
	if !existing[name] {
		return "", fault.New(fault.NotFound, "nobody has the name %.80q", username)
	}
	plain, hash, err := p.generate(ctx)
	if err != nil {
		return "", err
	}
	defer p.callerCache.Forget()
	err = p.db.InTx(ctx, func(tx *ent.Tx) error {
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

// generate makes a password and its hash.
func (p *People) generate(ctx context.Context) (plain, hash string, err error) {
	plain = password.Generate()
	hash, err = p.hasher.Hash(ctx, plain)
	return plain, hash, err
}
