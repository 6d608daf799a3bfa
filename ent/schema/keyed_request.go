package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// KeyedRequest is a mutation sent with an Idempotency-Key, and the answer of a finished
// mutation: see package idempotency.
type KeyedRequest struct{ ent.Schema }

// Fields of a keyed request.
func (KeyedRequest) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("SHA-256 of the sender and the key, hex. The key itself is not stored."),
		field.String("sender").Immutable().Comment("The sender: a person or a trap token."),
		field.String("fingerprint").Immutable().Comment("HMAC-SHA-256 of the request under the key, hex."),
		field.String("run").Comment("The run that may take effect: a random name for each run."),
		field.Bool("effective").Default(false).Comment("Whether a change of the mutation has been committed."),
		field.Enum("state").Values("RUNNING", "ANSWERED", "SECRET", "TOO_LARGE").Default("RUNNING").
			Comment("Whether there is an answer. The last two values are answers that are not stored."),
		field.Bytes("answer").Optional().Nillable().Comment("The body of the answer, if the answer is stored."),
		field.Int("size").Default(0).Comment("Bytes of the stored answer."),
		field.Int64("leased_until").GoType(instantType).Comment("The time until which the run counts as under way."),
		moment("expires_at", "When it is forgotten."),
	}
}

// Indexes of keyed requests.
func (KeyedRequest) Indexes() []ent.Index {
	return []ent.Index{index.Fields("sender"), index.Fields("expires_at")}
}
