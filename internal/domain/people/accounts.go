package people

import (
	"context"
	"net/mail"
	"slices"
	"strings"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/accesstoken"
	"tagma/ent/generated/predicate"
	"tagma/ent/generated/user"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/like"
	"tagma/internal/base/page"
	"tagma/internal/base/password"
	"tagma/internal/storage/database"
)

// NewUser is an account to create.
type NewUser struct {
	Username string
	Password string
	Email    *string
	Role     caller.Role
}

// Create creates all accounts or none, and returns the accounts in the order of
// the input.
//
// Faults: every problem of the input at once, BAD_USER_INPUT and CONFLICT;
// TOO_LARGE for more than MaxNewUsers.
func (s *Service) Create(ctx context.Context, input []NewUser) ([]*ent.User, error) {
	if len(input) > MaxNewUsers {
		return nil, fault.New(fault.TooLarge, "%d accounts: at most %d are made at once", len(input), MaxNewUsers)
	}
	names := make([]string, len(input))
	for i, u := range input {
		names[i], _ = canonicalName(u.Username)
	}
	if err := s.validateNew(ctx, input, names); err != nil {
		return nil, err
	}
	// Hash one after another, so that concurrent sign-ins are not delayed.
	hashes := make([]string, len(input))
	for i, u := range input {
		var err error
		if hashes[i], err = s.hasher.Hash(ctx, u.Password); err != nil {
			return nil, err
		}
	}
	var users []*ent.User
	err := s.db.InTx(ctx, func(tx *ent.Tx) (err error) {
		users, err = tx.User.MapCreateBulk(input, func(c *ent.UserCreate, i int) {
			c.SetUsername(names[i]).SetPasswordHash(hashes[i]).SetNillableEmail(input[i].Email).
				SetRole(input[i].Role).SetCreatedAt(s.clock())
		}).Save(ctx)
		return err
	})
	if database.IsUnique(err) { // another request was faster
		if err := s.validateNew(ctx, input, names); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		u.PasswordHash = ""
	}
	return ent.Users(users).Siblings(), nil
}

// validateNew reports every problem of the accounts to create. Names are the
// usernames in lower case.
func (s *Service) validateNew(ctx context.Context, input []NewUser, names []string) error {
	existing, err := s.existingNames(ctx, names)
	if err != nil {
		return err
	}
	var problems fault.Problems
	first := map[string]int{}
	for i, u := range input {
		path := func(field string) []any { return []any{"input", i, field} }
		if _, ok := canonicalName(u.Username); !ok {
			problems.Add(fault.BadInput, path("username"), "%.80q is not a name: write 1 to 64 letters, digits, dots, dashes or underscores, beginning with a letter or a digit", u.Username)
		} else if other, twice := first[names[i]]; twice {
			problems.Add(fault.Conflict, path("username"), "%q is the name of input %d too: choose another", names[i], other)
		} else if existing[names[i]] {
			problems.Add(fault.Conflict, path("username"), "%q has an account already: choose another name", names[i])
		}
		if _, twice := first[names[i]]; !twice {
			first[names[i]] = i
		}
		if err := password.Check(u.Password, names[i]); err != nil {
			problems.Add(fault.BadInput, path("password"), "%s", err)
		}
		if err := validateEmail(u.Email); err != nil {
			problems.Add(fault.BadInput, path("email"), "%s", err)
		}
	}
	return problems.Err()
}

// existingNames returns the names that have an account.
func (s *Service) existingNames(ctx context.Context, names []string) (map[string]bool, error) {
	// PostgreSQL refuses invalid text, so the query includes valid names only.
	var validNames []string
	for _, name := range names {
		if _, ok := canonicalName(name); ok {
			validNames = append(validNames, name)
		}
	}
	rows, err := s.db.User.Query().Where(database.AmongTexts(user.FieldUsername, validNames)).
		Select(user.FieldUsername).Strings(ctx)
	existingNames := make(map[string]bool, len(rows))
	for _, name := range rows {
		existingNames[name] = true
	}
	return existingNames, err
}

// validateEmail detects mistyped addresses. Only a message can show whether an
// address works. A nil address means no address.
func validateEmail(email *string) error {
	if email == nil {
		return nil
	}
	if len(*email) > MaxEmail {
		return fault.New(fault.BadInput, "the e-mail address has %d bytes: at most %d are taken", len(*email), MaxEmail)
	}
	parsed, err := mail.ParseAddress(*email)
	if err != nil || parsed.Address != *email || !utf8.ValidString(*email) || strings.ContainsRune(*email, 0) {
		return fault.New(fault.BadInput, "%q is not an e-mail address: write one such as ada@example.org, or leave it out", *email)
	}
	return nil
}

// Change lists changes to an account. Nil means no change.
type Change struct {
	SetEmail bool    // whether to change the address
	Email    *string // new address; nil removes the address
	Role     *caller.Role
	Disabled *bool
	Password *string
}

// Update changes an account. Disabling an account ends the sessions and revokes
// the tokens of the account; a new password ends the sessions.
//
// Faults: NOT_FOUND; BAD_USER_INPUT with every problem; CONFLICT if no enabled
// admin would remain.
func (s *Service) Update(ctx context.Context, id int64, change Change) (*ent.User, error) {
	account, err := s.db.User.Query().Where(user.ID(id)).Select(user.FieldUsername).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, fault.New(fault.NotFound, "there is no such person")
	}
	if err != nil {
		return nil, err
	}
	if err := change.validate(account.Username); err != nil {
		return nil, err
	}
	var hash *string
	if change.Password != nil {
		newHash, err := s.hasher.Hash(ctx, *change.Password)
		if err != nil {
			return nil, err
		}
		hash = &newHash
	}
	var result *ent.User
	defer s.callerCache.Forget()
	err = s.db.InTx(ctx, func(tx *ent.Tx) error {
		if err := s.requireAdmin(ctx, tx, id, change); err != nil {
			return err
		}
		update := tx.User.UpdateOneID(id).SetNillableRole(change.Role).SetNillableDisabled(change.Disabled).SetNillablePasswordHash(hash)
		if change.SetEmail && change.Email == nil {
			update.ClearEmail()
		} else if change.SetEmail {
			update.SetEmail(*change.Email)
		}
		if result, err = update.Select(userColumns[0], userColumns[1:]...).Save(ctx); err != nil {
			return err
		}
		return change.endTokens(ctx, tx, id)
	})
	return result, err
}

func (change Change) validate(username string) error {
	var problems fault.Problems
	if err := validateEmail(change.Email); change.SetEmail && err != nil {
		problems.Add(fault.BadInput, []any{"input", "email"}, "%s", err)
	}
	if change.Password != nil {
		if err := password.Check(*change.Password, username); err != nil {
			problems.Add(fault.BadInput, []any{"input", "password"}, "%s", err)
		}
	}
	return problems.Err()
}

// requireAdmin fails if no enabled admin would remain after the change. requireAdmin
// locks the account and all admins in the order of their ids. If two admins
// demote each other, the second waits, and then fails because the first
// demotion is done.
func (s *Service) requireAdmin(ctx context.Context, tx *ent.Tx, id int64, change Change) error {
	var problems fault.Problems
	if change.Role != nil && *change.Role != caller.Admin {
		problems.Add(fault.Conflict, []any{"input", "role"}, "the last admin stays one: make another first")
	}
	if change.Disabled != nil && *change.Disabled {
		problems.Add(fault.Conflict, []any{"input", "disabled"}, "the last admin stays enabled: make another first")
	}
	if problems.Err() == nil {
		return nil
	}
	activeAdmin := user.And(user.RoleEQ(caller.Admin), user.Disabled(false))
	rows, err := s.lock(tx.User.Query().Where(user.Or(user.ID(id), activeAdmin)).Order(user.ByID())).
		Select(user.FieldRole, user.FieldDisabled).All(ctx)
	if err != nil {
		return err
	}
	// Another change may have held the lock, and changed the rows after the query had
	// selected the rows.
	isAdmin := func(u *ent.User) bool { return u.Role == caller.Admin && !u.Disabled }
	admins := slices.DeleteFunc(rows, func(u *ent.User) bool { return !isAdmin(u) })
	if len(admins) == 1 && admins[0].ID == id {
		return problems.Err()
	}
	return nil
}

// endTokens deletes the tokens that the change invalidates.
func (change Change) endTokens(ctx context.Context, tx *ent.Tx, id int64) error {
	conditions := []predicate.AccessToken{accesstoken.UserID(id)}
	switch {
	case change.Disabled != nil && *change.Disabled:
	case change.Password != nil:
		conditions = append(conditions, accesstoken.KindEQ(accesstoken.KindSESSION))
	default:
		return nil
	}
	_, err := tx.AccessToken.Delete().Where(conditions...).Exec(ctx)
	return err
}

// Filter selects people: all patterns must match. A nil pattern matches
// everybody.
type Filter struct {
	Username, Email, Role *string
}

// List returns a page of the people that match at least one filter, or of all
// people if there is no filter, by name.
func (s *Service) List(ctx context.Context, filters []Filter, request page.Request) (*page.Page[*ent.User], error) {
	matches, err := union(filters)
	if err != nil {
		return nil, err
	}
	byName := page.Order[*ent.User]{
		Columns: []page.Column{{Name: user.FieldUsername, Text: true}},
		Key:     func(u *ent.User) page.Key { return page.Key{u.Username} },
	}
	query := func() *ent.UserQuery { return s.db.User.Query().Where(matches) }
	return page.Fetch(ctx, s.limits, request, byName,
		func(ctx context.Context, narrow func(*sql.Selector)) ([]*ent.User, error) {
			rows, err := query().Where(narrow).Select(userColumns...).All(ctx)
			return ent.Users(rows).Siblings(), err
		},
		func(ctx context.Context) (int, error) { return query().Count(ctx) })
}

// union returns the condition that at least one filter matches.
func union(filters []Filter) (predicate.User, error) {
	var problems fault.Problems
	if len(filters) > MaxFilters {
		problems.Add(fault.TooLarge, []any{"filter"}, "%d filters: at most %d are taken at once", len(filters), MaxFilters)
		return nil, problems.Err()
	}
	matchAll := len(filters) == 0
	var alternatives []*sql.Predicate
	for i, filter := range filters {
		var conditions []*sql.Predicate
		for _, field := range []struct {
			column string
			text   *string
		}{{user.FieldUsername, filter.Username}, {user.FieldEmail, filter.Email}, {user.FieldRole, filter.Role}} {
			if field.text == nil {
				continue
			}
			pattern, err := like.Parse(*field.text)
			if err != nil {
				problems.Add(fault.BadInput, []any{"filter", i, field.column}, "%s", err)
			}
			conditions = append(conditions, pattern.MatchFold(field.column))
		}
		matchAll = matchAll || len(conditions) == 0
		alternatives = append(alternatives, sql.And(conditions...))
	}
	return func(s *sql.Selector) {
		if !matchAll {
			s.Where(sql.Or(alternatives...))
		}
	}, problems.Err()
}

// ByIDs returns the existing people with the given ids, by id.
func (s *Service) ByIDs(ctx context.Context, ids []int64) (map[int64]*ent.User, error) {
	rows, err := s.db.User.Query().Where(database.AmongNumbers(user.FieldID, ids)).Select(userColumns...).All(ctx)
	return ent.Users(rows).Siblings().ByID(), err
}
