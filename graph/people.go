package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	ent "tagma/ent/generated"
	"tagma/graph/model"
	"tagma/graph/node"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/nodeid"
	"tagma/internal/base/page"
	"tagma/internal/base/request"
	"tagma/internal/base/siblings"
	"tagma/internal/domain/people"
)

// ownOrAdmin decides a field for SELF: the person's own, or an admin's view.
// The person of a session is whoever has just signed in by this very request.
func ownOrAdmin(ctx context.Context, of *ent.User) error {
	if c := caller.From(ctx); c.Is(of.ID) || c.Has(caller.Admin) {
		return nil
	}
	if field := graphql.GetFieldContext(ctx); field != nil && field.Parent != nil && field.Parent.Object == "Session" {
		return nil
	}
	return fault.New(fault.Forbidden, "this is for %s and for admins", of.Username)
}

func (user) Email(ctx context.Context, of *ent.User) (*string, error) {
	return of.Email, ownOrAdmin(ctx, of)
}

func (user) Role(ctx context.Context, of *ent.User) (caller.Role, error) {
	return of.Role, ownOrAdmin(ctx, of)
}

func (user) CreatedAt(ctx context.Context, of *ent.User) (instant.Instant, error) {
	return of.CreatedAt, ownOrAdmin(ctx, of)
}

func (user) Disabled(ctx context.Context, of *ent.User) (bool, error) {
	return of.Disabled, ownOrAdmin(ctx, of)
}

func (u user) Tokens(ctx context.Context, of *ent.User) ([]*ent.AccessToken, error) {
	if err := ownOrAdmin(ctx, of); err != nil {
		return nil, err
	}
	found, err := siblings.Load(ctx, of.Group, of, "tokens", u.People.TokensOf)
	return found[of.ID], err
}

func (q query) Users(ctx context.Context, filter []*model.UserFilter, first *int, after *string) (*node.UserConnection, error) {
	filters := make([]people.Filter, len(filter))
	for n, f := range filter {
		filters[n] = people.Filter(*f)
	}
	return q.People.List(ctx, filters, page.Request{First: first, After: after})
}

func (m mutation) Login(ctx context.Context, username, password string) (*model.Session, error) {
	session, err := m.People.Login(ctx, username, password, request.From(ctx).Address)
	if err != nil {
		return nil, err
	}
	return &model.Session{Token: session.Token.Reveal(), ExpiresAt: session.ExpiresAt, User: session.User}, nil
}

func (m mutation) Logout(ctx context.Context) (bool, error) { return m.People.Logout(ctx) }

func (m mutation) CreateUsers(ctx context.Context, input []*model.CreateUserInput) ([]*ent.User, error) {
	accounts := make([]people.NewUser, len(input))
	for n, in := range input {
		accounts[n] = people.NewUser(*in)
	}
	return m.People.Create(ctx, accounts)
}

func (m mutation) UpdateUser(ctx context.Context, id nodeid.ID, input model.UpdateUserInput) (*ent.User, error) {
	key, ok := id.Number()
	if !ok || id.Type != "User" {
		return nil, fault.New(fault.NotFound, "%s is nobody's id", id)
	}
	email, changed := input.Email.ValueOK()
	return m.People.Update(ctx, key, people.Change{
		SetEmail: changed,
		Email:    email,
		Role:     input.Role,
		Disabled: input.Disabled,
		Password: input.Password,
	})
}

func (m mutation) ChangePassword(ctx context.Context, current, next string) (bool, error) {
	err := m.People.ChangePassword(ctx, current, next, request.From(ctx).Address)
	return err == nil, err
}

func (m mutation) CreateAccessToken(ctx context.Context, input model.AccessTokenInput) (*model.NewAccessToken, error) {
	secret, token, err := m.People.CreateToken(ctx, people.TokenInput(input))
	if err != nil {
		return nil, err
	}
	return &model.NewAccessToken{Secret: secret.Reveal(), Token: token}, nil
}

func (m mutation) RevokeAccessToken(ctx context.Context, id nodeid.ID) (bool, error) {
	key, ok := id.Number()
	if !ok || id.Type != "AccessToken" {
		return false, nil
	}
	return m.People.RevokeToken(ctx, key)
}
