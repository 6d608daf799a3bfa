package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// KeyedRequest is a mutation that was sent under an Idempotency-Key, and its
// answer once there is one: see package idempotency.
type KeyedRequest struct{ ent.Schema }

// Fields of a keyed request.
func (KeyedRequest) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("SHA-256 of whose it is and of the key, hex: the key itself is not kept."),
		field.String("sender").Immutable().Comment("Whose it is: a person or a trap's token."),
		field.String("fingerprint").Immutable().Comment("HMAC-SHA-256 of what was asked, under the key, hex."),
		field.String("run").Comment("Which run of it may take effect: random, another for each."),
		field.Bool("effective").Default(false).Comment("Something that it changed has been committed."),
		field.Enum("state").Values("RUNNING", "ANSWERED", "SECRET", "TOO_LARGE").Default("RUNNING").
			Comment("Whether there is an answer; the last two are answers that are not kept."),
		field.Bytes("answer").Optional().Nillable().Comment("The body of the answer, if it is kept."),
		field.Int("size").Default(0).Comment("Bytes of the answer that is kept."),
		field.Int64("leased_until").GoType(instantType).Comment("Until when the run is taken to be under way."),
		moment("expires_at", "When it is forgotten."),
	}
}

// Indexes of keyed requests.
func (KeyedRequest) Indexes() []ent.Index {
	return []ent.Index{index.Fields("sender"), index.Fields("expires_at")}
}
