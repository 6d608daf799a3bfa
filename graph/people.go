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

// ownOrAdmin returns an error unless the caller owns the account or is an admin.
// Fields with the audience SELF use ownOrAdmin. The user of a LoginPayload has signed in
// with this request.
func ownOrAdmin(ctx context.Context, account *ent.User) error {
	if c := caller.From(ctx); c.Is(account.ID) || c.Has(caller.Admin) {
		return nil
	}
	if field := graphql.GetFieldContext(ctx); field != nil && field.Parent != nil && field.Parent.Object == "LoginPayload" {
		return nil
	}
	return fault.New(fault.Forbidden, "this is for %s and for admins", account.Username)
}

func (user) Email(ctx context.Context, parent *ent.User) (*string, error) {
	return parent.Email, ownOrAdmin(ctx, parent)
}

func (user) Role(ctx context.Context, parent *ent.User) (caller.Role, error) {
	return parent.Role, ownOrAdmin(ctx, parent)
}

func (user) CreatedAt(ctx context.Context, parent *ent.User) (instant.Instant, error) {
	return parent.CreatedAt, ownOrAdmin(ctx, parent)
}

func (user) Disabled(ctx context.Context, parent *ent.User) (bool, error) {
	return parent.Disabled, ownOrAdmin(ctx, parent)
}

func (u user) Tokens(ctx context.Context, parent *ent.User) ([]*ent.AccessToken, error) {
	if err := ownOrAdmin(ctx, parent); err != nil {
		return nil, err
	}
	byKey, err := siblings.Load(ctx, parent.Group, parent, "tokens", u.r.People.TokensOf)
	return byKey[parent.ID], err
}

func (q query) Users(ctx context.Context, filter []*model.UserFilter, first *int, after *string) (*node.UserConnection, error) {
	filters := make([]people.Filter, len(filter))
	for n, f := range filter {
		filters[n] = people.Filter(*f)
	}
	return q.r.People.List(ctx, filters, page.Request{First: first, After: after})
}

func (m mutation) Login(ctx context.Context, username, password string) (*model.LoginPayload, error) {
	session, err := m.r.People.Login(ctx, username, password, request.From(ctx).Address)
	if err != nil {
		return nil, err
	}
	return &model.LoginPayload{Token: session.Token.Reveal(), ExpiresAt: session.ExpiresAt, User: session.User}, nil
}

func (m mutation) Logout(ctx context.Context) (*model.LogoutPayload, error) {
	if _, err := m.r.People.Logout(ctx); err != nil {
		return nil, err
	}
	return &model.LogoutPayload{TokenID: nodeid.Of("AccessToken", caller.From(ctx).TokenID)}, nil
}

func (m mutation) CreateUsers(ctx context.Context, input []*model.CreateUserInput) (*model.CreateUsersPayload, error) {
	accounts := make([]people.NewUser, len(input))
	for n, in := range input {
		accounts[n] = people.NewUser(*in)
	}
	users, err := m.r.People.Create(ctx, accounts)
	if err != nil {
		return nil, err
	}
	return &model.CreateUsersPayload{Users: users}, nil
}

func (m mutation) UpdateUser(ctx context.Context, id nodeid.ID, input model.UpdateUserInput) (*model.UpdateUserPayload, error) {
	key, ok := id.Number()
	if !ok || id.Type != "User" {
		return nil, fault.New(fault.NotFound, "%s is nobody's id", id)
	}
	email, changed := input.Email.ValueOK()
	account, err := m.r.People.Update(ctx, key, people.Change{
		SetEmail: changed,
		Email:    email,
		Role:     input.Role,
		Disabled: input.Disabled,
		Password: input.Password,
	})
	if err != nil {
		return nil, err
	}
	return &model.UpdateUserPayload{User: account}, nil
}

// ChangePassword reads the account before the change, so that no statement can
// fail after the change.
func (m mutation) ChangePassword(ctx context.Context, current, next string) (*model.ChangePasswordPayload, error) {
	account, err := query(m).Viewer(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.r.People.ChangePassword(ctx, current, next, request.From(ctx).Address); err != nil {
		return nil, err
	}
	return &model.ChangePasswordPayload{User: account}, nil
}

func (m mutation) CreateAccessToken(ctx context.Context, input model.AccessTokenInput) (*model.CreateAccessTokenPayload, error) {
	secret, token, err := m.r.People.CreateToken(ctx, people.TokenInput(input))
	if err != nil {
		return nil, err
	}
	return &model.CreateAccessTokenPayload{Token: secret.Reveal(), AccessToken: token}, nil
}

func (m mutation) RevokeAccessToken(ctx context.Context, id nodeid.ID) (*model.RevokeAccessTokenPayload, error) {
	key, ok := id.Number()
	if !ok || id.Type != "AccessToken" {
		return &model.RevokeAccessTokenPayload{}, nil
	}
	revoked, err := m.r.People.RevokeToken(ctx, key)
	if err != nil || !revoked {
		return &model.RevokeAccessTokenPayload{}, err
	}
	return &model.RevokeAccessTokenPayload{TokenID: &id}, nil
}
