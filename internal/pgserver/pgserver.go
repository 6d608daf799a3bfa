// Package pgserver owns how a PostgreSQL server of this process's own is found,
// started and stopped: for tests (package testenv) and for the benchmark. It
// owns nothing of the product, which is given a server that runs.
//
// A server ends with the process that started it, however that ends. Its users
// need no password, and it listens on the loopback interface only: it is for a
// machine without enemies. It works on Unix only.
package pgserver

import (
	"errors"
	"net/url"
)

// Options of Start.
type Options struct {
	// Data is the folder where the databases are kept, made if it is not
	// there. If it is empty they go with the server. As root it becomes
	// nobody's, who must have a way to it: PostgreSQL does not run as root.
	Data string
	// Durable waits for the disk at each commit, as in earnest.
	Durable bool
}

// Server is a running server.
type Server struct {
	// Address (postgres://…) of the database "postgres", as a user who may
	// create databases and no more.
	Address url.URL

	process *process
}

// Start starts a server. PostgreSQL cannot be told to take any free port, so
// another process may get to the one we picked first; then it picks another.
func Start(o Options) (*Server, error) {
	for range 5 {
		s, err := startOnce(o)
		if !errors.Is(err, errPortTaken) {
			return s, err
		}
	}
	return nil, errPortTaken
}

// Stop stops the server, now rather than when the process ends.
func (s *Server) Stop() { s.process.release() }
