package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"tagma/internal/base/caller"
)

// AccessToken is a bearer token: what a login gives (a session) or what a
// person makes for a script or a trap. Only its hash is kept. A token that is
// revoked is deleted.
type AccessToken struct{ ent.Schema }

// Fields of a token.
func (AccessToken) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int64("user_id").Immutable().Comment("Whose it is."),
		field.Enum("kind").Values("SESSION", "ACCESS").Immutable().Comment("Made by a login, or by hand."),
		field.String("name").Immutable().Comment("What its owner calls it."),
		field.String("hash").Unique().Immutable().Sensitive().Comment("SHA-256 of the token, hex."),
		field.Enum("role").GoType(caller.Role("")).Immutable().Comment("The most it may do; its owner's role bounds it too."),
		field.String("device").Optional().Nillable().Immutable().Comment("Set for a trap's token: the one device whose images it may add."),
		moment("created_at", "When it was made."),
		field.Int64("expires_at").GoType(instantType).Optional().Nillable().Immutable().Comment("When it stops to count."),
		optionalMoment("last_used_at", "When it was last used, to the minute."),
	}
}

// Edges of a token.
func (AccessToken) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", User.Type).Ref("tokens").Field("user_id").Unique().Required().Immutable(),
	}
}

// Indexes of tokens.
func (AccessToken) Indexes() []ent.Index {
	return []ent.Index{index.Fields("user_id")}
}
