// Package testenv owns the servers that tests need: a real PostgreSQL server,
// and real S3 servers. Only tests import it.
//
// Each test process starts a PostgreSQL server at the first request, so that
// `go test ./internal/foo` works by hand and two packages never share a server.
// The server ends with the process, however the process ends. If
// TAGMA_TEST_POSTGRES holds the address of another server, testenv uses that
// server and starts none; its user must have the right to create databases. An
// S3 server starts quickly, so each test has its own.
//
// FlatJPEG returns a photograph that takes much work to decode.
//
// Package testenv does not own starting PostgreSQL (package pgserver), nor
// schemas: a database is empty, and the caller migrates it. It works on Unix
// only.
package testenv

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver "postgres"

	"tagma/internal/testing/pgserver"
)

// addressVariable names the environment variable with the address of a server
// to use.
const addressVariable = "TAGMA_TEST_POSTGRES"

// The servers of this process, started at the first request and shared by all
// tests.
var (
	quick   = sync.OnceValues(func() (*server, error) { return find(pgserver.Options{}) })
	durable = sync.OnceValues(func() (*server, error) { return find(pgserver.Options{Durable: true}) })
)

// Postgres returns the address (postgres://…) of a new, empty database for this
// test, on a server that does not wait for its disk. The user of the address is
// the database's owner, who has no other rights. When the test ends, the
// database is dropped, with any open connection.
//
// The test fails if no PostgreSQL is available; it is never skipped.
func Postgres(t testing.TB) string {
	t.Helper()
	return database(t, quick)
}

// DurablePostgres is Postgres on a server that waits for its disk (fsync), for
// tests and benchmarks of durability.
func DurablePostgres(t testing.TB) string {
	t.Helper()
	return database(t, durable)
}

func database(t testing.TB, server func() (*server, error)) string {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatalf("testenv: no PostgreSQL server: %v", err)
	}
	name := "tagma_test_" + strings.ToLower(rand.Text())
	// Nobody can be connected to template0; a database with an open connection
	// cannot be copied.
	if err := s.exec(`CREATE DATABASE ` + name + ` TEMPLATE template0`); err != nil {
		t.Fatalf("testenv: create a database: %v", err)
	}
	t.Cleanup(func() {
		if err := s.exec(`DROP DATABASE ` + name + ` WITH (FORCE)`); err != nil {
			t.Errorf("testenv: drop the database: %v", err)
		}
	})
	address := s.address
	address.Path = "/" + name
	return address.String()
}

// server is a running PostgreSQL server, started by this process or another.
type server struct {
	address url.URL // of its database "postgres", with a user who may create databases
	db      *sql.DB // connections to address

	// own is the server if this process started it, otherwise nil. The
	// reference keeps the server running: when the server is garbage-collected,
	// its pipe closes and the server ends.
	own *pgserver.Server
}

// find returns the server that the environment names, or a new server.
func find(o pgserver.Options) (*server, error) {
	configuredAddress := os.Getenv(addressVariable)
	if configuredAddress == "" {
		own, err := pgserver.Start(o)
		if err != nil {
			return nil, fmt.Errorf("%w\nor set %s to a server's address", err, addressVariable)
		}
		s, err := open(own.Address)
		if err != nil {
			return nil, err
		}
		s.own = own
		return s, nil
	}
	address, err := url.Parse(configuredAddress)
	if err != nil || address.Host == "" {
		return nil, fmt.Errorf("%s: write postgres://user:password@host:port/database", addressVariable)
	}
	return open(*address)
}

// open connects to a running server.
func open(address url.URL) (*server, error) {
	db, err := sql.Open("postgres", address.String())
	if err != nil {
		return nil, err
	}
	s := &server{address: address, db: db}
	if err := s.exec(`SELECT 1`); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("connect to %s: %w", address.Redacted(), err)
	}
	return s, nil
}

// exec runs one statement. It has its own deadline, because the test's context
// has ended when a cleanup runs.
func (s *server) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := s.db.ExecContext(ctx, statement)
	return err
}
