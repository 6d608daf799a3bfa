package database

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	ent "tagma/ent/generated"
)

// probeBytes is how much ProbeWrite writes: some pages of either database.
const probeBytes = 16 << 10

// ProbeWrite writes a row and removes it again, in one transaction. Its error says
// why the database cannot be written to.
func (db *DB) ProbeWrite(ctx context.Context) error {
	random := make([]byte, probeBytes/2) // which cannot be kept in less
	_, _ = rand.Read(random)             // never fails: see its documentation
	id := "write probe " + rand.Text()
	return db.InTx(ctx, func(tx *ent.Tx) error {
		if err := tx.Checkpoint.Create().SetID(id).SetValue(hex.EncodeToString(random)).Exec(ctx); err != nil {
			return err
		}
		return tx.Checkpoint.DeleteOneID(id).Exec(ctx)
	})
}
