package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Checkpoint is how far a server's own work has got, such as up to which
// commit the label repository was read.
type Checkpoint struct{ ent.Schema }

// Fields of a checkpoint.
func (Checkpoint) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("Which work."),
		field.String("value").Comment("How far."),
	}
}
