// Package identity owns the lasting id of a store: database and files keep the id in any
// folder and on any server. The server, the commands and backups compare ids before a
// write.
//
// The package does not own the proof that a database and a bucket belong together: see
// package ownership.
package identity

import (
	"context"
	"crypto/rand"
	stdsql "database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/internal/base/instant"
	"tagma/internal/storage/database"
)

// checkpointID is the id of the row of the identity in table checkpoints. The value of
// the row is the Identity as JSON.
const checkpointID = "store"

// ErrNone is returned for a database without an identity: no server has opened the
// database yet.
var ErrNone = errors.New("the database has no store id: no server has used it yet")

// Identity is the identity of a store.
type Identity struct {
	// ID is random text. The first server on a store writes ID. ID never changes
	// afterwards.
	ID string `json:"id"`
	// CreatedAt is when ID was written.
	CreatedAt instant.Instant `json:"createdAt"`
	// RestoredFrom is the ID of the store in the backup, if this store was restored from
	// a backup; otherwise empty.
	RestoredFrom string `json:"restoredFrom,omitempty"`
}

// New returns a new identity with a random ID. RestoredFrom is as in Identity.
func New(now instant.Instant, restoredFrom string) Identity {
	return Identity{ID: rand.Text(), CreatedAt: now, RestoredFrom: restoredFrom}
}

// Of returns the identity of a database's store, or ErrNone.
func Of(ctx context.Context, db *ent.Client) (Identity, error) {
	row, err := db.Checkpoint.Get(ctx, checkpointID)
	if ent.IsNotFound(err) {
		return Identity{}, ErrNone
	}
	if err != nil {
		return Identity{}, err
	}
	var i Identity
	if err := json.Unmarshal([]byte(row.Value), &i); err != nil || i.ID == "" {
		return Identity{}, fmt.Errorf("the store id in the database is damaged: the checkpoint %q is no JSON object with an id", checkpointID)
	}
	return i, nil
}

// Ensure returns the identity of a database's store, and writes a new identity if there
// is none. If several servers call Ensure at once, a single server writes, and all
// return the same identity.
func Ensure(ctx context.Context, db *database.DB, now instant.Instant) (Identity, error) {
	i, err := Of(ctx, db.Client)
	if !errors.Is(err, ErrNone) {
		return i, err
	}
	value, err := json.Marshal(New(now, ""))
	if err != nil {
		return Identity{}, err
	}
	err = db.Write(ctx, func() error {
		return db.Checkpoint.Create().SetID(checkpointID).SetValue(string(value)).
			OnConflict(sql.ConflictColumns(checkpoint.FieldID), sql.DoNothing()).Exec(ctx)
	})
	if err != nil && !errors.Is(err, stdsql.ErrNoRows) { // ErrNoRows: another server was first
		return Identity{}, err
	}
	return Of(ctx, db.Client)
}

// Replace writes an identity over the identity of a copied database. Tx is the
// transaction of the copy.
func Replace(ctx context.Context, tx *stdsql.Tx, i Identity) error {
	value, err := json.Marshal(i)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM checkpoints WHERE id = $1`, checkpointID); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO checkpoints (id, value) VALUES ($1, $2)`, checkpointID, string(value))
	return err
}
