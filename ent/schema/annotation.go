package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"tagma/internal/base/rawjson"
)

// Annotation is what one algorithm, or one person under the name of one, saw
// in one image.
type Annotation struct{ ent.Schema }

// Fields of an annotation.
func (Annotation) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int64("image_id").Immutable().Comment("The image it was made on."),
		field.String("algorithm_name").Immutable().Comment("What made it."),
		field.String("algorithm_version").Immutable().Comment("Which version of that made it."),
		field.Int("object_count").Immutable().Comment("How many objects it holds."),
		field.JSON("objects", rawjson.Value{}).SchemaType(plainJSON).Immutable().
			Comment("The objects, an array in the form of package annotation: keys in the schema's order, so that it can be passed through."),
		moment("created_at", "When it came."),
		field.Int64("created_by_id").StorageKey("created_by").Optional().Nillable().Immutable().Comment("Who sent it."),
	}
}

// Edges of an annotation.
func (Annotation) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("image", Image.Type).Ref("annotations").Field("image_id").Unique().Required().Immutable(),
		edge.To("created_by", User.Type).Field("created_by_id").Unique().Immutable(),
	}
}

// Indexes of annotations: one per image, algorithm and version. Their counts are
// read from an index alone, because a row is mostly its objects.
func (Annotation) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("image_id", "algorithm_name", "algorithm_version").Unique(),
		index.Fields("image_id", "algorithm_name", "algorithm_version", "object_count").StorageKey("annotation_counts"),
	}
}
