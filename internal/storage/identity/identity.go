// Package identity owns the lasting id of a store: which store a database and
// its files are, whatever folder or server they are moved to. Backups, the
// commands and the server compare ids before they write.
//
// The package does not own whether a database and a bucket belong together at
// this moment: package ownership does.
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

// checkpointID is the id of the row that holds the identity, as JSON.
const checkpointID = "store"

// ErrNone is returned for a database that has no identity yet: no server has
// opened the database.
var ErrNone = errors.New("the database has no store id: no server has used it yet")

// Identity tells stores apart.
type Identity struct {
	// ID is random text. The first server on a store writes ID, and nothing
	// changes ID afterwards.
	ID string `json:"id"`
	// CreatedAt is when ID was written.
	CreatedAt instant.Instant `json:"createdAt"`
	// RestoredFrom is the ID of the store whose backup this store was restored
	// from, or empty.
	RestoredFrom string `json:"restoredFrom,omitempty"`
}

// New returns an identity that no other store has. RestoredFrom is the ID of
// the store that the data come from, or empty.
func New(now instant.Instant, restoredFrom string) Identity {
	return Identity{ID: rand.Text(), CreatedAt: now, RestoredFrom: restoredFrom}
}

// Of returns the identity of the store that a database belongs to, or ErrNone.
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

// Ensure returns the identity of the store that a database belongs to. If the
// database has none, Ensure writes a new one. Of several servers that call
// Ensure at once, one writes, and all return the same identity.
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

// Replace writes an identity in place of the one that a copied database
// brought along, in the transaction that copies the rows.
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
