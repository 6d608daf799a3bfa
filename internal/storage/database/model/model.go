// Package model owns the comparison of a database with the model in ent/schema. It
// is for tests and for command newmigration: the server migrates by the steps in
// ent/migrations alone, and links none of ent's own migrations.
package model

import (
	"context"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"
)

// Difference returns the SQL that brings a database to the model in the folder of
// ent's schema, or "" if the database has the model already.
func Difference(ctx context.Context, db dialect.Driver, folder string) (string, error) {
	graph, err := entc.LoadGraph(folder, &gen.Config{})
	if err != nil {
		return "", err
	}
	tables, err := graph.Tables()
	if err != nil {
		return "", err
	}
	var statements strings.Builder
	migrate, err := schema.NewMigrate(&schema.WriteDriver{Writer: &statements, Driver: db})
	if err == nil {
		err = migrate.Create(ctx, tables...)
	}
	return statements.String(), err
}
