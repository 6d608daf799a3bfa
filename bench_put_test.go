package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tagma/internal/base/caller"
	"tagma/internal/bench/dataset"
	"tagma/internal/testing/testenv"
)

// BenchmarkPutAnnotations puts 1,000 annotations of 20 objects in one request,
// within this process, and beside it writes the same rows by lib/pq's COPY:
//
//	go test -run '^$' -bench PutAnnotations -cpuprofile cpu.prof .
func BenchmarkPutAnnotations(b *testing.B) {
	onBoth(b, testenv.Postgres, benchmarkPut)
}

// algorithmVersion stands for the algorithm's version, which is another one each time.
const algorithmVersion = "a version of twenty!"

func benchmarkPut(b *testing.B, databaseURL string) {
	server := open(b, databaseURL)
	st := server.Store
	data := dataset.Options{Devices: 1, Images: 1000, Objects: 20, Points: 12, Seed: 1}
	if err := dataset.Fill(b.Context(), st.DB, data); err != nil {
		b.Fatal(err)
	}
	person, err := st.DB.User.Create().SetUsername("bench").SetRole(caller.Admin).SetPasswordHash("none").SetCreatedAt(0).Save(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	routes := server.routes(b)
	body, rows := toPut(b, st.DB.SQL, data)
	number := 0
	next := func() string { number++; return fmt.Sprintf("%020d", number) }
	b.Run("putAnnotations", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := httptest.NewRequestWithContext(
				caller.With(b.Context(), &caller.Caller{UserID: person.ID, Role: caller.Admin}),
				http.MethodPost, "/graphql", bytes.NewReader(bytes.ReplaceAll(body, []byte(algorithmVersion), []byte(next()))))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			routes.ServeHTTP(w, r)
			if w.Code != http.StatusOK || strings.Count(w.Body.String(), `"Annotation:`) != data.Total() {
				b.Fatalf("answered %d: %.1000s", w.Code, w.Body)
			}
		}
	})
	if strings.HasPrefix(databaseURL, "postgres") {
		b.Run("COPY", func(b *testing.B) {
			for b.Loop() {
				copyRows(b, st.DB.SQL, rows, next())
			}
		})
	}
}

// toPut is a request with other annotations of all images, and their rows.
func toPut(b *testing.B, db *sql.DB, data dataset.Options) (body []byte, rows [][]any) {
	type object struct {
		Name         string          `json:"name"`
		Contour      json.RawMessage `json:"contour"`
		FillColour   string          `json:"fillColour"`
		StrokeColour string          `json:"strokeColour"`
		Value        int             `json:"value"`
	}
	found, err := db.QueryContext(b.Context(), "SELECT image_id, objects FROM annotations ORDER BY image_id")
	if err != nil {
		b.Fatal(err)
	}
	defer found.Close()
	var input []any
	for n := 0; found.Next(); n++ {
		var id int64
		var kept []byte
		if err := found.Scan(&id, &kept); err != nil {
			b.Fatal(err)
		}
		var objects []object
		if err := json.Unmarshal(kept, &objects); err != nil {
			b.Fatal(err)
		}
		rows = append(rows, []any{id, "insects", algorithmVersion, len(objects), string(kept), int64(0)})
		input = append(input, map[string]any{
			"image": map[string]any{"device": data.Device(0), "takenAt": data.TakenAt(0, n)}, "md5": data.MD5(0, n),
			"algorithm": map[string]any{"name": "insects", "version": algorithmVersion}, "objects": objects,
		})
	}
	body, err = json.Marshal(map[string]any{
		"query":     `mutation($input: [AnnotationInput!]!) { putAnnotations(input: $input) { results { annotation { id } problems { message } } } }`,
		"variables": map[string]any{"input": input},
	})
	if err != nil || found.Err() != nil {
		b.Fatal(err, found.Err())
	}
	return body, rows
}

func copyRows(b *testing.B, db *sql.DB, rows [][]any, version string) {
	tx, err := db.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	statement, err := tx.PrepareContext(b.Context(),
		"COPY annotations (image_id, algorithm_name, algorithm_version, object_count, objects, created_at) FROM STDIN")
	if err != nil {
		b.Fatal(err)
	}
	defer statement.Close()
	for _, row := range rows {
		row[2] = version
		if _, err := statement.ExecContext(b.Context(), row...); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := statement.ExecContext(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}
