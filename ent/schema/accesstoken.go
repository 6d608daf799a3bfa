package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"tagma/internal/base/caller"
)

// AccessToken is a bearer token: the session of a login, or a token made by a person
// for a script or a trap. The table holds the hash of the token alone. A revoked
// token is deleted.
type AccessToken struct{ ent.Schema }

// Fields of a token.
func (AccessToken) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int64("user_id").Immutable().Comment("The owner."),
		field.Enum("kind").Values("SESSION", "ACCESS").Immutable().Comment("Made by a login, or by hand."),
		field.String("name").Immutable().Comment("The name that the owner gave the token."),
		field.String("hash").Unique().Immutable().Sensitive().Comment("SHA-256 of the token, hex."),
		field.Enum("role").GoType(caller.Role("")).Immutable().Comment("The role of the token. The owner's role bounds the token too."),
		field.String("device").Optional().Nillable().Immutable().Comment("The device of a trap token, which may add images of this device alone."),
		moment("created_at", "When it was made."),
		field.Int64("expires_at").GoType(instantType).Optional().Nillable().Immutable().Comment("The time when the token expires."),
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
