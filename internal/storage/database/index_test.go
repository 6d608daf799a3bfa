package database

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"entgo.io/ent/dialect"

	"tagma/ent/migrations"
	"tagma/internal/testing/testenv"
)

// upTo is the steps before the one of that number.
func upTo(t *testing.T, number int) fs.FS {
	t.Helper()
	before := fstest.MapFS{}
	must(t, fs.WalkDir(migrations.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Base(path) >= fmt.Sprintf("%05d", number) {
			return err
		}
		step, err := fs.ReadFile(migrations.Files, path)
		before[path] = &fstest.MapFile{Data: step}
		return err
	}))
	return before
}

// plan is how the database means to answer a query.
func plan(t *testing.T, db *DB, query string) string {
	t.Helper()
	explain, before := "EXPLAIN QUERY PLAN ", make([]any, 3)
	if db.Dialect == dialect.Postgres {
		explain, before = "EXPLAIN (COSTS OFF) ", nil
	}
	for n := range before {
		before[n] = new(any)
	}
	rows, err := db.SQL.QueryContext(t.Context(), explain+query)
	must(t, err)
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		must(t, rows.Scan(append(before, &line)...))
		lines = append(lines, line)
	}
	must(t, errors.Join(rows.Err(), rows.Close()))
	return strings.Join(lines, "\n")
}

func TestOpen_IndexesThatComeLaterHoldTheRowsThatAreThere(t *testing.T) {
	eachURL(t, func(t *testing.T, databaseURL string) {
		must(t, migrate(t.Context(), databaseURL, upTo(t, 6), nil))
		old, err := connect(databaseURL, Options{})
		must(t, err)
		for _, statement := range []string{
			`INSERT INTO devices VALUES ('0a5bb6f4', 0)`,
			`INSERT INTO images (id, device, taken_at, md5, sha256, size, width, height, file_id, humidity, metadata, created_at)
				VALUES (7, '0a5bb6f4', 1000, '', '', 1, 1, 1, '', 60.5, '{}', 0)`,
			`INSERT INTO annotations (image_id, algorithm_name, algorithm_version, object_count, objects, created_at)
				VALUES (7, 'insects', '1', 3, '[]', 0)`,
		} {
			old.exec(t, statement)
		}
		must(t, old.Close())
		db := open(t, databaseURL)
		if db.Dialect == dialect.Postgres {
			db.SQL.SetMaxOpenConns(1) // with these settings
			for _, way := range []string{"seqscan", "bitmapscan"} {
				db.exec(t, "SET enable_"+way+" = off") // which a table of one row would take
			}
		}
		for _, wanted := range []struct {
			index, query string
			sum          float64
		}{
			{"image_weather", "SELECT sum(humidity) + coalesce(max(luminosity), 0) FROM images WHERE device = '0a5bb6f4' AND taken_at >= 0", 60.5},
			{"annotation_counts", "SELECT sum(object_count) FROM annotations WHERE image_id = 7", 3},
		} {
			if sum := value[float64](t, db.SQL, wanted.query); sum != wanted.sum {
				t.Errorf("%s: %g, want %g", wanted.query, sum, wanted.sum)
			}
			how := plan(t, db, wanted.query)
			alone := strings.Contains(how, "COVERING INDEX "+wanted.index) || strings.Contains(how, "Index Only Scan using "+wanted.index)
			if !alone {
				t.Errorf("%s is not read from %s alone:\n%s", wanted.query, wanted.index, how)
			}
		}
	})
}

func TestOpen_ObjectsAreCompressedSoThatTheyAreReadFast(t *testing.T) {
	db := open(t, testenv.Postgres(t))
	const how = `SELECT attcompression::text FROM pg_attribute WHERE attrelid = 'annotations'::regclass AND attname = 'objects'`
	if got := value[string](t, db.SQL, how); got != "l" {
		t.Errorf("the compression is %q, want lz4", got)
	}
}
