// Package migrations owns the versioned steps that lead a database of either kind to
// the data model of ent/schema. A released step is never edited. `make migration
// NAME=…` writes the next step.
package migrations

import "embed"

// Files holds the steps: sqlite/*.sql and postgres/*.sql.
//
//go:embed sqlite/*.sql postgres/*.sql
var Files embed.FS
