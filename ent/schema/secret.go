package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Secret is random bytes shared by all servers on a database, such as the key for
// signing links to files. The first server in need of a secret makes the secret.
type Secret struct{ ent.Schema }

// Fields of a secret.
func (Secret) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("What it is for."),
		field.Bytes("value").Sensitive().Immutable(),
		moment("created_at", "When it was made."),
	}
}
