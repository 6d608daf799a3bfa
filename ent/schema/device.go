package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
)

// Device is an insect trap with a camera. The name of a device is its key, so that an
// image names its device without a join.
type Device struct{ ent.Schema }

// Fields of a device.
func (Device) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").MaxLen(8).Immutable().Comment("Eight hex digits, lower case: the trap's name."),
		moment("created_at", "When its first image came."),
	}
}

// Edges of a device.
func (Device) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("images", Image.Type),
	}
}
