package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"tagma/internal/base/rawjson"
)

// BundleUpload is a version before it is published: the manifest of the files. An
// upload expires after a day.
type BundleUpload struct{ ent.Schema }

// Fields of an upload.
func (BundleUpload) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name").Immutable().Comment("The bundle's name."),
		field.JSON("manifest", rawjson.Value{}).SchemaType(plainJSON).Immutable().Comment("The files, an array in the form of package bundles."),
		field.String("manifest_sha256").Immutable().Comment("SHA-256 of the name and the manifest, which finds an upload that is requested again."),
		field.String("file_id").Unique().Immutable().Comment("Names this upload's files in the store; another upload has another."),
		moment("created_at", "When it was first asked for."),
		field.Int64("expires_at").GoType(instantType).Comment("The time when the sweep deletes the upload."),
		field.Int64("created_by_id").StorageKey("created_by").Immutable().Comment("The person who requested the upload, and may publish it."),
		field.Int64("version_id").Optional().Nillable().Comment("The published version."),
	}
}

// Edges of an upload.
func (BundleUpload) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("created_by", User.Type).Field("created_by_id").Unique().Required().Immutable(),
		edge.To("version", BundleVersion.Type).Field("version_id").Unique(),
		edge.To("arrivals", BundleArrival.Type).Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}

// Indexes of uploads: by person, and by age.
func (BundleUpload) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("created_by_id", "manifest_sha256"),
		index.Fields("expires_at"),
	}
}
