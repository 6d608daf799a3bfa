// Package testenv owns the servers for tests: a real PostgreSQL server, and
// real S3 servers. Only tests import package testenv.
//
// Each test process starts a PostgreSQL server at the first request. So a
// person can run `go test ./internal/foo`, and two packages never share a
// server. The server ends when the process ends, even after SIGKILL. If
// TAGMA_TEST_POSTGRES holds the address of a running server, testenv uses the
// running server; the user in the address must have the right to create
// databases. An S3 server starts quickly, so each test starts an S3 server.
//
// The package also owns FlatJPEG, a small file that takes much work to decode.
//
// Package testenv does not own starting PostgreSQL (package pgserver), nor
// schemas: a database is empty, and the caller migrates the database. Package
// testenv works on Unix only.
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

// addressVariable is the name of the environment variable with the address of a
// running server.
const addressVariable = "TAGMA_TEST_POSTGRES"

// The servers of this process, started at the first request and shared by all
// tests.
var (
	quick   = sync.OnceValues(func() (*server, error) { return find(pgserver.Options{}) })
	durable = sync.OnceValues(func() (*server, error) { return find(pgserver.Options{Durable: true}) })
)

// Postgres returns the address (postgres://…) of a new, empty database for this
// test, on a server without fsync. The user in the address is the owner of the
// database, and no superuser. When the test ends, the database is dropped, with
// any open connection.
//
// The test fails, and is not skipped, if no PostgreSQL is available.
func Postgres(t testing.TB) string {
	t.Helper()
	return database(t, quick)
}

// DurablePostgres is Postgres on a server with fsync, for tests and benchmarks
// of durability.
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
	address url.URL // URL of the database "postgres", with a user who may create databases
	db      *sql.DB // connections to address

	// own is the server if started by this process, otherwise nil. The
	// reference keeps the server running: when own is garbage-collected, the
	// pipe to the supervisor closes and the server ends.
	own *pgserver.Server
}

// find returns the server at the address in the environment variable, or starts
// a server.
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

// exec runs a statement. exec sets a deadline without the test's context,
// because the test's context has ended when a cleanup runs.
func (s *server) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := s.db.ExecContext(ctx, statement)
	return err
}
