package leader

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

// server is one of several that want to lead.
type server struct {
	stop    func()
	stopped <-chan struct{}
}

// open is the database as one server has it.
func open(t *testing.T, address string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), address, database.Options{Connections: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// event says that a server's work begins or ends.
type event struct {
	server string
	begins bool
}

// join starts a server that tells of its work, which takes as long as it leads.
func join(t *testing.T, name, address string, events chan<- event) *server {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &server{stop: stop}
	s.stopped = Start(ctx, open(t, address), slog.New(slog.DiscardHandler), "work", func(ctx context.Context) error {
		events <- event{name, true}
		<-ctx.Done()
		events <- event{name, false}
		return ctx.Err()
	})
	t.Cleanup(func() { stop(); <-s.stopped })
	return s
}

// next is the next event, which comes within seconds.
func next(t *testing.T, events <-chan event) event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("nothing happens")
		return event{}
	}
}

func TestStart_OneOfTwoLeadsAndTheOtherFollowsWhenItEnds(t *testing.T) {
	t.Parallel()
	address, events := testenv.Postgres(t), make(chan event, 10)
	servers := map[string]*server{}
	for _, name := range []string{"one", "two"} {
		servers[name] = join(t, name, address, events)
	}
	first := next(t, events)
	if !first.begins {
		t.Fatalf("at first %+v", first)
	}
	select {
	case e := <-events:
		t.Fatalf("while %s leads, %+v", first.server, e)
	case <-time.After(checkInterval + checkInterval/2): // time enough to look
	}
	servers[first.server].stop()
	<-servers[first.server].stopped
	if e := next(t, events); e != (event{first.server, false}) {
		t.Errorf("then %+v", e)
	}
	if e := next(t, events); !e.begins || e.server == first.server {
		t.Errorf("after the first ended, %+v", e)
	}
}

func TestStart_WhoseConnectionIsKilledLeadsNoMoreUntilItHasTheLockAgain(t *testing.T) {
	t.Parallel()
	address, events := testenv.Postgres(t), make(chan event, 10)
	join(t, "one", address, events)
	join(t, "two", address, events)
	first := next(t, events)
	var killed int
	err := open(t, address).SQL.QueryRowContext(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&killed)
	if err != nil || killed != 1 {
		t.Fatalf("killed: got %d connections, error %v, want 1", killed, err)
	}
	// The one ends its work, and one of both leads; their order is not told.
	pair := []event{next(t, events), next(t, events)}
	ended, began := pair[0], pair[1]
	if ended.begins {
		ended, began = began, ended
	}
	if ended != (event{first.server, false}) || !began.begins {
		t.Errorf("after the connection was killed: %+v", pair)
	}
	select {
	case e := <-events:
		t.Errorf("and then %+v", e)
	case <-time.After(checkInterval + checkInterval/2):
	}
}

func TestStart_WorkThatFailsIsBegunAgainAndTheLogTellsWhy(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "db"), "PostgreSQL": testenv.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			times := 0
			stopped := Start(ctx, open(t, address), slog.New(slog.NewTextHandler(&log, nil)), "work", func(context.Context) error {
				if times++; times == 2 {
					stop()
				}
				return errors.New("no luck")
			})
			<-stopped
			if times != 2 || !strings.Contains(log.String(), "no luck") || !strings.Contains(log.String(), "work=work") {
				t.Errorf("got %d runs and the log %s, want 2 runs and the error in the log", times, log.String())
			}
			// The lock is given back: another may lead at once.
			events := make(chan event, 2)
			join(t, "other", address, events)
			if e := next(t, events); !e.begins {
				t.Errorf("the other: %+v", e)
			}
		})
	}
}

func TestStart_WorkOfAnotherNameIsLedByItself(t *testing.T) {
	t.Parallel()
	address, events := testenv.Postgres(t), make(chan event, 10)
	join(t, "one", address, events)
	next(t, events)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	stopped := Start(ctx, open(t, address), slog.New(slog.DiscardHandler), "other work", func(ctx context.Context) error {
		close(done)
		<-ctx.Done()
		return nil
	})
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("it waits for the other work")
	}
	stop()
	<-stopped
}
