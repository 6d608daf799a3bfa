package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
)

// Bundle is what training and inference of one model need, in numbered
// versions. It comes to be with its first one.
type Bundle struct{ ent.Schema }

// Fields of a bundle.
func (Bundle) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name").Unique().Immutable().Comment("What it is called."),
		moment("created_at", "When its first version was published."),
	}
}

// Edges of a bundle.
func (Bundle) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("versions", BundleVersion.Type),
	}
}
