package events

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

// thing is a row of devices, which serve as things to tell of.
type thing struct{ id int64 }

// fakeSource is a table of things with a state, beside a real database.
type fakeSource struct {
	mu     sync.Mutex
	states map[int64]string
	loads  int
}

func (w *fakeSource) load(_ context.Context, ids []int64) (map[int64]*thing, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loads++
	rows := map[int64]*thing{}
	for _, id := range ids {
		if _, ok := w.states[id]; ok {
			rows[id] = &thing{id}
		}
	}
	return rows, nil
}

func (w *fakeSource) state(t *thing) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.states[t.id], w.states[t.id] == "final"
}

func (w *fakeSource) set(state string, ids ...int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		w.states[id] = state
	}
}

// fixture is a hub with a topic on a database that has a table of things.
type fixture struct {
	*fakeSource
	db    *database.DB
	topic *Topic[*thing]
}

// each runs a test on both databases. States says whether things change.
func each(t *testing.T, states bool, test func(t *testing.T, l *fixture)) {
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
			test(t, open(t, db, &fakeSource{states: map[int64]string{}}, states))
		})
	}
}

// open is a server with a hub, which ends with the test.
func open(t *testing.T, db *database.DB, w *fakeSource, states bool) *fixture {
	t.Helper()
	hub := New(db, slog.New(slog.DiscardHandler))
	source := Source[*thing]{Name: "things", Table: "things", Load: w.load}
	if states {
		source.State = w.state
	}
	l := &fixture{w, db, NewTopic(hub, source)}
	ctx, stop := context.WithCancel(t.Context())
	ended := hub.Start(ctx)
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return l
}

// commit adds things, and tells nobody.
func (l *fixture) commit(t *testing.T, ids ...int64) {
	t.Helper()
	for _, id := range ids {
		if _, err := l.db.SQL.ExecContext(t.Context(), "INSERT INTO things (id) VALUES ($1)", id); err != nil {
			t.Fatal(err)
		}
	}
	l.set("new", ids...)
}

func (l *fixture) subscribe(t *testing.T, wants func(*thing) bool) *Subscription[*thing] {
	t.Helper()
	subscription, err := l.topic.Subscribe(t.Context(), wants)
	if err != nil {
		t.Fatal(err)
	}
	return subscription
}

func wantAll(*thing) bool { return true }

// next is the ids of so many things that a subscription receives.
func next(t *testing.T, l *Subscription[*thing], count int) []int64 {
	t.Helper()
	var ids []int64
	for range count {
		select {
		case item := <-l.C:
			ids = append(ids, item.id)
		case <-time.After(30 * time.Second):
			t.Fatalf("after %v nothing comes", ids)
		}
	}
	return ids
}

func TestSubscribe_HearsOfWhatIsWantedOnceAndOfNothingThatWasBefore(t *testing.T) {
	each(t, false, func(t *testing.T, l *fixture) {
		l.commit(t, 1)
		l.topic.Publish(1)
		evenThings := l.subscribe(t, func(item *thing) bool { return item.id%2 == 0 })
		everything := l.subscribe(t, wantAll)
		l.commit(t, 2, 3, 4)
		l.topic.Publish(2, 3)
		l.topic.Publish(3, 2, 4)
		if got := next(t, evenThings, 2); !slices.Equal(got, []int64{2, 4}) {
			t.Errorf("even ids: got %v, want 2 and 4", got)
		}
		if got := next(t, everything, 3); !slices.Equal(got, []int64{2, 3, 4}) {
			t.Errorf("all ids: got %v, want 2, 3 and 4", got)
		}
		evenThings.Close()
		evenThings.Close()
		if _, more := <-evenThings.C; more || evenThings.Slow() {
			t.Error("a subscription that was closed receives")
		}
	})
}

func TestSubscribe_WhatNobodyToldIsFoundByLooking(t *testing.T) {
	each(t, false, func(t *testing.T, l *fixture) {
		everything := l.subscribe(t, wantAll)
		l.commit(t, 1, 2, 4)
		l.topic.Publish(2)
		if got := next(t, everything, 1); !slices.Equal(got, []int64{2}) {
			t.Errorf("announced id: got %v, want 2", got)
		}
		l.topic.requestScan()
		if got := next(t, everything, 2); !slices.Equal(got, []int64{1, 4}) {
			t.Errorf("ids found by a scan: got %v, want 1 and 4", got)
		}
		l.commit(t, 3) // its transaction took longer than that of 4
		l.topic.requestScan()
		if got := next(t, everything, 1); !slices.Equal(got, []int64{3}) {
			t.Errorf("id found by a later scan: got %v, want 3", got)
		}
	})
}

func TestSubscribe_ThingsThatChangeAreToldOfInEachState(t *testing.T) {
	each(t, true, func(t *testing.T, l *fixture) {
		everything := l.subscribe(t, wantAll)
		l.commit(t, 1, 2)
		l.topic.Publish(1, 2)
		next(t, everything, 2)
		l.topic.Publish(1) // as it was
		l.set("other", 1)
		l.topic.Publish(1)
		if got := next(t, everything, 1); !slices.Equal(got, []int64{1}) {
			t.Errorf("changed row: got %v, want 1", got)
		}
		l.set("final", 1, 2) // and nobody tells
		l.topic.requestScan()
		if got := next(t, everything, 2); !slices.Equal(got, []int64{1, 2}) {
			t.Errorf("final rows: got %v, want 1 and 2", got)
		}
	})
}

func TestSubscribe_OneWhoDoesNotKeepUpIsLetGoAndOthersAreNot(t *testing.T) {
	each(t, false, func(t *testing.T, l *fixture) {
		slow, quick := l.subscribe(t, wantAll), l.subscribe(t, wantAll)
		for n := range subscriptionBuffer/100 + 1 {
			var ids []int64
			for id := range 100 {
				ids = append(ids, int64(100*n+id+1))
			}
			l.set("new", ids...)
			l.topic.Publish(ids...)
			next(t, quick, len(ids))
		}
		count := 0
		for range slow.C {
			count++
		}
		if count != subscriptionBuffer || !slow.Slow() || quick.Slow() {
			t.Errorf("the slow one heard of %d: slow %v, quick %v", count, slow.Slow(), quick.Slow())
		}
	})
}

func TestMessages_ManyIdsGoInFewThatAreShortEnoughAndAreUnderstoodElsewhere(t *testing.T) {
	w := &fakeSource{states: map[int64]string{}}
	sender := &Hub{serverID: "here", topics: map[string]topic{}}
	receiver := &Hub{serverID: "there", topics: map[string]topic{}}
	topic := NewTopic(receiver, Source[*thing]{Name: "things", Load: w.load})
	topic.subscriptions[&Subscription[*thing]{}] = struct{}{}
	var ids []int64
	for n := range 3000 {
		ids = append(ids, int64(1_000_000_000_000+n))
	}
	messages := sender.messages("things", ids)
	if len(messages) > 10 {
		t.Errorf("%d messages", len(messages))
	}
	for _, m := range messages {
		if len(m) >= 8000 {
			t.Errorf("a message has %d bytes", len(m))
		}
		receiver.receive(m)
	}
	for _, nonsense := range []string{"", "there things 1", "here nothing 1", "here things", "here things x"} {
		receiver.receive(nonsense)
	}
	if !slices.Equal(topic.queue, ids) {
		t.Errorf("%d ids are heard", len(topic.queue))
	}
}
