// Package testenv owns what tests need from outside the process: a real
// PostgreSQL server, and real S3 servers. Only tests import it.
//
// Each process of tests starts a PostgreSQL of its own when it first asks for
// one, so that `go test ./internal/foo` works by hand and two packages never
// meet. The server ends with the process, however that ends. With the address of
// another server in TAGMA_TEST_POSTGRES, whose user must have the right to
// create databases, that one is used instead and none is started. An S3 server
// starts at once, so each test has its own.
//
// Beside these there is FlatJPEG, a photograph that is made to be hard work.
//
// It does not own how PostgreSQL is started (package pgserver), nor schemas: a
// database comes empty, and the caller migrates it. It works on Unix only.
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

	"tagma/internal/pgserver"
)

// variable names the server to use instead of one of our own.
const variable = "TAGMA_TEST_POSTGRES"

// The servers of this process: started when first asked for, then the same for
// every test.
var (
	quick   = sync.OnceValues(func() (*server, error) { return find(pgserver.Options{}) })
	durable = sync.OnceValues(func() (*server, error) { return find(pgserver.Options{Durable: true}) })
)

// Postgres is the address (postgres://…) of a new, empty database for this
// test alone, on a server that does not wait for its disk. The address is that
// of the database's owner, who has no other rights. The database is dropped
// when the test ends, with any connection still open.
//
// The test fails if there is no PostgreSQL to be had; it is never skipped.
func Postgres(t testing.TB) string {
	t.Helper()
	return database(t, quick)
}

// DurablePostgres is Postgres on a server that writes as in earnest (fsync),
// for tests and benchmarks that are about that.
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
	// template0, because nobody can be connected to it; a database with an open
	// connection cannot be copied.
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

// server is a running PostgreSQL server, ours or another's.
type server struct {
	address url.URL // of its database "postgres", as a user who may create databases
	db      *sql.DB // connections to that address

	// ours is nil for another's. A server of ours ends when nothing refers to
	// it any more, because the pipe that it hangs on is closed then.
	ours *pgserver.Server
}

// find is the server that the environment names, or a new one.
func find(o pgserver.Options) (*server, error) {
	given := os.Getenv(variable)
	if given == "" {
		ours, err := pgserver.Start(o)
		if err != nil {
			return nil, fmt.Errorf("%w\nor set %s to a server's address", err, variable)
		}
		s, err := open(ours.Address)
		if err != nil {
			return nil, err
		}
		s.ours = ours
		return s, nil
	}
	address, err := url.Parse(given)
	if err != nil || address.Host == "" {
		return nil, fmt.Errorf("%s: write postgres://user:password@host:port/database", variable)
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

// exec runs one statement. It has a deadline of its own, not the test's
// context, which has ended by the time that a cleanup runs.
func (s *server) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := s.db.ExecContext(ctx, statement)
	return err
}
