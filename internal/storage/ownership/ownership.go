// Package ownership owns the proof that a database and a bucket belong together. A wrong
// database, or an older copy of the right database, has no rows for the newest files in
// the bucket. A server with such a database must not sweep these files as files without
// a row.
//
// The database and the bucket hold the same mark, a random text. Each renewal replaces
// the mark in both. If the marks differ, the bucket belongs to another database or to a
// later state of this database. The package does not own the sweep.
package ownership

import (
	"context"
	"crypto/rand"
	stdsql "database/sql"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/internal/base/instant"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
)

// The places of the mark: a file in the bucket, and a row of checkpoints.
const (
	bucketKey    = "pairing"
	checkpointID = "pairing"
)

// ErrApart is returned if the bucket belongs to another database, or to a later state of
// this database.
var ErrApart = errors.New("the files belong to another database, or to a later state of this one: " +
	"none are cleared away until you say, by tagma verify --claim, that they are this one's")

// Proof holds a database and a bucket.
type Proof struct {
	db     *database.DB
	bucket bucket.Bucket
	clock  instant.Clock
}

// New returns the proof of a database and a bucket. The caller closes both.
func New(db *database.DB, bucket bucket.Bucket, clock instant.Clock) *Proof {
	return &Proof{db, bucket, clock}
}

// minMarkAge is the age of a mark before the next renewal. minMarkAge is longer than any
// write of a mark takes: otherwise a slow server could write an old mark over a mark of
// two renewals later.
const minMarkAge = 30 * time.Minute

// marks holds the marks in the database. The bucket holds Current or, after a crash
// during a renewal, Previous.
type marks struct {
	Current   string          `json:"now"`
	CreatedAt instant.Instant `json:"since"`
	Previous  string          `json:"before,omitempty"`
}

// Renew checks whether database and bucket belong together, and returns ErrApart if not.
// Renew writes the first mark if there is no mark, and replaces a mark older than
// minMarkAge. Several servers may call Renew at once.
func (p *Proof) Renew(ctx context.Context) error {
	// Read the bucket first: if another server renews in between, the mark read is
	// the Previous of the database.
	bucketMark, err := p.readBucketMark(ctx)
	if err != nil {
		return err
	}
	dbMarks, err := p.databaseMarks(ctx)
	if err != nil {
		return err
	}
	switch bucketMark {
	case dbMarks.Current:
	case "", dbMarks.Previous: // a renewal is not finished
		if err := p.writeBucketMark(ctx, dbMarks.Current); err != nil {
			return err
		}
	default:
		return ErrApart
	}
	now := p.clock()
	if now.Sub(dbMarks.CreatedAt) < minMarkAge {
		return nil
	}
	next := marks{Current: rand.Text(), CreatedAt: now, Previous: dbMarks.Current}
	if done, err := p.replace(ctx, dbMarks, next); !done || err != nil {
		return err // if not done, another server has replaced the marks
	}
	return p.writeBucketMark(ctx, next.Current)
}

// Check returns ErrApart if database and bucket do not belong together. Check writes
// nothing. Check returns nil if either has no mark: Renew writes the first mark.
func (p *Proof) Check(ctx context.Context) error {
	bucketMark, err := p.readBucketMark(ctx) // first, as in Renew
	if err != nil || bucketMark == "" {
		return err
	}
	row, err := p.db.Checkpoint.Get(ctx, checkpointID)
	if ent.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var dbMarks marks
	if err := json.Unmarshal([]byte(row.Value), &dbMarks); err != nil {
		return err
	}
	if bucketMark != dbMarks.Current && bucketMark != dbMarks.Previous {
		return ErrApart
	}
	return nil
}

// Claim makes the bucket belong to the database, by writing the current mark of the
// database into the bucket. An operator claims a bucket after a restore of an older
// database.
func (p *Proof) Claim(ctx context.Context) error {
	dbMarks, err := p.databaseMarks(ctx)
	if err != nil {
		return err
	}
	return p.writeBucketMark(ctx, dbMarks.Current)
}

// databaseMarks returns the marks in the database, and writes the first mark if needed.
func (p *Proof) databaseMarks(ctx context.Context) (marks, error) {
	row, err := p.db.Checkpoint.Get(ctx, checkpointID)
	if ent.IsNotFound(err) {
		if err = p.createMarks(ctx); err == nil {
			row, err = p.db.Checkpoint.Get(ctx, checkpointID)
		}
	}
	if err != nil {
		return marks{}, err
	}
	var stored marks
	return stored, json.Unmarshal([]byte(row.Value), &stored)
}

// createMarks writes the first marks, unless another server was first.
func (p *Proof) createMarks(ctx context.Context) error {
	first, err := json.Marshal(marks{Current: rand.Text(), CreatedAt: p.clock()})
	if err != nil {
		return err
	}
	err = p.db.Write(ctx, func() error {
		return p.db.Checkpoint.Create().SetID(checkpointID).SetValue(string(first)).
			OnConflict(sql.ConflictColumns(checkpoint.FieldID), sql.DoNothing()).Exec(ctx)
	})
	if errors.Is(err, stdsql.ErrNoRows) {
		return nil
	}
	return err
}

// replace writes next over old, and reports whether the marks were still old.
func (p *Proof) replace(ctx context.Context, old, next marks) (done bool, err error) {
	before, err := json.Marshal(old)
	if err != nil {
		return false, err
	}
	after, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	err = p.db.Write(ctx, func() error {
		n, err := p.db.Checkpoint.Update().Where(checkpoint.ID(checkpointID), checkpoint.Value(string(before))).SetValue(string(after)).Save(ctx)
		done = n == 1
		return err
	})
	return done, err
}

// readBucketMark returns the mark in the bucket, or an empty text for a bucket without a
// mark.
func (p *Proof) readBucketMark(ctx context.Context) (string, error) {
	mark, err := bucket.ReadAll(ctx, p.bucket, bucketKey)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(mark), err
}

// writeBucketMark writes the mark in the bucket.
func (p *Proof) writeBucketMark(ctx context.Context, mark string) error {
	return bucket.WriteAll(ctx, p.bucket, bucketKey, []byte(mark))
}
