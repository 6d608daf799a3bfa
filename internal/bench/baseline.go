package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"entgo.io/ent/dialect"

	"tagma/internal/base/instant"
	"tagma/internal/bench/jobs"
	"tagma/internal/storage/database"
)

// The baseline is a server written for these jobs only. The baseline decodes the variables,
// runs one SQL statement, and copies the JSON built by the database. The baseline has no
// GraphQL, no callers and no limits. The pool, the drivers and the settings are the same as
// in Tagma's server.

// variables holds the variables of a job. Each job uses some of the fields.
type variables struct {
	Series []struct {
		Device     string
		Start, End instant.Instant
	}
	First   int
	After   string
	Device  string
	TakenAt instant.Instant
	Images  json.RawMessage
}

// baselineJob defines how the baseline answers a job.
type baselineJob struct {
	field    string // the field of data in the answer
	postgres string
	sqlite   string
	args     func(v variables) ([]any, error)
	write    func(b *bytes.Buffer, v variables, rows *sql.Rows) error
}

const (
	takenAtPostgres = `to_char(to_timestamp(i.taken_at / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`
	takenAtSQLite   = `strftime('%Y-%m-%dT%H:%M:%SZ', i.taken_at / 1000, 'unixepoch')`
	// scalarsSQL selects eight scalars; @time is one of the expressions above.
	scalarsSQL = `'id', 'Image:' || i.id, 'takenAt', @time, 'md5', i.md5, 'size', i.size, 'temperature', i.temperature,
		'humidity', i.humidity, 'latitude', i.latitude, 'longitude', i.longitude`
	// byHour and groupAndOrder sum all images from $2 (inclusive) to $3 (exclusive).
	byHour = `SELECT device, taken_at - taken_at % 3600000 taken_at, count(*) images, coalesce(sum(objects), 0) objects,
			min(temperature) t0, avg(temperature) t1, max(temperature) t2, min(humidity) h0, avg(humidity) h1, max(humidity) h2
		FROM images LEFT JOIN (SELECT image_id, sum(object_count) objects FROM annotations GROUP BY image_id) a ON a.image_id = images.id
		WHERE taken_at >= $2 AND taken_at < $3`
	groupAndOrder = `GROUP BY 1, 2 ORDER BY 1, 2`
	inSeries      = `SELECT * FROM images WHERE device = $1 AND taken_at >= $2 AND taken_at < $3 ORDER BY device, taken_at LIMIT $4`
)

// forPostgres and forSQLite return a statement for one dialect. @array(…)@ is a list in
// JSON, empty rather than null.
func forPostgres(query string) string {
	return strings.NewReplacer("@time", takenAtPostgres, "@created", strings.ReplaceAll(takenAtPostgres, "i.taken_at", "a.created_at"),
		"@object", "json_build_object", "@array(", "coalesce(json_agg(", ")@", "), '[]')", "@json", "").Replace(query)
}

func forSQLite(query string) string {
	return strings.NewReplacer("@time", takenAtSQLite, "@created", strings.ReplaceAll(takenAtSQLite, "i.taken_at", "a.created_at"),
		"@object", "json_object", "@array(", "json_group_array(", ")@", ")", "@json", "json").Replace(query)
}

func forBoth(h baselineJob, query string) baselineJob {
	h.postgres, h.sqlite = forPostgres(query), forSQLite(query)
	return h
}

func baselineJobs() map[string]baselineJob {
	return map[string]baselineJob{
		"series": forBoth(baselineJob{field: "imageSeries", args: seriesArgs, write: nodes},
			`SELECT @array(@object(`+scalarsSQL+`))@ FROM (`+inSeries+`) i`),
		"nested": {
			field: "imageSeries", args: seriesArgs, write: nodes,
			postgres: forPostgres(`SELECT @array(@object('id', 'Image:' || i.id, 'takenAt', @time, 'annotations', (
					SELECT @array(@object('id', 'Annotation:' || a.id, 'objectCount', a.object_count,
						'algorithm', @object('name', a.algorithm_name, 'version', a.algorithm_version), 'objects', a.objects))@
					FROM (SELECT * FROM annotations WHERE image_id = i.id ORDER BY id) a)))@ FROM (` + inSeries + `) i`),
			// Without json_object: SQLite's json_object parses all objects again at each
			// level.
			sqlite: forSQLite(`SELECT '[' || group_concat('{"id":"Image:' || i.id || '","takenAt":"' || @time || '","annotations":[' || (
					SELECT coalesce(group_concat('{"id":"Annotation:' || a.id || '","objectCount":' || a.object_count ||
						',"algorithm":{"name":' || json_quote(a.algorithm_name) || ',"version":' || json_quote(a.algorithm_version) ||
						'},"objects":' || a.objects || '}'), '')
					FROM (SELECT * FROM annotations WHERE image_id = i.id ORDER BY id) a) || ']}') || ']' FROM (` + inSeries + `) i`),
		},
		"image": forBoth(baselineJob{field: "image", args: keyArgs, write: plain},
			`SELECT @object(`+scalarsSQL+`, 'annotations', @json((
				SELECT @array(@object('id', 'Annotation:' || a.id, 'objectCount', a.object_count, 'createdAt', @created,
					'algorithm', @object('name', a.algorithm_name, 'version', a.algorithm_version)))@
				FROM (SELECT id, object_count, created_at, algorithm_name, algorithm_version FROM annotations WHERE image_id = i.id ORDER BY id) a)))
			FROM images i WHERE device = $1 AND taken_at = $2`),
		"page": forBoth(baselineJob{field: "imageSeries", args: pageArgs, write: connection},
			`SELECT @array(@object(`+scalarsSQL+`)) FILTER (WHERE n <= $5 - 1)@, count(*),
				max(device) FILTER (WHERE n = 1), max(taken_at) FILTER (WHERE n = 1),
				max(device) FILTER (WHERE n = $5 - 1), max(taken_at) FILTER (WHERE n = $5 - 1)
			FROM (SELECT *, row_number() OVER (ORDER BY device, taken_at) n FROM images
				WHERE (device, taken_at) > ($1, $2) AND taken_at >= $3 AND taken_at < $4 ORDER BY device, taken_at LIMIT $5) i`),
		"diff": {
			field: "diffImages", args: diffArgs, write: plain,
			postgres: `SELECT json_agg(json_build_object('device', f.device, 'takenAt', f."takenAt", 'verdict',
					CASE WHEN i.id IS NULL THEN 'NEW' WHEN i.md5 = f.md5 THEN 'SAME' ELSE 'CONFLICT' END) ORDER BY f.n)
				FROM ROWS FROM (json_to_recordset($1::json) AS (device text, "takenAt" text, md5 text)) WITH ORDINALITY f(device, "takenAt", md5, n)
				LEFT JOIN images i ON i.device = f.device AND i.taken_at = (extract(epoch FROM f."takenAt"::timestamptz) * 1000)::bigint`,
			sqlite: `SELECT json_group_array(json_object('device', value ->> 'device', 'takenAt', value ->> 'takenAt', 'verdict',
					CASE WHEN i.id IS NULL THEN 'NEW' WHEN i.md5 = value ->> 'md5' THEN 'SAME' ELSE 'CONFLICT' END))
				FROM json_each($1) f
				LEFT JOIN images i ON i.device = value ->> 'device' AND i.taken_at = unixepoch(value ->> 'takenAt') * 1000`,
		},
		"activity": forBoth(baselineJob{field: "activity", args: seriesArgs, write: plain},
			`SELECT @array(@object('device', device, 'start', @time, 'images', images, 'objects', objects,
					'temperature', CASE WHEN t0 IS NOT NULL THEN @object('min', t0, 'mean', t1, 'max', t2) END,
					'humidity', CASE WHEN h0 IS NOT NULL THEN @object('min', h0, 'mean', h1, 'max', h2) END))@
				FROM (`+byHour+` AND $1 <> '' AND $4 >= 0 `+groupAndOrder+`) i`),
	}
}

func seriesArgs(v variables) ([]any, error) {
	if len(v.Series) != 1 {
		return nil, fmt.Errorf("the baseline supports one series only")
	}
	return []any{v.Series[0].Device, int64(v.Series[0].Start), int64(v.Series[0].End), v.First}, nil
}

func keyArgs(v variables) ([]any, error) { return []any{v.Device, int64(v.TakenAt)}, nil }

func diffArgs(v variables) ([]any, error) { return []any{string(v.Images)}, nil }

func pageArgs(v variables) ([]any, error) {
	args, err := seriesArgs(v)
	if err != nil {
		return nil, err
	}
	device, taken, err := decodeCursor(v.After)
	return []any{device, int64(taken), args[1], args[2], v.First + 1}, err
}

// decodeCursor returns the device and the time in one of Tagma's cursors.
func decodeCursor(cursor string) (device string, taken instant.Instant, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", 0, err
	}
	var milliseconds int64
	err = json.Unmarshal(text, &[]any{&device, &milliseconds})
	return device, instant.Instant(milliseconds), err
}

// plain writes the single value of the row unchanged.
func plain(b *bytes.Buffer, _ variables, rows *sql.Rows) error {
	var text sql.RawBytes
	if err := rows.Scan(&text); err != nil {
		return err
	}
	b.Write(text)
	return nil
}

// nodes writes the single value of the row as the nodes of a connection.
func nodes(b *bytes.Buffer, v variables, rows *sql.Rows) error {
	b.WriteString(`{"nodes":`)
	err := plain(b, v, rows)
	b.WriteByte('}')
	return err
}

// connection writes nodes and pageInfo.
func connection(b *bytes.Buffer, v variables, rows *sql.Rows) error {
	var text sql.RawBytes
	var count int
	var first, last struct {
		device string
		taken  instant.Instant
	}
	if err := rows.Scan(&text, &count, &first.device, &first.taken, &last.device, &last.taken); err != nil {
		return err
	}
	fmt.Fprintf(b, `{"nodes":%s,"pageInfo":{"hasNextPage":%t,"hasPreviousPage":true,"startCursor":%q,"endCursor":%q}}`,
		text, count > v.First, jobs.Cursor(first.device, first.taken), jobs.Cursor(last.device, last.taken))
	return nil
}

// serveBaseline serves until standard input ends, which happens when the parent process
// ends.
func serveBaseline(ctx context.Context, databaseURL string) error {
	db, err := database.Open(ctx, databaseURL, database.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	mux := http.NewServeMux()
	for name, how := range baselineJobs() {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			body, err := how.answer(r, db)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
			_, _ = w.Write(body.Bytes())
		})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("The baseline is at http://%s/\n", listener.Addr())
	server := &http.Server{Handler: mux} //nolint:gosec // its only client is the benchmark
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func (h baselineJob) answer(r *http.Request, db *database.DB) (*bytes.Buffer, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var v variables
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, err
	}
	args, err := h.args(v)
	if err != nil {
		return nil, err
	}
	query := h.sqlite
	if db.Dialect == dialect.Postgres {
		query = h.postgres
	}
	rows, err := db.SQL.QueryContext(r.Context(), query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	b := bytes.NewBufferString(`{"data":{"` + h.field + `":`)
	if !rows.Next() {
		b.WriteString("null")
	} else if err := h.write(b, v, rows); err != nil {
		return nil, err
	}
	b.WriteString("}}")
	return b, rows.Err()
}
