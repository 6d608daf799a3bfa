// Package idempotency owns the rules for a mutation that a client sends again with
// the same Idempotency-Key: the mutation takes effect once, and the second request
// gets the answer to the first. ADR 11 states the guarantees, and why neither a
// crash at any moment nor a second server breaks them.
//
// Package idempotency does not own the HTTP headers (package transport), nor the
// list of mutations that may run again without harm (the contract).
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
	Lifetime = 24 * time.Hour // of a key, from the first request
	MaxKey   = 255            // characters of a key

	MaxAnswer = 1 << 20  // bytes of a stored answer
	maxStored = 32 << 20 // bytes of all stored answers of one sender

	// lease is the time after which a run without an end no longer blocks other
	// runs. The lease bounds the wait after a crash, not the run: see Run.Context.
	lease = time.Minute

	// pause is the RetryAfter of a request while another run is under way.
	pause = time.Second

	// ending is the timeout of storing an answer. The timeout does not depend on
	// the deadline of the request.
	ending = 10 * time.Second
)

// Keeper stores the requests with a key in one database. Keeper is safe for
// concurrent use, also by several servers.
type Keeper struct {
	db    *database.DB
	clock instant.Clock
}

// New returns a keeper on db. The caller closes db.
func New(db *database.DB, clock instant.Clock) *Keeper { return &Keeper{db: db, clock: clock} }

// Request is a mutation with a key.
type Request struct {
	Sender     string            // owner of the key: equal keys of two senders are different keys
	Key        string            // 1 to MaxKey characters
	Content    [sha256.Size]byte // hash of the whole request
	Repeatable bool              // another run does no harm
}

// Run is one run of a request. The caller of Begin must call End.
type Run struct {
	keeper  *Keeper
	request Request
	id      string
	name    string // of the run, random
}

// Begin returns either a new run, or the stored answer of an earlier run.
//
// Faults: KeyReused if the key came with another request before, Unavailable while
// another run is under way, and AnswerNotKept if an earlier run took effect and its
// answer is not stored.
func (k *Keeper) Begin(ctx context.Context, request Request) (*Run, []byte, error) {
	id := sha256.Sum256([]byte(request.Sender + "\x00" + request.Key))
	run := &Run{keeper: k, request: request, id: hex.EncodeToString(id[:]), name: rand.Text()}
	var begun bool
	var answer []byte
	err := database.RetryConflict(ctx, func() (err error) {
		begun, answer, err = run.begin(ctx)
		return err
	})
	if err != nil || !begun {
		return nil, answer, err
	}
	return run, nil, nil
}

// begin records the run, or returns the answer that the request got before. It
// returns database.ErrConflict if the record was deleted or changed in the meantime.
func (r *Run) begin(ctx context.Context) (begun bool, answer []byte, err error) {
	inserted, err := r.insert(ctx)
	if inserted || err != nil {
		return inserted, nil, err
	}
	record, err := r.keeper.db.KeyedRequest.Get(ctx, r.id)
	if ent.IsNotFound(err) {
		return false, nil, database.ErrConflict
	}
	if err != nil {
		return false, nil, err
	}
	if now := r.keeper.clock(); record.ExpiresAt <= now {
		_, err := r.keeper.db.KeyedRequest.Delete().Where(keyedrequest.ID(r.id), keyedrequest.ExpiresAtLTE(now)).Exec(ctx)
		if err != nil {
			return false, nil, err
		}
		return false, nil, database.ErrConflict
	}
	runAgain, err := r.decide(record)
	if err != nil {
		return false, nil, err
	}
	if !runAgain {
		return false, *record.Answer, nil
	}
	taken, err := r.takeOver(ctx, record)
	if !taken && err == nil {
		err = database.ErrConflict
	}
	return taken, nil, err
}

// insert stores a new request, and reports whether the request was new.
func (r *Run) insert(ctx context.Context) (inserted bool, err error) {
	now := r.keeper.clock()
	err = r.keeper.db.KeyedRequest.Create().
		SetID(r.id).SetSender(r.request.Sender).SetFingerprint(r.fingerprint()).SetRun(r.name).
		SetLeasedUntil(r.lease(ctx, now)).SetExpiresAt(now.Add(Lifetime)).
		OnConflict(sql.ConflictColumns(keyedrequest.FieldID), sql.DoNothing()).Exec(ctx)
	if errors.Is(err, stdsql.ErrNoRows) { // the request exists
		return false, nil
	}
	return err == nil, err
}

// decide reports whether a stored request runs again; if not, the request gets the
// stored answer. If neither is possible, decide returns a fault with the reason.
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

// takeOver replaces an earlier run of the request. An earlier run that is still
// under way can commit nothing any more.
func (r *Run) takeOver(ctx context.Context, record *ent.KeyedRequest) (ok bool, err error) {
	n, err := r.keeper.db.KeyedRequest.Update().
		Where(keyedrequest.ID(r.id), keyedrequest.Run(record.Run), keyedrequest.Effective(record.Effective), keyedrequest.StateEQ(record.State)).
		SetRun(r.name).SetState(keyedrequest.StateRUNNING).SetLeasedUntil(r.lease(ctx, r.keeper.clock())).Save(ctx)
	return n == 1, err
}

// lease returns the end of the lease of a run. A run ends by its deadline.
func (r *Run) lease(ctx context.Context, now instant.Instant) instant.Instant {
	left := lease
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	return now.Add(left)
}

// fingerprint returns a MAC of the request, to distinguish requests with one key. A
// request may contain a password, and with a plain hash a reader of the database
// could test guesses. The key of the MAC is the Idempotency-Key, a random text
// outside of the database.
func (r *Run) fingerprint() string {
	mac := hmac.New(sha256.New, []byte(r.request.Key))
	mac.Write(r.request.Content[:])
	return hex.EncodeToString(mac.Sum(nil))
}

// Context returns the context for the run. The context has the deadline of ctx, but
// does not end when the client disconnects: a client with a key will ask for the
// answer later.
//
// Each transaction with the context also records that the run took effect, and
// fails if another run has begun meanwhile. A repeatable request records nothing.
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

// takeEffect records the effect of the run, as the last step of each transaction.
func (r *Run) takeEffect(ctx context.Context, tx *ent.Tx) error {
	n, err := tx.KeyedRequest.Update().Where(r.currentRun()...).SetEffective(true).Save(ctx)
	if err == nil && n == 0 {
		err = fault.New(fault.Unavailable, "this request took so long that it was begun anew: send it again with the same key")
	}
	return err
}

// currentRun returns the condition that no other run has begun.
func (r *Run) currentRun() []predicate.KeyedRequest {
	return []predicate.KeyedRequest{keyedrequest.ID(r.id), keyedrequest.Run(r.name)}
}

// Answer is the result of a run.
type Answer struct {
	Body   []byte
	Large  bool // the answer is longer than MaxAnswer, and Body is empty
	Failed bool // the answer has errors beside data
	Secret bool // the answer holds a secret, and must not be stored
}

// End stores the answer of the run. If the run failed without an effect, End deletes
// the request, so that the client can send the request again. A nil answer means
// that the run failed as a whole.
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
	if answer == nil { // the run took effect before the failure
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

// stateOf returns the state of the request after answer: ANSWERED if the answer can be
// stored.
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

// Sweep deletes expired keys, and returns their number.
func (k *Keeper) Sweep(ctx context.Context) (int, error) {
	return k.db.KeyedRequest.Delete().Where(keyedrequest.ExpiresAtLTE(k.clock())).Exec(ctx)
}
