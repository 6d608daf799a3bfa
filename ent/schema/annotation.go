package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"tagma/internal/base/rawjson"
)

// Annotation is the objects seen by an algorithm in an image. A person annotates
// under the name of an algorithm.
type Annotation struct{ ent.Schema }

// Fields of an annotation.
func (Annotation) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int64("image_id").Immutable().Comment("The annotated image."),
		field.String("algorithm_name").Immutable().Comment("The name of the algorithm."),
		field.String("algorithm_version").Immutable().Comment("The version of the algorithm."),
		field.Int("object_count").Immutable().Comment("The number of objects."),
		field.JSON("objects", rawjson.Value{}).SchemaType(plainJSON).Immutable().
			Comment("The objects, an array in the form of package annotation: keys in the order of the GraphQL schema, so that an answer can copy the array."),
		moment("created_at", "When it came."),
		field.Int64("created_by_id").StorageKey("created_by").Optional().Nillable().Immutable().Comment("The person who sent the annotation."),
	}
}

// Edges of an annotation.
func (Annotation) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("image", Image.Type).Ref("annotations").Field("image_id").Unique().Required().Immutable(),
		edge.To("created_by", User.Type).Field("created_by_id").Unique().Immutable(),
	}
}

// Indexes of annotations: unique by image, algorithm and version. Counts are read from
// an index alone, because the objects make a row large.
func (Annotation) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("image_id", "algorithm_name", "algorithm_version").Unique(),
		index.Fields("image_id", "algorithm_name", "algorithm_version", "object_count").StorageKey("annotation_counts"),
	}
}
