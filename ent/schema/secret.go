package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Secret is random bytes that all servers on one database share, such as the
// key that signs links to files. The first server to need one makes it.
type Secret struct{ ent.Schema }

// Fields of a secret.
func (Secret) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("What it is for."),
		field.Bytes("value").Sensitive().Immutable(),
		moment("created_at", "When it was made."),
	}
}
