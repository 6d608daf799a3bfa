package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// BundleArrival records a content of an upload in the bucket, complete and checked.
type BundleArrival struct{ ent.Schema }

// Fields of an arrival.
func (BundleArrival) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int64("upload_id").Immutable().Comment("The upload."),
		field.String("md5").Immutable().Comment("MD5 of the bytes and of the manifest."),
		field.String("sha256").Immutable().Comment("SHA-256 of the bytes."),
		field.String("stored_as").Immutable().Comment("The key in the bucket."),
	}
}

// Edges of an arrival.
func (BundleArrival) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("upload", BundleUpload.Type).Ref("arrivals").Field("upload_id").Unique().Required().Immutable(),
	}
}

// Indexes of arrivals: a manifest has no two contents of an MD5.
func (BundleArrival) Indexes() []ent.Index {
	return []ent.Index{index.Fields("upload_id", "md5").Unique()}
}
