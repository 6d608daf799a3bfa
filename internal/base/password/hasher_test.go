package password

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tagma/internal/base/fault"
)

func TestHasher_APasswordIsVerifiedAndAnotherIsNot(t *testing.T) {
	h := New(Options{})
	phc, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("made %s", phc)
	}
	if h.NeedsRehash(phc) {
		t.Error("a new hash is to be made again")
	}
	for plain, want := range map[string]bool{"correct horse": true, "correct horsf": false, "": false} {
		if got, err := h.Verify(t.Context(), phc, plain); got != want || err != nil {
			t.Errorf("Verify(%q) = %v, %v", plain, got, err)
		}
	}
}

// The vector is one that the reference implementation of argon2 tests itself
// by: version 0x13, argon2id, t=2, m=2^16, p=1, "password", "somesalt".
func TestHasher_AHashOfTheReferenceImplementationIsVerified(t *testing.T) {
	const phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	h := New(Options{})
	if ok, err := h.Verify(t.Context(), phc, "password"); !ok || err != nil {
		t.Errorf("Verify = %v, %v", ok, err)
	}
	if !h.NeedsRehash(phc) {
		t.Error("a hash of another cost is not made again")
	}
}

func TestHasher_ACheapHashIsNotOneOfAServerInEarnest(t *testing.T) {
	cheap, earnest := New(Options{Cheap: true}), New(Options{})
	phc, err := cheap.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if cheap.NeedsRehash(phc) || !earnest.NeedsRehash(phc) {
		t.Error("a server in earnest would keep a cheap hash")
	}
	if ok, err := earnest.Verify(t.Context(), phc, "correct horse"); !ok || err != nil {
		t.Errorf("Verify = %v, %v", ok, err)
	}
}

func TestHasher_OnePasswordFromTwoKeyboardsIsTheSame(t *testing.T) {
	h := New(Options{Concurrency: 1})
	phc, err := h.Hash(t.Context(), "cafés au lait")
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := h.Verify(t.Context(), phc, "cafe\u0301s au lait"); !ok || err != nil {
		t.Errorf("Verify = %v, %v", ok, err)
	}
}

func TestHasher_TheSamePasswordTwiceGivesTwoHashes(t *testing.T) {
	h := New(Options{Concurrency: 1})
	a, _ := h.Hash(t.Context(), "correct horse")
	b, _ := h.Hash(t.Context(), "correct horse")
	if a == b {
		t.Error("the salt is not new")
	}
}

func TestHasher_AnUnknownUserCostsWhatAKnownOneDoes(t *testing.T) {
	h := New(Options{Concurrency: 1})
	if h.NeedsRehash(h.dummy.String()) {
		t.Errorf("the hash of nothing has another cost than a new hash: %s", h.dummy)
	}
	if err := h.VerifyNothing(t.Context(), "correct horse"); err != nil {
		t.Error(err)
	}
}

func TestHasher_WhoeverWaitsGoesWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{Concurrency: 2})
		if !h.slots.TryAcquire(2) { // two hashes are under way
			t.Fatal("there are no two slots")
		}
		gone := errors.New("the caller has gone")
		ctx, cancel := context.WithCancelCause(t.Context())

		left := make(chan error)
		go func() { _, err := h.Hash(ctx, "correct horse"); left <- err }()
		go func() { _, err := h.Verify(ctx, modelHash, "correct horse"); left <- err }()
		go func() { left <- h.VerifyNothing(ctx, "correct horse") }()
		synctest.Wait()
		select {
		case err := <-left:
			t.Fatalf("a third hash began beside two: %v", err)
		default:
		}

		cancel(gone)
		for range 3 {
			if err := <-left; !errors.Is(err, gone) {
				t.Errorf("got %v", err)
			}
		}

		// The slots come back.
		h.slots.Release(1)
		for range 3 {
			if err := h.VerifyNothing(t.Context(), "correct horse"); err != nil {
				t.Error(err)
			}
		}
		if !h.slots.TryAcquire(1) || h.slots.TryAcquire(1) {
			t.Error("not exactly one of two slots is free, while this test holds the other")
		}
	})
}

func TestHasher_ACrowdTooLargeToServeSoonIsSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{Concurrency: 1, Waiting: 3})
		if !h.slots.TryAcquire(1) || !h.queue.TryAcquire(1) { // a hash is under way
			t.Fatal("there is no slot")
		}
		waiting, stop := context.WithCancel(t.Context())
		left := make(chan error)
		for range 3 {
			go func() { left <- h.VerifyNothing(waiting, "correct horse") }()
		}
		synctest.Wait()

		for name, ask := range map[string]func() error{
			"Hash":          func() error { _, err := h.Hash(t.Context(), "correct horse"); return err },
			"Verify":        func() error { _, err := h.Verify(t.Context(), modelHash, "correct horse"); return err },
			"VerifyNothing": func() error { return h.VerifyNothing(t.Context(), "correct horse") },
		} {
			err := ask()
			if refused, ok := errors.AsType[*fault.Error](err); !ok || refused.Code != fault.Unavailable || refused.RetryAfter != time.Second {
				t.Errorf("%s with 3 waiting = %v, want UNAVAILABLE, to be tried again in 1s", name, err)
			}
		}

		// Those that were waiting are not affected, and leave their places.
		stop()
		for range 3 {
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
		}
		h.slots.Release(1)
		h.queue.Release(1)
		if err := h.VerifyNothing(t.Context(), "correct horse"); err != nil || !h.queue.TryAcquire(4) {
			t.Errorf("got %v, want no error and all 4 places free", err)
		}
	})
}

func TestHasher_NoMoreThanTwoHashesAreComputedAtOnce(t *testing.T) {
	if got := defaultConcurrency(); got < 1 || got > 2 {
		t.Errorf("%d hashes of 19 MiB are computed at once, want 1 or 2", got)
	}
}

func TestHasher_WhoeverHasGoneCostsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(Options{Concurrency: 1}).VerifyNothing(ctx, "correct horse"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

const (
	salt16    = "AAAAAAAAAAAAAAAAAAAAAA"
	key32     = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	modelHash = "$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + key32
)

func TestParse_AHostileHashIsRefusedBeforeAnyWork(t *testing.T) {
	if _, err := parse(modelHash); err != nil {
		t.Fatalf("the model of the others is refused: %v", err)
	}
	for name, phc := range map[string]string{
		"nothing":            "",
		"a password":         "correct horse",
		"gigabytes":          "$argon2id$v=19$m=4194304,t=2,p=1$" + salt16 + "$" + key32,
		"above the bound":    "$argon2id$v=19$m=65537,t=2,p=1$" + salt16 + "$" + key32,
		"no memory":          "$argon2id$v=19$m=0,t=2,p=1$" + salt16 + "$" + key32,
		"hours":              "$argon2id$v=19$m=19456,t=4294967295,p=1$" + salt16 + "$" + key32,
		"no pass":            "$argon2id$v=19$m=19456,t=0,p=1$" + salt16 + "$" + key32,
		"no lane":            "$argon2id$v=19$m=19456,t=2,p=0$" + salt16 + "$" + key32,
		"many lanes":         "$argon2id$v=19$m=19456,t=2,p=255$" + salt16 + "$" + key32,
		"beyond 32 bits":     "$argon2id$v=19$m=4294967297,t=2,p=1$" + salt16 + "$" + key32,
		"negative":           "$argon2id$v=19$m=-19456,t=2,p=1$" + salt16 + "$" + key32,
		"signed":             "$argon2id$v=19$m=+19456,t=2,p=1$" + salt16 + "$" + key32,
		"leading zero":       "$argon2id$v=19$m=019456,t=2,p=1$" + salt16 + "$" + key32,
		"another order":      "$argon2id$v=19$t=2,m=19456,p=1$" + salt16 + "$" + key32,
		"one more parameter": "$argon2id$v=19$m=19456,t=2,p=1,data=AAAA$" + salt16 + "$" + key32,
		"argon2i":            "$argon2i$v=19$m=19456,t=2,p=1$" + salt16 + "$" + key32,
		"version 16":         "$argon2id$v=16$m=19456,t=2,p=1$" + salt16 + "$" + key32,
		"something in front": "x" + modelHash,
		"something behind":   modelHash + "$",
		"a new line":         modelHash + "\n",
		"padding":            modelHash + "=",
		"loose bits":         strings.TrimSuffix(modelHash, "A") + "B",
		"a short salt":       "$argon2id$v=19$m=19456,t=2,p=1$AAAA$" + key32,
		"no key":             "$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$",
		"a short key":        "$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$AAAA",
		"a key without end":  "$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + strings.Repeat("AAAA", 1<<16),
		"a salt without end": "$argon2id$v=19$m=19456,t=2,p=1$" + strings.Repeat("AAAA", 1<<16) + "$" + key32,
		"not base64":         "$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + strings.Repeat("!", 43),
		"bcrypt":             "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
	} {
		h := New(Options{})
		ok, err := h.Verify(t.Context(), phc, "correct horse")
		if ok || !errors.Is(err, errNotHash) {
			t.Errorf("%s: got %v, %v", name, ok, err)
		}
		if !h.NeedsRehash(phc) {
			t.Errorf("%s: need not be made again", name)
		}
	}
}

func TestParse_WhatIsReadIsWrittenInTheSameWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lanes := rapid.Uint8Range(1, 4).Draw(t, "lanes")
		h := hash{
			cost: cost{
				memory: rapid.Uint32Range(8*uint32(lanes), 64<<10).Draw(t, "memory"),
				passes: rapid.Uint32Range(1, 8).Draw(t, "passes"),
				lanes:  lanes,
			},
			salt: rapid.SliceOfN(rapid.Byte(), 8, 48).Draw(t, "salt"),
			key:  rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(t, "key"),
		}
		got, err := parse(h.String())
		if err != nil || got.String() != h.String() || got.cost != h.cost {
			t.Fatalf("%s was read as %s, %v", h, got, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(modelHash)
	f.Add(fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", base64.RawStdEncoding.EncodeToString(make([]byte, 8)), key32))
	f.Fuzz(func(t *testing.T, phc string) {
		h, err := parse(phc)
		if err == nil && (h.memory > 64<<10 || h.passes > 8 || h.lanes > 4 || h.String() != phc) {
			t.Errorf("%q is read as %+v", phc, h.cost)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := New(Options{Concurrency: 1})
	phc, err := h.Hash(b.Context(), "correct horse")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = h.Verify(b.Context(), phc, "a wrong horse")
	}
}

func BenchmarkVerifyNothing(b *testing.B) {
	h := New(Options{Concurrency: 1})
	b.ReportAllocs()
	for b.Loop() {
		_ = h.VerifyNothing(b.Context(), "a wrong horse")
	}
}
