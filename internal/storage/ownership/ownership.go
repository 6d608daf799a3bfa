// Package ownership owns the proof that a database and a store of files belong
// together. A server that was given another database by mistake, or an older
// copy of its own, knows nothing of the files that came since: it must not
// clear them away as files that nobody needs.
//
// Both keep the same mark, which is a new one each time that the proof is
// renewed. A store whose mark a database has not made last is not that
// database's, or is ahead of it. The package does not own what is cleared away.
package ownership

import (
	"context"
	"crypto/rand"
	stdsql "database/sql"
	"encoding/json"
	"errors"
	"time"

	"entgo.io/ent/dialect/sql"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/internal/base/instant"
	"tagma/internal/storage/database"
)

// Where the marks are: a file of the store, and a checkpoint.
const (
	bucketKey    = "pairing"
	checkpointID = "pairing"
)

// ErrApart says that the store belongs to another database, or to a later state
// of this one.
var ErrApart = errors.New("the files belong to another database, or to a later state of this one: " +
	"none are cleared away until you say, by tagma verify --claim, that they are this one's")

// Proof is a database and a store of files.
type Proof struct {
	db     *database.DB
	bucket *blob.Bucket
	clock  instant.Clock
}

// New is the pairing of a database with a store. The caller closes both.
func New(db *database.DB, bucket *blob.Bucket, clock instant.Clock) *Proof {
	return &Proof{db, bucket, clock}
}

// lasting is how long a mark stays at least: longer than any server takes to
// write it, so that none brings back a mark that has been replaced twice.
const minMarkAge = 30 * time.Minute

// marks are what the database keeps. The store keeps the first of them, or,
// after a crash, the second.
type marks struct {
	Current   string          `json:"now"`
	CreatedAt instant.Instant `json:"since"`
	Previous  string          `json:"before,omitempty"`
}

// Renew proves that the two belong together, or returns ErrApart. Those that
// have no mark yet are given one. Several servers may renew at once.
func (p *Proof) Renew(ctx context.Context) error {
	// The store first: if another server renews in between, what was read is the
	// database's mark of before.
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
	case "", dbMarks.Previous: // what a renewal did not get done, or not yet
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
		return err // not done: another server did
	}
	return p.writeBucketMark(ctx, next.Current)
}

// Check returns ErrApart if the two do not belong together, and writes nothing. A
// store or a database without a mark belongs to any: Renew has yet to give one.
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

// Claim says that the store belongs to this database as it is, whatever was
// true before.
func (p *Proof) Claim(ctx context.Context) error {
	dbMarks, err := p.databaseMarks(ctx)
	if err != nil {
		return err
	}
	return p.writeBucketMark(ctx, dbMarks.Current)
}

// ofDatabase is the database's marks, which are made if there are none.
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

// begin gives the database its first mark, unless another server just has.
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

// replace puts other marks in the place of the database's, and says whether they
// were still the same.
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

// ofStore is the store's mark, or empty.
func (p *Proof) readBucketMark(ctx context.Context) (string, error) {
	mark, err := p.bucket.ReadAll(ctx, bucketKey)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return "", nil
	}
	return string(mark), err
}

// give gives the store a mark.
func (p *Proof) writeBucketMark(ctx context.Context, mark string) error {
	return p.bucket.WriteAll(ctx, bucketKey, []byte(mark), &blob.WriterOptions{ContentType: "text/plain"})
}
