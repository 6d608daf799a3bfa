package recent

import (
	"testing"

	"tagma/internal/instant"
)

func TestMemory_WhatChangesWhileItIsLookedUpIsNotRemembered(t *testing.T) {
	var m Memory[string, int]
	_, _, changes := m.Get("a", 0)
	m.Forget()
	m.Put("a", 1, 0, changes)
	if got, known, _ := m.Get("a", 0); known {
		t.Errorf("remembered %d", got)
	}
}

func TestMemory_LastsAMomentWhateverTheClockDoes(t *testing.T) {
	var m Memory[string, int]
	m.Put("a", 1, 1000, 0)
	for now, want := range map[instant.Instant]bool{999: false, 1000: true, 1499: true, 1500: false} {
		if got, known, _ := m.Get("a", now); known != want || known && got != 1 {
			t.Errorf("at %d: %d, %v", now, got, known)
		}
	}
}

func TestMemory_IsBounded(t *testing.T) {
	var m Memory[int, int]
	for n := range 2*most + 1 {
		m.Put(n, n, 0, 0)
		if len(m.seen) > most {
			t.Fatalf("it has %d things in it", len(m.seen))
		}
	}
	if got, known, _ := m.Get(2*most, 0); !known || got != 2*most {
		t.Error("the last is forgotten")
	}
}
