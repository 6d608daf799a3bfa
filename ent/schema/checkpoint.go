package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Checkpoint is the progress of a work of the server itself, such as the last commit
// read from the label repository.
type Checkpoint struct{ ent.Schema }

// Fields of a checkpoint.
func (Checkpoint) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("The name of the work."),
		field.String("value").Comment("The progress."),
	}
}
