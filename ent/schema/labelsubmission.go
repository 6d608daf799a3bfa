package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// LabelSubmission is the labels of one video frame, as one person submitted
// them at one time. It is a file and a commit of the label repository, and
// until it is there, an entry of the queue to it: this table is the truth, the
// repository follows.
type LabelSubmission struct{ ent.Schema }

// Fields of a submission.
func (LabelSubmission) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int64("video_id").Immutable().Comment("The video."),
		field.Int("frame_index").Immutable().Comment("The frame, from 0."),
		moment("timestamp", "When the frame was labelled, as the labelling page says."),
		field.Int64("label_set_id").Immutable().Comment("The version of the label set that it was checked against."),
		field.String("filename").Immutable().Comment("The file's name, without its folder. Another submission of the same frame and time has the same."),
		field.Int("revision").Immutable().Comment("Which submission of this file it is: 1, 2, 3…"),
		field.String("content").Immutable().Comment("The file, as it is in the repository: JSON in the form of package labels."),
		field.Enum("status").Values("QUEUED", "COMMITTED", "PUSHED", "FAILED").Default("QUEUED").Comment("How far it is on its way to the repository."),
		field.String("commit_sha").Optional().Nillable().Comment("The commit that brought it there."),
		optionalMoment("pushed_at", "When the repository had it."),
		field.String("failure").Optional().Nillable().Comment("Why it is not there yet, or never will be."),
		moment("created_at", "When it came."),
		field.Int64("submitted_by_id").StorageKey("submitted_by").Optional().Nillable().Immutable().Comment("Who submitted it; null for one that was read from the repository."),
		field.String("author").Immutable().Comment("Whom the commit names, as git writes it: Name <address>."),
	}
}

// Edges of a submission.
func (LabelSubmission) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("video", Video.Type).Ref("submissions").Field("video_id").Unique().Required().Immutable(),
		edge.To("label_set", LabelSet.Type).Field("label_set_id").Unique().Required().Immutable(),
		edge.To("submitted_by", User.Type).Field("submitted_by_id").Unique().Immutable(),
	}
}

// Indexes of submissions: by file, by video and frame, by time, by person, by
// label set, and the queue in its order.
func (LabelSubmission) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("filename", "revision").Unique(),
		index.Fields("video_id", "id"),
		index.Fields("video_id", "frame_index"),
		index.Fields("status", "id"),
		index.Fields("created_at", "id"),
		index.Fields("submitted_by_id", "id"),
		index.Fields("label_set_id", "id"),
	}
}
