package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// BundleVersion is a published version of a bundle. A version is never changed and
// never deleted, because annotations name versions.
type BundleVersion struct{ ent.Schema }

// Fields of a version.
func (BundleVersion) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int64("bundle_id").Immutable().Comment("The bundle."),
		field.Int("number").Immutable().Comment("1, 2, 3…"),
		field.String("md5").Immutable().Comment("MD5 of the output of md5sum for the files, in the order of the keys."),
		moment("created_at", "When it was published."),
		field.Int64("created_by_id").StorageKey("created_by").Optional().Nillable().Immutable().Comment("The person who published the version."),
	}
}

// Edges of a version.
func (BundleVersion) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("bundle", Bundle.Type).Ref("versions").Field("bundle_id").Unique().Required().Immutable(),
		edge.To("files", BundleFile.Type),
		edge.To("created_by", User.Type).Field("created_by_id").Unique().Immutable(),
	}
}

// Indexes of versions: by number, and by the MD5 in an algorithm's version.
func (BundleVersion) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("bundle_id", "number").Unique(),
		index.Fields("md5"),
	}
}
