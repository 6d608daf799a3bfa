package transport

import (
	"sync"
	"testing"

	"tagma/internal/base/caller"
)

func TestSlots_WhatIsGivenBackIsForgotten(t *testing.T) {
	s := newSlots(StreamLimits{All: 50, Person: 10, Pending: 20, PendingAddress: 5})
	var work sync.WaitGroup
	for n := range 200 {
		work.Go(func() {
			var by *caller.Caller
			if n%3 == 0 {
				by = &caller.Caller{UserID: int64(n%4 + 1)}
			}
			taken, refused := s.acquire(by, "192.0.2."+string(rune('0'+n%10)))
			if refused != nil {
				return
			}
			taken.signIn(&caller.Caller{UserID: int64(n%5 + 1)})
			taken.release()
		})
	}
	work.Wait()
	if s.all != 0 || s.pending != 0 || len(s.addresses) != 0 || len(s.persons) != 0 {
		t.Errorf("%d places are taken, %d of them pending, %v, %v, want none", s.all, s.pending, s.addresses, s.persons)
	}
}

func TestSlots_ASocketMovesToThePersonItSignsInAs(t *testing.T) {
	s := newSlots(StreamLimits{All: 10, Person: 1, Pending: 1, PendingAddress: 1})
	ada, bob := &caller.Caller{UserID: 1}, &caller.Caller{UserID: 2}
	first, refused := s.acquire(ada, "192.0.2.1") // by its header,
	if refused != nil || !first.signIn(bob) {     // and then by its first message
		t.Fatalf("refused: %v", refused)
	}
	second, refused := s.acquire(ada, "192.0.2.1")
	if refused != nil {
		t.Fatalf("ada's place was not given back: %v", refused)
	}
	if second.signIn(bob) {
		t.Error("bob has a second place, want 1 at most")
	}
	second.release()
	first.release()
	if s.all != 0 || s.pending != 0 || len(s.addresses) != 0 || len(s.persons) != 0 {
		t.Errorf("%d places are taken, %d of them pending, %v, %v, want none", s.all, s.pending, s.addresses, s.persons)
	}
}
