package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// BundleFile is a file of a version of a bundle: a name for a content.
type BundleFile struct{ ent.Schema }

// Fields of a file.
func (BundleFile) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int64("version_id").Immutable().Comment("The version."),
		field.String("key").Immutable().Comment("The path within the bundle, such as config/config.yaml."),
		field.Int64("content_id").Immutable().Comment("The bytes of the file."),
		moment("modified_at", "When it was last changed, as whoever sent it says."),
	}
}

// Edges of a file.
func (BundleFile) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("version", BundleVersion.Type).Ref("files").Field("version_id").Unique().Required().Immutable(),
		edge.To("content", BundleContent.Type).Field("content_id").Unique().Required().Immutable(),
	}
}

// Indexes of files: by place, and by content.
func (BundleFile) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("version_id", "key").Unique(),
		index.Fields("content_id"),
	}
}
