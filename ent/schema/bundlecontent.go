package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// BundleContent is bytes that at least one published version holds, kept once
// however many files have them. It is what its SHA-256 says: two contents may
// share an MD5.
type BundleContent struct{ ent.Schema }

// Fields of a content.
func (BundleContent) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("sha256").Unique().Immutable().Comment("64 hex digits."),
		field.String("md5").Immutable().Comment("32 hex digits."),
		field.Int64("size").Immutable().Comment("Bytes."),
		field.String("stored_as").Immutable().Comment("Its name in the store of files."),
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
