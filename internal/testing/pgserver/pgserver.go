// Package pgserver owns finding, starting and stopping a PostgreSQL server of
// this process, for tests (package testenv) and benchmarks. It does not own any
// part of the product, which uses a running server.
//
// A server ends with the process that started it, however the process ends.
// Users need no password, and the server listens on the loopback interface
// only: use it only on a machine whose users are trusted. Package pgserver
// works on Unix only.
package pgserver

import (
	"errors"
	"net/url"
)

// Options of Start.
type Options struct {
	// Data is the folder of the databases, created if necessary. If Data is
	// empty, the databases are removed with the server. If the process runs as
	// root, the folder is given to the user nobody, who must have access to it:
	// PostgreSQL does not run as root.
	Data string
	// Durable waits for the disk at each commit, as in production.
	Durable bool
}

// Server is a running server.
type Server struct {
	// Address is the URL (postgres://…) of the database "postgres", with a user
	// who may create databases and has no other rights.
	Address url.URL

	process *process
}

// Start starts a server. PostgreSQL cannot choose a free port itself, so
// another process may take the port that Start chose: then Start chooses
// another port.
func Start(o Options) (*Server, error) {
	for range 5 {
		s, err := startOnce(o)
		if !errors.Is(err, errPortTaken) {
			return s, err
		}
	}
	return nil, errPortTaken
}

// Stop stops the server before the process ends.
func (s *Server) Stop() { s.process.release() }
