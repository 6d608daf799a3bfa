// Package labels owns the labels of video frames: the sets of points that a
// labeller places, how a submission is checked and recorded, what its file in
// the label repository looks like, and the queue by which it gets there.
//
// A submission is recorded in the database and acknowledged; the repository
// follows (see Outbox). So nothing waits for a remote, and nothing that was
// acknowledged is lost if one is down. The package does not know how commits
// and pushes are made: that is package labelrepo's.
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
	"tagma/internal/base/siblings"
	"tagma/internal/base/ttlcache"
	"tagma/internal/storage/database"
)

// Labels is the labels of one server. It is safe for concurrent use.
type Labels struct {
	db     *database.DB
	clock  instant.Clock
	limits page.Limits

	arrivals signal // sent when a submission is to be pushed: wakes the outbox
	news     signal // sent when some have been pushed or not: wakes those who wait
	onChange func(ids ...int64)
	held     atomic.Bool // whether this server pushes nothing because the repository is damaged
	crowd    crowd

	recent      ttlcache.Cache[question, found]
	surprised   atomic.Int64                    // when it was last wrong that a file was new: an instant
	definitions *lru.Cache[int64, []Definition] // of versions of label sets, by their ids: they never change
}

// OnChange says who is told of submissions that were recorded or have changed.
// It is called before anything else.
func (l *Labels) OnChange(tell func(ids ...int64)) { l.onChange = tell }

// tell tells of submissions that were recorded or have changed.
func (l *Labels) tell(ids ...int64) {
	if l.onChange != nil {
		l.onChange(ids...)
	}
}

// settled tells of submissions for which nobody needs to wait any more.
func (l *Labels) settled(ids ...int64) {
	l.news.send()
	l.tell(ids...)
}

// New is the labels in db.
func New(db *database.DB, clock instant.Clock, limits page.Limits) *Labels {
	definitions, _ := lru.New[int64, []Definition](100) // the size is right
	return &Labels{db: db, clock: clock, limits: limits, crowd: crowd{turn: make(chan struct{}, 1)}, definitions: definitions}
}

// signal wakes all who wait for it.
type signal struct {
	mu   sync.Mutex
	next chan struct{}
}

// wait is closed by the next send.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

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

// DefaultSet is the set that a submission is checked against if it names none:
// there from the start, the six points of a rat that the annotation receiver
// knew.
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

// Ensure makes the default label set, if it is not there.
func (l *Labels) Ensure(ctx context.Context) error {
	kept, err := rawjson.Of(paws)
	if err != nil {
		return err
	}
	err = l.db.LabelSet.Create().SetName(DefaultSet).SetVersion(1).SetLabels(kept).SetCreatedAt(l.clock()).
		OnConflict(sql.ConflictColumns(labelset.FieldName, labelset.FieldVersion), sql.DoNothing()).Exec(ctx)
	if errors.Is(err, stdsql.ErrNoRows) { // it is
		return nil
	}
	return err
}

// CreateSet makes a label set, or a new version of one. A set that is the same
// as its last version is that version.
func (l *Labels) CreateSet(ctx context.Context, name string, definitions []Definition) (*ent.LabelSet, error) {
	if err := checkSet(name, definitions); err != nil {
		return nil, err
	}
	kept, err := rawjson.Of(definitions)
	if err != nil {
		return nil, err
	}
	defer l.recent.Forget()
	for {
		last, err := l.Set(ctx, name)
		if err != nil {
			return nil, err
		}
		version := 1
		if last == nil {
			if err := l.checkRoom(ctx); err != nil {
				return nil, err
			}
		} else {
			if string(last.Labels) == string(kept) {
				return last, nil
			}
			version = last.Version + 1
		}
		var made *ent.LabelSet
		err = l.db.InTx(ctx, func(tx *ent.Tx) (err error) {
			made, err = tx.LabelSet.Create().SetName(name).SetVersion(version).SetLabels(kept).SetCreatedAt(l.clock()).Save(ctx)
			return err
		})
		if !database.IsUnique(err) { // else another has just made this version: look again
			return made, err
		}
	}
}

// checkRoom refuses to make more label sets than all can be listed at once.
func (l *Labels) checkRoom(ctx context.Context) error {
	n, err := l.db.LabelSet.Query().Where(labelset.Version(1)).Count(ctx)
	if err == nil && n >= maxSets {
		err = fault.New(fault.TooLarge, "there are %d label sets: no more are taken", n)
	}
	return err
}

func checkSet(name string, definitions []Definition) error {
	var problems fault.Problems
	checkText(&problems, []any{"input", "name"}, name, maxSetName)
	if len(definitions) == 0 || len(definitions) > maxDefinitions {
		problems.Add(fault.BadInput, []any{"input", "labels"}, "has %d labels: give from 1 to %d", len(definitions), maxDefinitions)
	}
	seen := map[string]bool{}
	for n, d := range definitions {
		checkText(&problems, []any{"input", "labels", n, "id"}, d.ID, maxIDLength)
		checkText(&problems, []any{"input", "labels", n, "name"}, d.Name, maxNameLength)
		if seen[d.ID] {
			problems.Add(fault.BadInput, []any{"input", "labels", n, "id"}, "%.40q is there twice", d.ID)
		}
		seen[d.ID] = true
	}
	return problems.Err()
}

// Set is the last version of the label set of that name, or nil.
func (l *Labels) Set(ctx context.Context, name string) (*ent.LabelSet, error) {
	found, err := l.db.LabelSet.Query().Where(labelset.Name(name)).
		Order(labelset.ByVersion(sql.OrderDesc())).First(ctx)
	if ent.IsNotFound(err) {
		return nil, nil //nolint:nilnil // the schema's null
	}
	return found, err
}

// Sets is the last version of every label set, by name.
func (l *Labels) Sets(ctx context.Context) ([]*ent.LabelSet, error) {
	return l.db.LabelSet.Query().Where(func(s *sql.Selector) {
		newer := sql.Table(labelset.Table).As("newer")
		s.Where(sql.NotExists(sql.Select().From(newer).Where(sql.And(
			sql.ColumnsEQ(newer.C(labelset.FieldName), s.C(labelset.FieldName)),
			sql.ColumnsGT(newer.C(labelset.FieldVersion), s.C(labelset.FieldVersion)),
		))))
	}).Order(labelset.ByName()).All(ctx)
}

// SetsByID gives the versions of label sets with these ids.
func (l *Labels) SetsByID(ctx context.Context, ids []int64) (map[int64]*ent.LabelSet, error) {
	all, err := l.db.LabelSet.Query().Where(database.AmongNumbers(labelset.FieldID, ids)).All(ctx)
	group := siblings.NewGroup(all)
	found := make(map[int64]*ent.LabelSet, len(all))
	for _, one := range all {
		one.Group = group
		found[one.ID] = one
	}
	return found, err
}

// definitionsOf are the labels of the version of a set with that id, as it is
// kept. All who ask share them.
func (l *Labels) definitionsOf(id int64, kept []byte) ([]Definition, error) {
	if known, ok := l.definitions.Get(id); ok {
		return known, nil
	}
	all, err := Definitions(&ent.LabelSet{Labels: kept})
	if err == nil {
		l.definitions.Add(id, all)
	}
	return all, err
}

// Definitions are the labels of a set.
func Definitions(set *ent.LabelSet) ([]Definition, error) {
	var all []Definition
	err := json.Unmarshal(set.Labels, &all)
	return all, err
}
