package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ent "tagma/ent/generated"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

// world is two servers on one new database, with a clock that stands still.
type world struct {
	t          *testing.T
	db         *database.DB
	one, other *Keeper
	now        atomic.Int64
}

// each runs a test on both databases.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for name, address := range map[string]func() string{
		"SQLite":     func() string { return "sqlite:" + filepath.Join(t.TempDir(), "tagma.db") },
		"PostgreSQL": func() string { return testenv.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t}
			w.now.Store(1_600_000_000_000)
			url := address()
			open := func() *database.DB {
				db, err := database.Open(t.Context(), url, database.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = db.Close() })
				return db
			}
			clock := func() instant.Instant { return instant.Instant(w.now.Load()) }
			w.db = open()
			w.one, w.other = New(w.db, clock), New(open(), clock)
			test(t, w)
		})
	}
}

func (w *world) pass(d time.Duration) { w.now.Add(d.Milliseconds()) }

func request(key, content string) Request {
	return Request{Sender: "user 1", Key: key, Content: sha256.Sum256([]byte(content))}
}

func repeatable(key, content string) Request {
	r := request(key, content)
	r.Repeatable = true
	return r
}

// begin begins a run that there must be.
func (w *world) begin(k *Keeper, r Request) *Run {
	w.t.Helper()
	run, answer, err := k.Begin(w.t.Context(), r)
	if err != nil || run == nil {
		w.t.Fatalf("no run: %q, %v", answer, err)
	}
	return run
}

// effect is what a mutation does: it makes a row, in a transaction.
func (w *world) effect(run *Run, name string) error {
	w.t.Helper()
	ctx, cancel := run.Context(w.t.Context())
	defer cancel()
	return run.keeper.db.InTx(ctx, func(tx *ent.Tx) error {
		return tx.Checkpoint.Create().SetID(name).SetValue("x").Exec(ctx)
	})
}

func (w *world) effects() int {
	w.t.Helper()
	n, err := w.db.Checkpoint.Query().Count(w.t.Context())
	w.must(err)
	return n
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused expects a fault.
func (w *world) refused(k *Keeper, r Request, code fault.Code) {
	w.t.Helper()
	run, answer, err := k.Begin(w.t.Context(), r)
	if fault.CodeOf(err) != code || run != nil || answer != nil {
		w.t.Errorf("%v, %q, %v: want %s", run, answer, err, code)
	}
}

// answered expects the answer of before.
func (w *world) answered(k *Keeper, r Request, want string) {
	w.t.Helper()
	run, answer, err := k.Begin(w.t.Context(), r)
	if err != nil || run != nil || string(answer) != want {
		w.t.Errorf("%v, %q, %v: want %q", run, answer, err, want)
	}
}

func TestBegin_ARequestThatIsSentAgainIsAnsweredAsBeforeForADay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		run := w.begin(w.one, request("k", "a"))
		w.must(w.effect(run, "a"))
		w.must(run.End(t.Context(), &Answer{Body: []byte("made")}))
		w.pass(Lifetime - time.Millisecond)
		w.answered(w.one, request("k", "a"), "made")
		w.answered(w.other, request("k", "a"), "made")
		w.pass(time.Millisecond)
		w.begin(w.other, request("k", "a"))
	})
}

func TestBegin_AKeyIsOneSendersAndBoundToWhatWasAsked(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		run := w.begin(w.one, request("k", "a"))
		w.refused(w.other, request("k", "b"), fault.KeyReused) // also while it is under way
		w.must(run.End(t.Context(), &Answer{Body: []byte("made")}))
		w.refused(w.other, request("k", "b"), fault.KeyReused)
		theirs := request("k", "b")
		theirs.Sender = "user 2"
		w.begin(w.one, theirs)
		w.begin(w.one, request("K", "b"))
	})
}

func TestBegin_WhileARunIsUnderWayAnotherIsToldToComeBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.begin(w.one, request("k", "a"))
		_, _, err := w.other.Begin(t.Context(), request("k", "a"))
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Code != fault.Unavailable || e.RetryAfter != time.Second {
			t.Errorf("Begin during a run: got %v, want UNAVAILABLE with one second to wait", err)
		}
	})
}

func TestBegin_OfManyAtOnceOneRuns(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var runs, refused atomic.Int64
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				run, _, err := []*Keeper{w.one, w.other}[n%2].Begin(t.Context(), request("k", "a"))
				switch {
				case fault.CodeOf(err) == fault.Unavailable:
					refused.Add(1)
				case err == nil && run != nil:
					runs.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if runs.Load() != 1 || refused.Load() != 19 {
			t.Errorf("%d have run, %d were refused", runs.Load(), refused.Load())
		}
	})
}

func TestEnd_WhatFailedWithoutAnEffectMayBeSentAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, answer := range []*Answer{nil, {Body: []byte("no"), Failed: true}} {
			run := w.begin(w.one, request("k", "a"))
			w.must(run.End(t.Context(), answer))
		}
		run := w.begin(w.other, request("k", "another thing"))
		ctx, cancel := run.Context(t.Context())
		defer cancel()
		if err := run.keeper.db.InTx(ctx, func(*ent.Tx) error { return fmt.Errorf("a rule is broken") }); err == nil {
			t.Error("it was committed")
		}
		w.must(run.End(t.Context(), nil))
		w.begin(w.one, request("k", "a"))
	})
}

func TestEnd_WhatFailedInPartIsNotDoneTwice(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		run := w.begin(w.one, request("k", "a"))
		w.must(w.effect(run, "a"))
		w.must(run.End(t.Context(), &Answer{Body: []byte("one of two"), Failed: true}))
		w.answered(w.other, request("k", "a"), "one of two")

		run = w.begin(w.one, request("l", "a"))
		w.must(w.effect(run, "b"))
		w.must(run.End(t.Context(), nil)) // it failed after its commit
		w.refused(w.other, request("l", "a"), fault.AnswerNotKept)

		run = w.begin(w.one, repeatable("m", "a"))
		w.must(w.effect(run, "c"))
		w.must(run.End(t.Context(), &Answer{Body: []byte("one of two"), Failed: true}))
		w.begin(w.other, repeatable("m", "a")) // what may be repeated is
	})
}

func TestBegin_ACrashBeforeTheEffectLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.begin(w.one, request("k", "a"))
		w.pass(lease)
		run := w.begin(w.other, request("k", "a"))
		w.must(w.effect(run, "a"))
		w.must(run.End(t.Context(), &Answer{Body: []byte("made")}))
		w.answered(w.one, request("k", "a"), "made")
	})
}

func TestBegin_ACrashBetweenTheEffectAndTheRecordMakesNoSecondEffect(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(w.effect(w.begin(w.one, request("k", "a")), "a"))
		w.must(w.effect(w.begin(w.one, repeatable("l", "a")), "b"))
		w.pass(lease)
		w.refused(w.other, request("k", "a"), fault.AnswerNotKept)
		w.begin(w.other, repeatable("l", "a"))
	})
}

func TestContext_ARunThatWasTakenForDeadCanChangeNothingAnyMore(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dead := w.begin(w.one, request("k", "a"))
		w.pass(lease)
		alive := w.begin(w.other, request("k", "a"))
		if err := w.effect(dead, "by the dead"); fault.CodeOf(err) != fault.Unavailable || w.effects() != 0 {
			t.Errorf("%v, %d effects", err, w.effects())
		}
		w.must(dead.End(t.Context(), nil))
		w.must(w.effect(alive, "by the living"))
		w.must(dead.End(t.Context(), &Answer{Body: []byte("of the dead")}))
		w.must(alive.End(t.Context(), &Answer{Body: []byte("of the living")}))
		w.answered(w.one, request("k", "a"), "of the living")
	})
}

func TestContext_ATakeoverAndACommitAtOnceAreOneEffect(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for n := range 30 {
			r := request(fmt.Sprint(n), "a")
			slow := w.begin(w.one, r)
			w.pass(lease)
			var both sync.WaitGroup
			both.Go(func() { _ = w.effect(slow, fmt.Sprintf("slow %d", n)) })
			both.Go(func() {
				if run, _, err := w.other.Begin(t.Context(), r); err == nil {
					_ = w.effect(run, fmt.Sprintf("quick %d", n))
				} else if fault.CodeOf(err) != fault.AnswerNotKept {
					t.Error(err)
				}
			})
			both.Wait()
			if got := w.effects(); got != n+1 {
				t.Fatalf("after %d requests there are %d effects", n+1, got)
			}
		}
	})
}

func TestContext_ItOutlivesTheClientButNotItsDeadline(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		client, gone := context.WithTimeout(t.Context(), time.Hour)
		run := w.begin(w.one, request("k", "a"))
		ctx, cancel := run.Context(client)
		defer cancel()
		gone()
		deadline, ok := ctx.Deadline()
		if want, _ := client.Deadline(); ctx.Err() != nil || !ok || !deadline.Equal(want) {
			t.Errorf("context of a run: got error %v and deadline %v, want no error and deadline %v", ctx.Err(), deadline, want)
		}
		w.must(run.End(client, &Answer{Body: []byte("made")}))
		w.answered(w.one, request("k", "a"), "made")
	})
}

func TestEnd_SecretsAndWhatIsTooMuchAreNotKept(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(w.begin(w.one, request("secret", "a")).End(t.Context(), &Answer{Body: []byte("canary"), Secret: true}))
		w.refused(w.other, request("secret", "a"), fault.AnswerNotKept)
		large := bytes.Repeat([]byte("x"), MaxAnswer)
		w.must(w.begin(w.one, request("large", "a")).End(t.Context(), &Answer{Body: append(large, 'x')}))
		w.refused(w.other, request("large", "a"), fault.AnswerNotKept)
		for n := range maxKept / MaxAnswer {
			w.must(w.begin(w.one, request(fmt.Sprint(n), "a")).End(t.Context(), &Answer{Body: large}))
			w.answered(w.other, request(fmt.Sprint(n), "a"), string(large))
		}
		w.must(w.begin(w.one, request("too much", "a")).End(t.Context(), &Answer{Body: []byte("x")}))
		w.refused(w.other, request("too much", "a"), fault.AnswerNotKept)
		w.must(w.begin(w.one, repeatable("more", "a")).End(t.Context(), &Answer{Body: []byte("x")}))
		w.begin(w.other, repeatable("more", "a")) // which does no harm
		theirs := request("little", "a")
		theirs.Sender = "user 2"
		w.must(w.begin(w.one, theirs).End(t.Context(), &Answer{Body: []byte("x")}))
		w.answered(w.one, theirs, "x")
	})
}

func TestKeeper_NeitherKeysNorWhatWasAskedCanBeReadBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		content := sha256.Sum256([]byte("a password"))
		w.begin(w.one, Request{Sender: "user 1", Key: "canary", Content: content})
		rows, err := w.db.KeyedRequest.Query().All(t.Context())
		w.must(err)
		text := fmt.Sprint(rows)
		if len(rows) != 1 || strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", content)) {
			t.Error(text)
		}
	})
}

func TestSweep_KeysAreForgottenAfterADay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(w.begin(w.one, request("old", "a")).End(t.Context(), &Answer{Body: []byte("x")}))
		w.pass(Lifetime / 2)
		w.must(w.begin(w.one, request("new", "a")).End(t.Context(), &Answer{Body: []byte("x")}))
		w.pass(Lifetime / 2)
		if n, err := w.one.Sweep(t.Context()); n != 1 || err != nil {
			t.Errorf("%d are swept, %v", n, err)
		}
		w.answered(w.one, request("new", "a"), "x")
	})
}
