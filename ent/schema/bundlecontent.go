package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// BundleContent is the bytes of at least a file of a published version. Files with
// the same bytes share a content. SHA-256 identifies a content: two contents may
// have the same MD5.
type BundleContent struct{ ent.Schema }

// Fields of a content.
func (BundleContent) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("sha256").Unique().Immutable().Comment("64 hex digits."),
		field.String("md5").Immutable().Comment("32 hex digits."),
		field.Int64("size").Immutable().Comment("Bytes."),
		field.String("stored_as").Immutable().Comment("The key in the bucket."),
		moment("created_at", "When it was first published."),
	}
}

// Indexes of contents: clients ask by MD5, the sweep by name.
func (BundleContent) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("md5", "size"),
		index.Fields("stored_as"),
	}
}
