// Package schema is Tagma's data model: what is kept about images,
// annotations, people and the rest, in either database. ent generates the code
// that reads and writes it (ent/generated); ent/migrations holds how a database
// gets there. Rules about the values belong to the packages under internal.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/schema/field"

	"tagma/internal/base/instant"
)

// id is a row's number, given by the database and never used twice.
func id() ent.Field {
	return field.Int64("id")
}

// instantType is the Go type of a column of time.
const instantType = instant.Instant(0)

// moment is a column of package instant: milliseconds since the epoch, UTC.
func moment(name, comment string) ent.Field {
	return field.Int64(name).GoType(instantType).Immutable().Comment(comment)
}

// optionalMoment is a moment that need not have come.
func optionalMoment(name, comment string) ent.Field {
	return field.Int64(name).GoType(instantType).Optional().Nillable().Comment(comment)
}

// measurement is a number from a sensor, null where the sensor failed.
func measurement(name, comment string) ent.Field {
	return field.Float(name).Optional().Nillable().Comment(comment)
}

// plainJSON keeps a JSON column as text in both databases. PostgreSQL's jsonb
// would have to be put together again for each answer, at four to six times
// the cost of a copy.
var plainJSON = map[string]string{dialect.Postgres: "json", dialect.SQLite: "json"}
