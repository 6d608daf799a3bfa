package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tagma/internal/base/caller"
	"tagma/internal/base/instant"
	"tagma/internal/bench/dataset"
	"tagma/internal/testing/testenv"
)

// BenchmarkSubmit submits the labels of one frame after the other, within this
// process, and beside it only writes the same rows:
//
//	go test -run '^$' -bench Submit -cpuprofile cpu.prof .
func BenchmarkSubmit(b *testing.B) {
	onBoth(b, testenv.DurablePostgres, benchmarkSubmit)
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
			frame += dataset.Videos // of one video
			body := dataset.Submission(frame)
			r := httptest.NewRequestWithContext(caller.With(b.Context(), admin), http.MethodPost, "/graphql", bytes.NewReader(body))
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
