package request

import (
	"regexp"
	"testing"

	"golang.org/x/sync/errgroup"
)

func TestNew_EveryRequestHasAnIDOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		r := New("192.0.2.1")
		if seen[r.ID] || !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(r.ID) || r.Address != "192.0.2.1" {
			t.Fatalf("got %+v, want a new id of 16 hex digits and the address", r)
		}
		seen[r.ID] = true
	}
}

func TestCountStatement_CountsThoseOfItsRequest(t *testing.T) {
	first, second := With(t.Context(), New("a")), With(t.Context(), New("b"))
	var group errgroup.Group
	for range 100 {
		group.Go(func() error { CountStatement(first, "SELECT 1"); return nil })
	}
	_ = group.Wait()
	CountStatement(t.Context(), "of no request")
	if a, b := From(first).Statements.Load(), From(second).Statements.Load(); a != 100 || b != 0 {
		t.Errorf("got %d and %d statements, want 100 and 0", a, b)
	}
}

func TestFrom_IsEmptyOutsideARequest(t *testing.T) {
	if r := From(t.Context()); r != (Request{}) || ID(t.Context()) != "" {
		t.Errorf("outside a request: got %+v, want the zero value", r)
	}
}
