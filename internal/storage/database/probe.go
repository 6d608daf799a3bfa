package database

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	ent "tagma/ent/generated"
)

// probeBytes is the size of ProbeWrite's value: several pages of either database, so that
// the database needs new space on the disk.
const probeBytes = 16 << 10

// ProbeWrite writes a row and deletes the row, in the same transaction. ProbeWrite
// returns an error if the database cannot be written to.
func (db *DB) ProbeWrite(ctx context.Context) error {
	random := make([]byte, probeBytes/2) // random bytes, because the database could compress other bytes
	_, _ = rand.Read(random)             // never fails: see its documentation
	id := "write probe " + rand.Text()
	return db.InTx(ctx, func(tx *ent.Tx) error {
		if err := tx.Checkpoint.Create().SetID(id).SetValue(hex.EncodeToString(random)).Exec(ctx); err != nil {
			return err
		}
		return tx.Checkpoint.DeleteOneID(id).Exec(ctx)
	})
}
