package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"tagma/internal/caller"
	"tagma/internal/instant"
	"tagma/internal/testenv"
)

// BenchmarkSubmit submits the labels of one frame after the other, within this
// process, and beside it only writes the same rows:
//
//	go test -run '^$' -bench Submit -cpuprofile cpu.prof .
func BenchmarkSubmit(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { benchmarkSubmit(b, "sqlite:"+filepath.Join(b.TempDir(), "tagma.db")) })
	b.Run("PostgreSQL", func(b *testing.B) { benchmarkSubmit(b, testenv.DurablePostgres(b)) })
}

func benchmarkSubmit(b *testing.B, databaseURL string) {
	server := open(b, databaseURL)
	server.signIn(b)
	if err := server.labels.Ensure(b.Context()); err != nil {
		b.Fatal(err)
	}
	admin := &caller.Caller{UserID: server.DB.User.Query().OnlyIDX(b.Context()), Role: caller.Admin}
	routes := server.routes(b)
	frame := 0
	b.Run("submitLabels", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			frame++
			r := httptest.NewRequestWithContext(caller.With(b.Context(), admin), http.MethodPost, "/graphql", bytes.NewReader(toSubmit(b, frame)))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			routes.ServeHTTP(w, r)
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"ACCEPTED"`) {
				b.Fatalf("answered %d: %.1000s", w.Code, w.Body)
			}
		}
	})
	b.Run("rows", func(b *testing.B) {
		one := server.DB.LabelSubmission.Query().FirstX(b.Context())
		for b.Loop() {
			frame++
			err := server.DB.Write(b.Context(), func() error {
				return server.DB.LabelSubmission.Create().SetVideoID(one.VideoID).SetFrameIndex(frame).SetTimestamp(one.Timestamp).
					SetLabelSetID(one.LabelSetID).SetFilename(fmt.Sprint(one.Filename, frame)).SetRevision(1).SetContent(one.Content).
					SetAuthor(one.Author).SetSubmittedByID(admin.UserID).SetCreatedAt(instant.System()).Exec(b.Context())
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// toSubmit is a request with the labels of a frame.
func toSubmit(b *testing.B, frame int) []byte {
	var labels []map[string]any
	for n, id := range []string{"left_front_paw", "right_front_paw", "left_hind_paw", "right_hind_paw", "nose", "tail_base"} {
		labels = append(labels, map[string]any{"id": id, "name": strings.ToUpper(id[:1]) + strings.ReplaceAll(id[1:], "_", " "), "placed": true, "pixelX": frame % 1900, "pixelY": 100.25 + float64(n)})
	}
	body, err := json.Marshal(map[string]any{
		"query": `mutation Submit($input: LabelSubmissionInput!) { submitLabels(input: $input) { outcome submission { id status filename } } }`,
		"variables": map[string]any{"input": map[string]any{
			"videoUrl": "https://example.com/rat.mp4", "frameIndex": frame, "totalFrames": 10_000_000, "fps": 30, "frameWidth": 1920, "frameHeight": 1080,
			"timestamp": "2024-01-15T12:34:56Z", "labels": labels,
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return body
}
