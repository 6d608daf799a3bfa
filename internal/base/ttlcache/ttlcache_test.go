package ttlcache

import (
	"testing"

	"tagma/internal/base/instant"
)

func TestCache_WhatChangesWhileItIsLookedUpIsNotRemembered(t *testing.T) {
	var m Cache[string, int]
	_, _, generation := m.Get("a", 0)
	m.Clear()
	m.Put("a", 1, 0, generation)
	if got, ok, _ := m.Get("a", 0); ok {
		t.Errorf("remembered %d", got)
	}
}

func TestCache_LastsAMomentWhateverTheClockDoes(t *testing.T) {
	var m Cache[string, int]
	m.Put("a", 1, 1000, 0)
	for now, want := range map[instant.Instant]bool{999: false, 1000: true, 1499: true, 1500: false} {
		if got, ok, _ := m.Get("a", now); ok != want || ok && got != 1 {
			t.Errorf("Get at %d: got %d, %v, want 1, %v", now, got, ok, want)
		}
	}
}

func TestCache_IsBounded(t *testing.T) {
	var m Cache[int, int]
	for n := range 2*maxEntries + 1 {
		m.Put(n, n, 0, 0)
		if len(m.entries) > maxEntries {
			t.Fatalf("it has %d things in it", len(m.entries))
		}
	}
	if got, ok, _ := m.Get(2*maxEntries, 0); !ok || got != 2*maxEntries {
		t.Error("the last is forgotten")
	}
}
