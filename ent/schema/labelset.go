package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"tagma/internal/base/rawjson"
)

// LabelSet is the points placed by a labeller on a frame, such as a rat's paws. A
// change of a set makes a new version. A submission refers to a version.
type LabelSet struct{ ent.Schema }

// Fields of a label set.
func (LabelSet) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name").Immutable().Comment("The name of the set."),
		field.Int("version").Immutable().Comment("1, 2, 3…"),
		field.JSON("labels", rawjson.Value{}).SchemaType(plainJSON).Immutable().Comment("The labels, an array of {id, name}."),
		moment("created_at", "When this version was made."),
	}
}

// Indexes of label sets.
func (LabelSet) Indexes() []ent.Index {
	return []ent.Index{index.Fields("name", "version").Unique()}
}
