package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"

	"tagma/internal/base/caller"
)

// User is a person with an account. Nobody is deleted, because images and
// annotations name their senders; an account is disabled instead.
type User struct{ ent.Schema }

// Fields of a user.
func (User) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("username").Unique().Immutable().Comment("Lower case."),
		field.String("email").Optional().Nillable().Comment("Where to write to them."),
		field.Enum("role").GoType(caller.Role("")).Comment("What they may do."),
		field.String("password_hash").Sensitive().Comment("argon2id, in PHC form."),
		field.Bool("disabled").Default(false).Comment("True for an account that may not be used."),
		moment("created_at", "When the account was made."),
	}
}

// Edges of a user.
func (User) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("tokens", AccessToken.Type).Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}
