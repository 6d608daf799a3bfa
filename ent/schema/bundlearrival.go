package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// BundleArrival says that the store has bytes of an upload, whole and checked.
type BundleArrival struct{ ent.Schema }

// Fields of an arrival.
func (BundleArrival) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int64("upload_id").Immutable().Comment("The upload."),
		field.String("md5").Immutable().Comment("What the manifest says, and the bytes are."),
		field.String("sha256").Immutable().Comment("What else they are."),
		field.String("stored_as").Immutable().Comment("Their name in the store of files."),
	}
}

// Edges of an arrival.
func (BundleArrival) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("upload", BundleUpload.Type).Ref("arrivals").Field("upload_id").Unique().Required().Immutable(),
	}
}

// Indexes of arrivals: a manifest has one content of an MD5.
func (BundleArrival) Indexes() []ent.Index {
	return []ent.Index{index.Fields("upload_id", "md5").Unique()}
}
