// Package pgserver owns finding, starting and stopping a PostgreSQL server of
// this process, for tests (package testenv) and benchmarks. Package pgserver
// owns no part of the product: the product connects to a running server.
//
// A server ends when the starting process ends, even after SIGKILL. The server
// asks for no password, and listens on the loopback interface only: every user
// of the machine can read and change the databases. Package pgserver works on
// Unix only.
package pgserver

import (
	"errors"
	"net/url"
)

// Options of Start.
type Options struct {
	// Data is the folder of the databases, created if necessary. If Data is
	// empty, the databases are in a temporary folder and are removed when the
	// server ends. PostgreSQL does not run as root: if this process runs as
	// root, Start gives the folder to the user nobody, and nobody must have
	// access to all parent folders.
	Data string
	// Durable waits for the disk at each commit, as in production.
	Durable bool
}

// Server is a running server.
type Server struct {
	// Address is the URL (postgres://…) of the database "postgres". The user in
	// Address may create databases, and is no superuser.
	Address url.URL

	process *process
}

// Start starts a server. PostgreSQL cannot choose a free port itself. If
// another process takes the port chosen by Start, Start tries again with
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
