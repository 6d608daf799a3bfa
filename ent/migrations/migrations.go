// Package migrations holds the versioned steps by which a database of either
// kind gets to the data model of ent/schema. A step that has been released is
// never edited; `make migration NAME=…` writes the next one.
package migrations

import "embed"

// Files are the steps: sqlite/*.sql and postgres/*.sql.
//
//go:embed sqlite/*.sql postgres/*.sql
var Files embed.FS
