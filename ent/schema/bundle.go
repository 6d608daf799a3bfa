package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
)

// Bundle is the files for training and inference of a model, in numbered versions.
// The first version makes the bundle.
type Bundle struct{ ent.Schema }

// Fields of a bundle.
func (Bundle) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name").Unique().Immutable().Comment("The name of the bundle."),
		moment("created_at", "When its first version was published."),
	}
}

// Edges of a bundle.
func (Bundle) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("versions", BundleVersion.Type),
	}
}
