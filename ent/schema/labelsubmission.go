package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// LabelSubmission is the labels of a video frame, as submitted by a person at a
// time. A pushed submission is a file and a commit of the label
// repository. Before the push, the row is an entry of the queue. This table is the
// truth, and the repository follows.
type LabelSubmission struct{ ent.Schema }

// Fields of a submission.
func (LabelSubmission) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int64("video_id").Immutable().Comment("The video."),
		field.Int("frame_index").Immutable().Comment("The frame, from 0."),
		moment("timestamp", "When the frame was labelled, as the labelling page says."),
		field.Int64("label_set_id").Immutable().Comment("The version of the label set that the labels were validated against."),
		field.String("filename").Immutable().Comment("The file's name, without the folder. Submissions of the same frame and time have the same name."),
		field.Int("revision").Immutable().Comment("The number of the submission of this file: 1, 2, 3…"),
		field.String("content").Immutable().Comment("The content of the file: JSON in the form of package labels."),
		field.Enum("status").Values("QUEUED", "COMMITTED", "PUSHED", "FAILED").Default("QUEUED").Comment("The progress to the repository."),
		field.String("commit_sha").Optional().Nillable().Comment("The commit of the file."),
		optionalMoment("pushed_at", "When the repository had it."),
		field.String("failure").Optional().Nillable().Comment("The reason why the file is not in the repository."),
		moment("created_at", "When it came."),
		field.Int64("submitted_by_id").StorageKey("submitted_by").Optional().Nillable().Immutable().Comment("The person who submitted the labels, or null for a file that was read from the repository."),
		field.String("author").Comment("The author of the commit, in git's form: Name <address>. Immutable once there is a commit."),
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
