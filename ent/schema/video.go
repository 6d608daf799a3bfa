package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
)

// Video is a film with labelled frames. Tagma stores the address of the film and the
// statements of labellers, not the film.
type Video struct{ ent.Schema }

// Fields of a video. The measures are the measures in the last submission.
func (Video) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("url").Unique().Immutable().Comment("Where it is."),
		field.String("hash").Immutable().Comment("SHA-256 of the URL, 64 hex digits."),
		field.Int("total_frames").Comment("How many frames it has."),
		field.Float("fps").Comment("Frames per second."),
		field.Int("frame_width").Comment("Pixels."),
		field.Int("frame_height").Comment("Pixels."),
		moment("created_at", "When its first label came."),
	}
}

// Edges of a video.
func (Video) Edges() []ent.Edge {
	return []ent.Edge{edge.To("submissions", LabelSubmission.Type)}
}
