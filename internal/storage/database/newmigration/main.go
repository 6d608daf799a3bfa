// Command newmigration writes the next migration step for both databases. A
// step is the difference between an empty database after all present steps and
// the model in ent/schema. Read the written files before a commit. To run the
// command, use `make migration`.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	entsql "entgo.io/ent/dialect/sql"

	"tagma/internal/storage/database"
	"tagma/internal/storage/database/model"
)

func main() {
	name := flag.String("name", "", "what the step does, in words joined by _")
	number := flag.Int("number", 0, "the step's number")
	postgres := flag.String("postgres", "", "URL of an empty PostgreSQL database")
	flag.Parse()
	if err := run(context.Background(), *name, *number, *postgres); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name string, number int, postgres string) error {
	if name == "" || number == 0 || postgres == "" {
		return errors.New("all of -name, -number and -postgres are needed")
	}
	scratch, err := os.MkdirTemp("", "tagma-migration-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	for folder, databaseURL := range map[string]string{
		"sqlite":   "sqlite:" + filepath.Join(scratch, "tagma.db"),
		"postgres": postgres,
	} {
		step, err := difference(ctx, databaseURL)
		if err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
		if len(step) == 0 {
			continue
		}
		file := filepath.Join("ent", "migrations", folder, fmt.Sprintf("%05d_%s.sql", number, name))
		if err := os.WriteFile(file, append([]byte("-- +goose Up\n"), step...), 0o644); err != nil {
			return err
		}
		fmt.Println("wrote", file)
	}
	return nil
}

func difference(ctx context.Context, databaseURL string) ([]byte, error) {
	db, err := database.Open(ctx, databaseURL, database.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	step, err := model.Difference(ctx, entsql.OpenDB(db.Dialect, db.SQL), "./ent/schema")
	return legible(step), err
}

// legible returns the step with a line for each column, and without PRAGMA
// statements: SQLite ignores PRAGMA foreign_keys within a transaction.
func legible(step string) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(step) {
		if strings.HasPrefix(line, "PRAGMA") {
			continue
		}
		if !strings.HasPrefix(line, "CREATE TABLE") {
			out.WriteString(line)
			continue
		}
		depth := 0
		for _, r := range strings.TrimSuffix(line, "\n") {
			switch {
			case r == '(':
				depth++
			case r == ')':
				depth--
			}
			switch {
			case r == '(' && depth == 1:
				out.WriteString("(\n  ")
			case r == ')' && depth == 0:
				out.WriteString("\n)")
			case r == ',' && depth == 1:
				out.WriteString(",\n ") // the space after the comma follows
			default:
				out.WriteRune(r)
			}
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}
