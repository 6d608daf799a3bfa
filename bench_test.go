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

	"tagma/internal/base/caller"
	"tagma/internal/bench/dataset"
	"tagma/internal/bench/jobs"
	"tagma/internal/gql/transport"
	"tagma/internal/server/config"
	"tagma/internal/server/store"
	"tagma/internal/testing/testenv"
)

// BenchmarkServer answers the jobs of `make bench` within this process, without
// a network, so that -cpuprofile and -memprofile show where the time goes:
//
//	go test -run '^$' -bench 'Server/SQLite/1,000_images,' -cpuprofile cpu.prof .
func BenchmarkServer(b *testing.B) {
	data := dataset.Options{Devices: 5, Images: 1000, Objects: 20, Points: 12, Seed: 1}
	onBoth(b, testenv.Postgres, func(b *testing.B, databaseURL string) { benchmarkServer(b, databaseURL, data) })
}

// onBoth runs a benchmark on new databases of either kind.
func onBoth(b *testing.B, postgres func(testing.TB) string, run func(b *testing.B, databaseURL string)) {
	b.Run("SQLite", func(b *testing.B) { run(b, "sqlite:"+filepath.Join(b.TempDir(), "tagma.db")) })
	b.Run("PostgreSQL", func(b *testing.B) { run(b, postgres(b)) })
}

func benchmarkServer(b *testing.B, databaseURL string, data dataset.Options) {
	server := open(b, databaseURL)
	st := server.Store
	if err := dataset.Fill(b.Context(), st.DB, data); err != nil {
		b.Fatal(err)
	}
	routes := server.routes(b)
	for _, job := range jobs.All() {
		var err error
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

// benched is a server without its sockets, for a benchmark.
type benched struct {
	*store.Store
	domain
	config *config.Config
	log    *slog.Logger
}

// open opens a server's database and a new folder. It takes bodies of any size
// that a benchmark sends.
func open(b *testing.B, databaseURL string) *benched {
	b.Helper()
	c := config.Default()
	c.Streams = transport.StreamLimits{All: 2000, Person: 2000, Pending: 2000, PendingAddress: 2000} // one person, from one address
	c.Data, c.Database, c.Transport.JSONBytes = b.TempDir(), databaseURL, 64<<20
	if err := c.Check(); err != nil {
		b.Fatal(err)
	}
	s := &benched{config: c, log: slog.New(slog.DiscardHandler)}
	var err error
	if s.Store, err = store.Open(b.Context(), c, s.log, nil); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	s.domain = newDomain(c, s.Store, s.log)
	return s
}

// routes is what answers its requests.
func (s *benched) routes(b *testing.B) http.Handler {
	b.Helper()
	routes, err := handler(b.Context(), s.config, s.Store, s.domain, s.log, prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	return routes
}

// signIn gives the token of its administrator.
func (s *benched) signIn(b *testing.B) string {
	b.Helper()
	password, err := s.people.EnsureAdmin(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	session, err := s.people.Login(b.Context(), "admin", password, "127.0.0.1")
	if err != nil {
		b.Fatal(err)
	}
	return session.Token.Reveal()
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
