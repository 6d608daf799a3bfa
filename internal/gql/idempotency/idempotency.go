// Package idempotency owns what becomes of a mutation that is sent again under
// one Idempotency-Key: it takes effect once, and is answered as it was the first
// time. ADR 11 says what is promised, and why a crash at any moment, or a second
// server, cannot break it.
//
// It does not own how a key and an answer travel, nor which mutations may be run
// again without harm: package transport knows the one, the contract the other.
package idempotency

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	stdsql "database/sql"
	"encoding/hex"
	"errors"
	"time"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/keyedrequest"
	"tagma/ent/generated/predicate"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/storage/database"
)

// The bounds.
const (
	Lifetime = 24 * time.Hour // of a key, from its first request
	MaxKey   = 255            // characters of a key

	MaxAnswer = 1 << 20  // bytes of an answer that is kept
	maxStored = 32 << 20 // bytes of all answers that are kept for one sender

	// lease is how long a run is taken to be under way that does not end. It
	// bounds the wait after a crash, not the run: see Run.Context.
	lease = time.Minute

	// pause is how long to wait before asking again for a request under way.
	pause = time.Second

	// ending is the time that the record of an answer has, whatever became of
	// the request.
	ending = 10 * time.Second
)

// Keeper keeps the requests of one database. It is safe for concurrent use, and
// so are several of them on several servers.
type Keeper struct {
	db    *database.DB
	clock instant.Clock
}

// New is a keeper on db. The caller closes db.
func New(db *database.DB, clock instant.Clock) *Keeper { return &Keeper{db: db, clock: clock} }

// Request is a mutation that was sent under a key.
type Request struct {
	Sender     string            // whose the key is: others have keys of their own
	Key        string            // 1 to MaxKey characters
	Content    [sha256.Size]byte // hash of all that was asked
	Repeatable bool              // to run it again does no harm
}

// Run is one run of a request. It must be ended.
type Run struct {
	keeper  *Keeper
	request Request
	id      string
	name    string // of this run
}

// Begin is either a run, which the caller is to carry out, or the answer that
// the request got before.
//
// Faults: KeyReused where the key came with something else, Unavailable while
// another run is under way, AnswerNotKept where there was an effect and there is
// no answer to show.
func (k *Keeper) Begin(ctx context.Context, request Request) (*Run, []byte, error) {
	id := sha256.Sum256([]byte(request.Sender + "\x00" + request.Key))
	run := &Run{keeper: k, request: request, id: hex.EncodeToString(id[:]), name: rand.Text()}
	for {
		inserted, err := run.insert(ctx)
		if inserted || err != nil {
			return run, nil, err
		}
		record, err := k.db.KeyedRequest.Get(ctx, run.id)
		if ent.IsNotFound(err) {
			continue // it has just been forgotten
		}
		if err != nil {
			return nil, nil, err
		}
		if now := k.clock(); record.ExpiresAt <= now {
			_, err := k.db.KeyedRequest.Delete().Where(keyedrequest.ID(run.id), keyedrequest.ExpiresAtLTE(now)).Exec(ctx)
			if err != nil {
				return nil, nil, err
			}
			continue
		}
		runAgain, err := run.decide(record)
		if err != nil {
			return nil, nil, err
		}
		if !runAgain {
			return nil, *record.Answer, nil
		}
		if ok, err := run.takeOver(ctx, record); ok || err != nil {
			return run, nil, err
		}
	}
}

// insert makes the record of a request that is new.
func (r *Run) insert(ctx context.Context) (inserted bool, err error) {
	now := r.keeper.clock()
	err = r.keeper.db.KeyedRequest.Create().
		SetID(r.id).SetSender(r.request.Sender).SetFingerprint(r.fingerprint()).SetRun(r.name).
		SetLeasedUntil(r.lease(ctx, now)).SetExpiresAt(now.Add(Lifetime)).
		OnConflict(sql.ConflictColumns(keyedrequest.FieldID), sql.DoNothing()).Exec(ctx)
	if errors.Is(err, stdsql.ErrNoRows) { // there is one already
		return false, nil
	}
	return err == nil, err
}

// decide says whether a request that is known is to be run again, or that it is
// to be answered as before. Or it is neither, and the fault says why.
func (r *Run) decide(record *ent.KeyedRequest) (runAgain bool, err error) {
	if record.Fingerprint != r.fingerprint() {
		return false, fault.New(fault.KeyReused, "this Idempotency-Key was sent with another request before: make a new key for each")
	}
	notStored := func(why string) (bool, error) {
		if r.request.Repeatable {
			return true, nil
		}
		return false, fault.New(fault.AnswerNotKept,
			"this request has taken effect before, and %s: look at what is there; to do it once more, send it with a new key", why)
	}
	switch {
	case record.State == keyedrequest.StateANSWERED:
		return false, nil
	case record.State == keyedrequest.StateSECRET:
		return notStored("its answer held a secret, which is shown once")
	case record.State == keyedrequest.StateTOO_LARGE:
		return notStored("its answer was too large to be kept")
	case record.LeasedUntil > r.keeper.clock():
		underWay := fault.New(fault.Unavailable, "the request with this Idempotency-Key is still under way: try again")
		underWay.RetryAfter = pause
		return false, underWay
	case record.Effective:
		return notStored("its answer was lost")
	}
	return true, nil
}

// takeOver makes this the run of a request whose last one did not end. That
// one, if it still goes on, can commit nothing any more.
func (r *Run) takeOver(ctx context.Context, record *ent.KeyedRequest) (ok bool, err error) {
	n, err := r.keeper.db.KeyedRequest.Update().
		Where(keyedrequest.ID(r.id), keyedrequest.Run(record.Run), keyedrequest.Effective(record.Effective), keyedrequest.StateEQ(record.State)).
		SetRun(r.name).SetState(keyedrequest.StateRUNNING).SetLeasedUntil(r.lease(ctx, r.keeper.clock())).Save(ctx)
	return n == 1, err
}

// lease is until when a run is taken to be under way: it has ended by its
// deadline.
func (r *Run) lease(ctx context.Context, now instant.Instant) instant.Instant {
	left := lease
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	return now.Add(left)
}

// fingerprint tells requests of one key apart. What was asked may hold a
// password, and a plain hash would let whoever reads the database try guesses;
// so the key goes into it, which is random and is not kept.
func (r *Run) fingerprint() string {
	mac := hmac.New(sha256.New, []byte(r.request.Key))
	mac.Write(r.request.Content[:])
	return hex.EncodeToString(mac.Sum(nil))
}

// Context is that in which the request is to be carried out. It has the deadline
// of ctx, and does not end when the client goes away: who sends under a key will
// come back for the answer.
//
// With it, whatever changes something says so in the same transaction. That
// fails if another run has begun meanwhile. What may be repeated goes without.
func (r *Run) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithoutCancel(ctx), context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		inner, cancel = context.WithDeadline(inner, deadline)
	}
	if !r.request.Repeatable {
		inner = database.BeforeCommit(inner, r.takeEffect)
	}
	return inner, cancel
}

// takeEffect is the last step of each transaction.
func (r *Run) takeEffect(ctx context.Context, tx *ent.Tx) error {
	n, err := tx.KeyedRequest.Update().Where(r.currentRun()...).SetEffective(true).Save(ctx)
	if err == nil && n == 0 {
		err = fault.New(fault.Unavailable, "this request took so long that it was begun anew: send it again with the same key")
	}
	return err
}

// currentRun is the condition that no other run has begun.
func (r *Run) currentRun() []predicate.KeyedRequest {
	return []predicate.KeyedRequest{keyedrequest.ID(r.id), keyedrequest.Run(r.name)}
}

// Answer is how a run has ended.
type Answer struct {
	Body   []byte
	Large  bool // it is longer than MaxAnswer, and Body is left out
	Failed bool // it has errors beside its data
	Secret bool // it holds what must not be kept
}

// End records how the run has ended: its answer is kept, or, if it failed and
// nothing took effect, the request is as if it had never been sent. A nil answer
// is that of a run that came to nothing worth telling: it failed as a whole.
func (r *Run) End(ctx context.Context, answer *Answer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	if answer == nil || answer.Failed {
		conditions := r.currentRun()
		if !r.request.Repeatable {
			conditions = append(conditions, keyedrequest.Effective(false))
		}
		n, err := r.keeper.db.KeyedRequest.Delete().Where(conditions...).Exec(ctx)
		if n > 0 || err != nil {
			return err
		}
	}
	update := r.keeper.db.KeyedRequest.Update().Where(r.currentRun()...)
	if answer == nil { // it had an effect all the same
		return update.SetLeasedUntil(r.keeper.clock()).Exec(ctx)
	}
	state, err := r.stateOf(ctx, answer)
	if err != nil {
		return err
	}
	if update.SetState(state); state == keyedrequest.StateANSWERED {
		update.SetAnswer(answer.Body).SetSize(len(answer.Body))
	}
	return update.Exec(ctx)
}

// stateOf says whether an answer is kept.
func (r *Run) stateOf(ctx context.Context, answer *Answer) (keyedrequest.State, error) {
	if answer.Secret {
		return keyedrequest.StateSECRET, nil
	}
	if answer.Large || len(answer.Body) > MaxAnswer {
		return keyedrequest.StateTOO_LARGE, nil
	}
	var stored []struct{ Sum int }
	err := r.keeper.db.KeyedRequest.Query().Where(keyedrequest.Sender(r.request.Sender)).
		Aggregate(func(s *sql.Selector) string {
			return "COALESCE(" + sql.Sum(s.C(keyedrequest.FieldSize)) + ", 0) AS sum"
		}).Scan(ctx, &stored)
	if err != nil {
		return "", err
	}
	if stored[0].Sum+len(answer.Body) > maxStored {
		return keyedrequest.StateTOO_LARGE, nil
	}
	return keyedrequest.StateANSWERED, nil
}

// Sweep forgets keys whose time is over, and says how many.
func (k *Keeper) Sweep(ctx context.Context) (int, error) {
	return k.db.KeyedRequest.Delete().Where(keyedrequest.ExpiresAtLTE(k.clock())).Exec(ctx)
}
