// Package rejection owns the memory of rejected photographs, so that a push does not
// send damaged photographs again. A memory is valid for the version and the limits of
// one server: another version may accept the same photograph.
//
// Package rejection does not own the choice of the rejections to store.
package rejection

import (
	"context"
	"database/sql"
	"errors"

	"tagma/internal/cli/cachefile"
)

// Memory holds the rejections of one server. A nil Memory is empty and stores nothing.
type Memory struct {
	db     *sql.DB
	server string // address
	state  string // version and limits
}

// Open opens the memory at path, and creates the file if necessary. State describes the
// version and the limits of the server.
func Open(ctx context.Context, path, server, state string) (*Memory, error) {
	db, err := cachefile.Open(ctx, path, `CREATE TABLE IF NOT EXISTS rejections (server TEXT, state TEXT NOT NULL,
		name TEXT, md5 TEXT, reason TEXT NOT NULL, PRIMARY KEY (server, name, md5)) WITHOUT ROWID`)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, `DELETE FROM rejections WHERE server = ? AND state <> ?`, server, state); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Memory{db: db, server: server, state: state}, nil
}

// Reason returns the reason of the server for rejecting a photograph, or "" without a
// stored rejection.
func (m *Memory) Reason(ctx context.Context, name, md5 string) string {
	var reason string
	if m != nil {
		_ = m.db.QueryRowContext(ctx, `SELECT reason FROM rejections WHERE server = ? AND name = ? AND md5 = ?`,
			m.server, name, md5).Scan(&reason) // fails if there is no row
	}
	return reason
}

// Add stores the reason of the server for rejecting a photograph.
func (m *Memory) Add(ctx context.Context, name, md5, reason string) error {
	if m == nil {
		return nil
	}
	_, err := m.db.ExecContext(ctx, `INSERT OR REPLACE INTO rejections (server, state, name, md5, reason) VALUES (?, ?, ?, ?, ?)`,
		m.server, m.state, name, md5, reason)
	return err
}

// Close closes the memory.
func (m *Memory) Close() error {
	if m == nil {
		return nil
	}
	return m.db.Close()
}
