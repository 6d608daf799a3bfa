package events

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"tagma/internal/database"
	"tagma/internal/testenv"
)

// thing is a row of devices, which serve as things to tell of.
type thing struct{ id int64 }

// world is a table of things with a state, beside a real database.
type world struct {
	mu     sync.Mutex
	states map[int64]string
	loads  int
}

func (w *world) load(_ context.Context, ids []int64) (map[int64]*thing, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loads++
	found := map[int64]*thing{}
	for _, id := range ids {
		if _, ok := w.states[id]; ok {
			found[id] = &thing{id}
		}
	}
	return found, nil
}

func (w *world) state(t *thing) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.states[t.id], w.states[t.id] == "final"
}

func (w *world) set(state string, ids ...int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		w.states[id] = state
	}
}

// lab is a hub with a topic on a database that has a table of things.
type lab struct {
	*world
	db    *database.DB
	topic *Topic[*thing]
}

// each runs a test on both databases. States says whether things change.
func each(t *testing.T, states bool, test func(t *testing.T, l *lab)) {
	t.Helper()
	for name, url := range map[string]string{"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "tagma.db"), "PostgreSQL": testenv.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			db, err := database.Open(t.Context(), url, database.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			if _, err := db.SQL.ExecContext(t.Context(), "CREATE TABLE things (id bigint PRIMARY KEY)"); err != nil {
				t.Fatal(err)
			}
			test(t, open(t, db, &world{states: map[int64]string{}}, states))
		})
	}
}

// open is a server with a hub, which ends with the test.
func open(t *testing.T, db *database.DB, w *world, states bool) *lab {
	t.Helper()
	hub := New(db, slog.New(slog.DiscardHandler))
	source := Source[*thing]{Name: "things", Table: "things", Load: w.load}
	if states {
		source.State = w.state
	}
	l := &lab{w, db, NewTopic(hub, source)}
	ctx, stop := context.WithCancel(t.Context())
	ended := hub.Start(ctx)
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return l
}

// commit adds things, and tells nobody.
func (l *lab) commit(t *testing.T, ids ...int64) {
	t.Helper()
	for _, id := range ids {
		if _, err := l.db.SQL.ExecContext(t.Context(), "INSERT INTO things (id) VALUES ($1)", id); err != nil {
			t.Fatal(err)
		}
	}
	l.set("new", ids...)
}

func (l *lab) listen(t *testing.T, wants func(*thing) bool) *Listener[*thing] {
	t.Helper()
	listener, err := l.topic.Listen(t.Context(), wants)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func all(*thing) bool { return true }

// next is the ids of so many things that a listener hears of.
func next(t *testing.T, l *Listener[*thing], count int) []int64 {
	t.Helper()
	var ids []int64
	for range count {
		select {
		case one := <-l.C:
			ids = append(ids, one.id)
		case <-time.After(30 * time.Second):
			t.Fatalf("after %v nothing comes", ids)
		}
	}
	return ids
}

func TestListen_HearsOfWhatIsWantedOnceAndOfNothingThatWasBefore(t *testing.T) {
	each(t, false, func(t *testing.T, l *lab) {
		l.commit(t, 1)
		l.topic.Tell(1)
		even := l.listen(t, func(one *thing) bool { return one.id%2 == 0 })
		any := l.listen(t, all)
		l.commit(t, 2, 3, 4)
		l.topic.Tell(2, 3)
		l.topic.Tell(3, 2, 4)
		if got := next(t, even, 2); !slices.Equal(got, []int64{2, 4}) {
			t.Errorf("%v", got)
		}
		if got := next(t, any, 3); !slices.Equal(got, []int64{2, 3, 4}) {
			t.Errorf("%v", got)
		}
		even.Close()
		even.Close()
		if _, more := <-even.C; more || even.Slow() {
			t.Error("a listener that was closed hears")
		}
	})
}

func TestListen_WhatNobodyToldIsFoundByLooking(t *testing.T) {
	each(t, false, func(t *testing.T, l *lab) {
		any := l.listen(t, all)
		l.commit(t, 1, 2, 4)
		l.topic.Tell(2)
		if got := next(t, any, 1); !slices.Equal(got, []int64{2}) {
			t.Errorf("%v", got)
		}
		l.topic.look()
		if got := next(t, any, 2); !slices.Equal(got, []int64{1, 4}) {
			t.Errorf("%v", got)
		}
		l.commit(t, 3) // its transaction took longer than that of 4
		l.topic.look()
		if got := next(t, any, 1); !slices.Equal(got, []int64{3}) {
			t.Errorf("%v", got)
		}
	})
}

func TestListen_ThingsThatChangeAreToldOfInEachState(t *testing.T) {
	each(t, true, func(t *testing.T, l *lab) {
		any := l.listen(t, all)
		l.commit(t, 1, 2)
		l.topic.Tell(1, 2)
		next(t, any, 2)
		l.topic.Tell(1) // as it was
		l.set("other", 1)
		l.topic.Tell(1)
		if got := next(t, any, 1); !slices.Equal(got, []int64{1}) {
			t.Errorf("%v", got)
		}
		l.set("final", 1, 2) // and nobody tells
		l.topic.look()
		if got := next(t, any, 2); !slices.Equal(got, []int64{1, 2}) {
			t.Errorf("%v", got)
		}
	})
}

func TestListen_OneWhoDoesNotKeepUpIsLetGoAndOthersAreNot(t *testing.T) {
	each(t, false, func(t *testing.T, l *lab) {
		slow, quick := l.listen(t, all), l.listen(t, all)
		for n := range waiting/100 + 1 {
			var ids []int64
			for id := range 100 {
				ids = append(ids, int64(100*n+id+1))
			}
			l.set("new", ids...)
			l.topic.Tell(ids...)
			next(t, quick, len(ids))
		}
		heard := 0
		for range slow.C {
			heard++
		}
		if heard != waiting || !slow.Slow() || quick.Slow() {
			t.Errorf("the slow one heard of %d: slow %v, quick %v", heard, slow.Slow(), quick.Slow())
		}
	})
}

func TestMessages_ManyIdsGoInFewThatAreShortEnoughAndAreUnderstoodElsewhere(t *testing.T) {
	w := &world{states: map[int64]string{}}
	here := &Hub{self: "here", topics: map[string]topic{}}
	there := &Hub{self: "there", topics: map[string]topic{}}
	heard := NewTopic(there, Source[*thing]{Name: "things", Load: w.load})
	heard.listeners[&Listener[*thing]{}] = struct{}{}
	var ids []int64
	for n := range 3000 {
		ids = append(ids, int64(1_000_000_000_000+n))
	}
	messages := here.messages("things", ids)
	if len(messages) > 10 {
		t.Errorf("%d messages", len(messages))
	}
	for _, m := range messages {
		if len(m) >= 8000 {
			t.Errorf("a message has %d bytes", len(m))
		}
		there.heard(m)
	}
	for _, nonsense := range []string{"", "there things 1", "here nothing 1", "here things", "here things x"} {
		there.heard(nonsense)
	}
	if !slices.Equal(heard.heard, ids) {
		t.Errorf("%d ids are heard", len(heard.heard))
	}
}
