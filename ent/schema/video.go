package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
)

// Video is a film whose frames are labelled. Tagma keeps its address and what
// labellers say of it, not the film.
type Video struct{ ent.Schema }

// Fields of a video. Its measures are those of the last submission.
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
