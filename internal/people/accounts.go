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
	"tagma/internal/caller"
	"tagma/internal/database"
	"tagma/internal/fault"
	"tagma/internal/like"
	"tagma/internal/page"
	"tagma/internal/password"
)

// NewUser is an account to make.
type NewUser struct {
	Username string
	Password string
	Email    *string
	Role     caller.Role
}

// Create makes accounts: all or none. They come back in the input's order.
//
// Faults: every problem with the input at once, BAD_USER_INPUT and CONFLICT;
// TOO_LARGE for more than MaxNewUsers.
func (p *People) Create(ctx context.Context, input []NewUser) ([]*ent.User, error) {
	if len(input) > MaxNewUsers {
		return nil, fault.New(fault.TooLarge, "%d accounts: at most %d are made at once", len(input), MaxNewUsers)
	}
	names := make([]string, len(input))
	for i, u := range input {
		names[i], _ = canonicalName(u.Username)
	}
	if err := p.checkNew(ctx, input, names); err != nil {
		return nil, err
	}
	// One after the other, which leaves room for those who sign in meanwhile.
	hashes := make([]string, len(input))
	for i, u := range input {
		var err error
		if hashes[i], err = p.hasher.Hash(ctx, u.Password); err != nil {
			return nil, err
		}
	}
	var users []*ent.User
	err := p.db.InTx(ctx, func(tx *ent.Tx) (err error) {
		users, err = tx.User.MapCreateBulk(input, func(c *ent.UserCreate, i int) {
			c.SetUsername(names[i]).SetPasswordHash(hashes[i]).SetNillableEmail(input[i].Email).
				SetRole(input[i].Role).SetCreatedAt(p.clock())
		}).Save(ctx)
		return err
	})
	if database.IsUnique(err) { // somebody else was faster
		if err := p.checkNew(ctx, input, names); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		u.PasswordHash = ""
	}
	return setGroup(users), nil
}

// checkNew tells of every problem with accounts to make. Names are theirs in
// lower case.
func (p *People) checkNew(ctx context.Context, input []NewUser, names []string) error {
	existing, err := p.existingNames(ctx, names)
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
		if err := checkEmail(u.Email); err != nil {
			problems.Add(fault.BadInput, path("email"), "%s", err)
		}
	}
	return problems.Err()
}

// taken says which of the names have an account.
func (p *People) existingNames(ctx context.Context, names []string) (map[string]bool, error) {
	// PostgreSQL refuses text that is none: only what may be a name is asked.
	var validNames []string
	for _, name := range names {
		if _, ok := canonicalName(name); ok {
			validNames = append(validNames, name)
		}
	}
	rows, err := p.db.User.Query().Where(database.AmongTexts(user.FieldUsername, validNames)).
		Select(user.FieldUsername).Strings(ctx)
	existingNames := make(map[string]bool, len(rows))
	for _, name := range rows {
		existingNames[name] = true
	}
	return existingNames, err
}

// checkEmail finds slips of the pen. Whether an address works, only a letter
// can tell. A nil address is none.
func checkEmail(email *string) error {
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

// Change is what to change of an account. What is nil stays as it is.
type Change struct {
	SetEmail bool    // whether the address is changed,
	Email    *string // to this; nil takes it away
	Role     *caller.Role
	Disabled *bool
	Password *string
}

// Update changes an account. To disable it ends its sessions and revokes its
// tokens; a new password ends its sessions.
//
// Faults: NOT_FOUND, BAD_USER_INPUT with every problem, and CONFLICT for what
// would leave the server without an admin who can sign in.
func (p *People) Update(ctx context.Context, id int64, change Change) (*ent.User, error) {
	account, err := p.db.User.Query().Where(user.ID(id)).Select(user.FieldUsername).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, fault.New(fault.NotFound, "there is no such person")
	}
	if err != nil {
		return nil, err
	}
	if err := change.check(account.Username); err != nil {
		return nil, err
	}
	var hash *string
	if change.Password != nil {
		newHash, err := p.hasher.Hash(ctx, *change.Password)
		if err != nil {
			return nil, err
		}
		hash = &newHash
	}
	var result *ent.User
	defer p.callerCache.Forget()
	err = p.db.InTx(ctx, func(tx *ent.Tx) error {
		if err := p.requireAdmin(ctx, tx, id, change); err != nil {
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

func (change Change) check(username string) error {
	var problems fault.Problems
	if err := checkEmail(change.Email); change.SetEmail && err != nil {
		problems.Add(fault.BadInput, []any{"input", "email"}, "%s", err)
	}
	if change.Password != nil {
		if err := password.Check(*change.Password, username); err != nil {
			problems.Add(fault.BadInput, []any{"input", "password"}, "%s", err)
		}
	}
	return problems.Err()
}

// keepAnAdmin fails if the change would leave no admin who may sign in. It
// locks the account and all admins, in the order of their ids, so that of two
// admins who demote each other one waits, and then hears that the other is the
// last.
func (p *People) requireAdmin(ctx context.Context, tx *ent.Tx, id int64, change Change) error {
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
	rows, err := p.lock(tx.User.Query().Where(user.Or(user.ID(id), activeAdmin)).Order(user.ByID())).
		Select(user.FieldRole, user.FieldDisabled).All(ctx)
	if err != nil {
		return err
	}
	// What another change waited for may have made the rows other than they
	// were when they were looked for.
	isAdmin := func(u *ent.User) bool { return u.Role == caller.Admin && !u.Disabled }
	admins := slices.DeleteFunc(rows, func(u *ent.User) bool { return !isAdmin(u) })
	if len(admins) == 1 && admins[0].ID == id {
		return problems.Err()
	}
	return nil
}

// endTokens deletes the tokens that do not outlive a change.
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

// Filter selects people: all of its patterns must match. What is nil does not
// matter.
type Filter struct {
	Username, Email, Role *string
}

// List gives a page of the people whom at least one filter matches, or of all
// if there is no filter, by name.
func (p *People) List(ctx context.Context, filters []Filter, request page.Request) (*page.Page[*ent.User], error) {
	matches, err := union(filters)
	if err != nil {
		return nil, err
	}
	byName := page.Order[*ent.User]{
		Columns: []page.Column{{Name: user.FieldUsername, Text: true}},
		Key:     func(u *ent.User) page.Key { return page.Key{u.Username} },
	}
	query := func() *ent.UserQuery { return p.db.User.Query().Where(matches) }
	return page.Fetch(ctx, p.limits, request, byName,
		func(ctx context.Context, narrow func(*sql.Selector)) ([]*ent.User, error) {
			rows, err := query().Where(narrow).Select(userColumns...).All(ctx)
			return setGroup(rows), err
		},
		func(ctx context.Context) (int, error) { return query().Count(ctx) })
}

// union is the condition that at least one filter matches.
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

// ByIDs gives the people with these ids that there are.
func (p *People) ByIDs(ctx context.Context, ids []int64) (map[int64]*ent.User, error) {
	rows, err := p.db.User.Query().Where(database.AmongNumbers(user.FieldID, ids)).Select(userColumns...).All(ctx)
	byID := make(map[int64]*ent.User, len(rows))
	for _, u := range setGroup(rows) {
		byID[u.ID] = u
	}
	return byID, err
}
