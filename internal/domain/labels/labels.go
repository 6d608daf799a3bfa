// Package labels owns the labels of video frames: label sets, the validation and
// recording of submissions, the form of a submission's file in the label repository,
// and the queue from the database to the repository.
//
// Submit records a submission in the database and acknowledges the submission. The
// Outbox brings the submission into the repository later. So no submission waits for
// a remote, and an unreachable remote loses no acknowledged submission. Package
// labels does not own commits and pushes: package labelrepo does.
package labels

import (
	"context"
	stdsql "database/sql"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"

	"entgo.io/ent/dialect/sql"
	lru "github.com/hashicorp/golang-lru/v2"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelset"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
	"tagma/internal/base/ttlcache"
	"tagma/internal/storage/database"
)

// Service records and returns the labels of one server. A Service is safe for
// concurrent use.
type Service struct {
	db     *database.DB
	clock  instant.Clock
	limits page.Limits

	arrivals    signal // sent when a submission waits for the outbox; wakes the outbox
	settlements signal // sent when submissions are pushed or have failed; wakes Await
	onChange    func(ids ...int64)
	held        atomic.Bool // whether this server pushes nothing because the repository is damaged
	group       groupCommit

	lookups      ttlcache.Cache[lookupKey, lookup]
	lastConflict atomic.Int64                    // the instant when a cached lookup was last stale
	definitions  *lru.Cache[int64, []Definition] // by the id of the label set's version, which never changes
}

// OnChange sets the function to call with the ids of recorded or changed submissions.
// OnChange must be called before any other method.
func (l *Service) OnChange(notify func(ids ...int64)) { l.onChange = notify }

// notify reports recorded or changed submissions to the function of OnChange.
func (l *Service) notify(ids ...int64) {
	if l.onChange != nil {
		l.onChange(ids...)
	}
}

// notifySettled reports submissions to callers of Await, and to the function of
// OnChange.
func (l *Service) notifySettled(ids ...int64) {
	l.settlements.send()
	l.notify(ids...)
}

// New returns a Service for a database.
func New(db *database.DB, clock instant.Clock, limits page.Limits) *Service {
	definitions, _ := lru.New[int64, []Definition](100) // fails only for a size below 1
	return &Service{db: db, clock: clock, limits: limits, group: groupCommit{turn: make(chan struct{}, 1)}, definitions: definitions}
}

// signal wakes all waiting goroutines.
type signal struct {
	mu   sync.Mutex
	next chan struct{}
}

// wait returns a channel. The next send closes the channel.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

// send closes the channel that wait returned.
func (s *signal) send() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}

// Definition is one point of a label set.
type Definition struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// DefaultSet is the label set of a submission without the name of a set: the six
// points of a rat, as in the annotation receiver. The server creates the set at its
// first start.
const DefaultSet = "paws"

var paws = []Definition{
	{"left_front_paw", "Left front paw"},
	{"right_front_paw", "Right front paw"},
	{"left_hind_paw", "Left hind paw"},
	{"right_hind_paw", "Right hind paw"},
	{"nose", "Nose"},
	{"tail_base", "Tail base"},
}

// Bounds of a label set.
const (
	maxSets        = 1000
	maxSetName     = 100
	maxDefinitions = 500
	maxIDLength    = 100
	maxNameLength  = 200
)

// Ensure creates the default label set if the set does not exist.
func (l *Service) Ensure(ctx context.Context) error {
	encoded, err := rawjson.Of(paws)
	if err != nil {
		return err
	}
	err = l.db.LabelSet.Create().SetName(DefaultSet).SetVersion(1).SetLabels(encoded).SetCreatedAt(l.clock()).
		OnConflict(sql.ConflictColumns(labelset.FieldName, labelset.FieldVersion), sql.DoNothing()).Exec(ctx)
	if errors.Is(err, stdsql.ErrNoRows) { // there is a set already
		return nil
	}
	return err
}

// CreateSet creates a label set, or a new version of a label set, and returns the
// version. If the last version has the same labels, CreateSet returns the last
// version.
func (l *Service) CreateSet(ctx context.Context, name string, definitions []Definition) (*ent.LabelSet, error) {
	if err := validateSet(name, definitions); err != nil {
		return nil, err
	}
	encoded, err := rawjson.Of(definitions)
	if err != nil {
		return nil, err
	}
	defer l.lookups.Clear()
	var set *ent.LabelSet
	err = database.RetryConflict(ctx, func() error { // another request may create the same version
		last, err := l.Set(ctx, name)
		if err != nil {
			return err
		}
		version := 1
		if last == nil {
			if err := l.checkRoom(ctx); err != nil {
				return err
			}
		} else {
			if string(last.Labels) == string(encoded) {
				set = last
				return nil
			}
			version = last.Version + 1
		}
		return l.db.InTx(ctx, func(tx *ent.Tx) (err error) {
			set, err = tx.LabelSet.Create().SetName(name).SetVersion(version).SetLabels(encoded).SetCreatedAt(l.clock()).Save(ctx)
			return err
		})
	})
	return set, err
}

// checkRoom returns an error if there are maxSets label sets, because one page lists
// all sets.
func (l *Service) checkRoom(ctx context.Context) error {
	n, err := l.db.LabelSet.Query().Where(labelset.Version(1)).Count(ctx)
	if err == nil && n >= maxSets {
		err = fault.New(fault.TooLarge, "there are %d label sets: no more are taken", n)
	}
	return err
}

// validateSet returns an error with all problems of a label set.
func validateSet(name string, definitions []Definition) error {
	var problems fault.Problems
	validateText(&problems, []any{"input", "name"}, name, maxSetName)
	if len(definitions) == 0 || len(definitions) > maxDefinitions {
		problems.Add(fault.BadInput, []any{"input", "labels"}, "has %d labels: give from 1 to %d", len(definitions), maxDefinitions)
	}
	seen := map[string]bool{}
	for n, d := range definitions {
		validateText(&problems, []any{"input", "labels", n, "key"}, d.ID, maxIDLength)
		validateText(&problems, []any{"input", "labels", n, "name"}, d.Name, maxNameLength)
		if seen[d.ID] {
			problems.Add(fault.BadInput, []any{"input", "labels", n, "key"}, "%.40q is there twice", d.ID)
		}
		seen[d.ID] = true
	}
	return problems.Err()
}

// Set returns the last version of a label set, or nil for an unknown name.
func (l *Service) Set(ctx context.Context, name string) (*ent.LabelSet, error) {
	set, err := l.db.LabelSet.Query().Where(labelset.Name(name)).
		Order(labelset.ByVersion(sql.OrderDesc())).First(ctx)
	if ent.IsNotFound(err) {
		return nil, nil //nolint:nilnil // the schema's null
	}
	return set, err
}

// Sets returns the last version of every label set, by name.
func (l *Service) Sets(ctx context.Context) ([]*ent.LabelSet, error) {
	return l.db.LabelSet.Query().Where(func(s *sql.Selector) {
		newer := sql.Table(labelset.Table).As("newer")
		s.Where(sql.NotExists(sql.Select().From(newer).Where(sql.And(
			sql.ColumnsEQ(newer.C(labelset.FieldName), s.C(labelset.FieldName)),
			sql.ColumnsGT(newer.C(labelset.FieldVersion), s.C(labelset.FieldVersion)),
		))))
	}).Order(labelset.ByName()).All(ctx)
}

// SetsByID returns versions of label sets by id. An id without a row is left out.
func (l *Service) SetsByID(ctx context.Context, ids []int64) (map[int64]*ent.LabelSet, error) {
	all, err := l.db.LabelSet.Query().Where(database.AmongNumbers(labelset.FieldID, ids)).All(ctx)
	return ent.LabelSets(all).Siblings().ByID(), err
}

// cachedDefinitions returns the labels of a version of a set. The JSON of a version
// is decoded once. All callers share the slice.
func (l *Service) cachedDefinitions(id int64, encoded []byte) ([]Definition, error) {
	if cached, ok := l.definitions.Get(id); ok {
		return cached, nil
	}
	all, err := Definitions(&ent.LabelSet{Labels: encoded})
	if err == nil {
		l.definitions.Add(id, all)
	}
	return all, err
}

// Definitions returns the labels of a set.
func Definitions(set *ent.LabelSet) ([]Definition, error) {
	var all []Definition
	err := json.Unmarshal(set.Labels, &all)
	return all, err
}
