package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tagma/internal/bench/dataset"
	"tagma/internal/bench/jobs"
	"tagma/internal/caller"
	"tagma/internal/config"
	"tagma/internal/store"
	"tagma/internal/testenv"
)

// BenchmarkServer answers the jobs of `make bench` within this process, without
// a network, so that -cpuprofile and -memprofile show where the time goes:
//
//	go test -run '^$' -bench 'Server/SQLite/1,000_images,' -cpuprofile cpu.prof .
func BenchmarkServer(b *testing.B) {
	data := dataset.Options{Devices: 5, Images: 1000, Objects: 20, Points: 12, Seed: 1}
	b.Run("SQLite", func(b *testing.B) {
		benchmarkServer(b, "sqlite:"+filepath.Join(b.TempDir(), "tagma.db"), data)
	})
	b.Run("PostgreSQL", func(b *testing.B) { benchmarkServer(b, testenv.Postgres(b), data) })
}

func benchmarkServer(b *testing.B, databaseURL string, data dataset.Options) {
	c := config.Default()
	c.Data, c.Database = b.TempDir(), databaseURL
	if err := c.Check(); err != nil {
		b.Fatal(err)
	}
	silent := slog.New(slog.DiscardHandler)
	st, err := store.Open(b.Context(), c, silent, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	if err := dataset.Fill(b.Context(), st.DB, data); err != nil {
		b.Fatal(err)
	}
	routes, err := handler(b.Context(), c, st, newDomain(c, st, silent), silent, prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	for _, job := range jobs.All() {
		bodies := make([][]byte, job.Variants)
		for n := range bodies {
			if bodies[n], err = json.Marshal(map[string]any{"query": job.Query, "variables": job.Variables(data, n)}); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(job.Title, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				r := httptest.NewRequestWithContext(
					caller.With(b.Context(), &caller.Caller{UserID: 1, Role: caller.Admin}),
					http.MethodPost, "/graphql", bytes.NewReader(bodies[n%len(bodies)]))
				r.Header.Set("Content-Type", "application/json")
				w := &discard{header: http.Header{}}
				routes.ServeHTTP(w, r)
				if w.status != http.StatusOK || w.bytes < 100 {
					b.Fatalf("answered %d with %d bytes", w.status, w.bytes)
				}
				n++
			}
		})
	}
}

// discard is an answer that nobody reads.
type discard struct {
	header http.Header
	status int
	bytes  int
}

func (d *discard) Header() http.Header    { return d.header }
func (d *discard) WriteHeader(status int) { d.status = status }
func (d *discard) Write(p []byte) (int, error) {
	d.bytes += len(p)
	return io.Discard.Write(p)
}
