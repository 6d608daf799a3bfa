// Package schema owns Tagma's data model: the tables of images, annotations, labels,
// bundles and people, on both databases. ent generates the code in ent/generated from
// the model, and ent/migrations holds the steps that lead a database to the model.
// The package does not own the rules for values: the packages under internal do.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/schema/field"

	"tagma/internal/base/instant"
)

// id returns the column of a row's number. The database numbers the rows, and uses no
// number twice.
func id() ent.Field {
	return field.Int64("id")
}

// instantType is the Go type of a column of time.
const instantType = instant.Instant(0)

// moment is a column of package instant: milliseconds since the epoch, UTC.
func moment(name, comment string) ent.Field {
	return field.Int64(name).GoType(instantType).Immutable().Comment(comment)
}

// optionalMoment is a moment, null before the moment has come.
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
