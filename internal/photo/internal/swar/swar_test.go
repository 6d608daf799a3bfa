package swar_test

import (
	"math/rand/v2"
	"testing"

	"tagma/internal/photo/internal/swar"
)

func TestPair_SumsAndProductsAreThoseOfItsTwoNumbers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	number := func() int64 { return int64(random.IntN(1<<16) - 1<<15) }
	for range 100_000 {
		var sum, low, high int64
		for range 8 {
			a, b, weight := number(), number(), number()>>4
			sum += weight * swar.Pack2(a, b)
			low, high = low+weight*a, high+weight*b
		}
		if gotLow, gotHigh := swar.Unpack2(sum); gotLow != low || gotHigh != high {
			t.Fatalf("sum: got %d, %d, want %d, %d", gotLow, gotHigh, low, high)
		}
	}
}

func TestPair_TheExtremesAreKept(t *testing.T) {
	ends := []int64{-1 << 31, -1, 0, 1, 1<<31 - 1}
	for _, a := range ends {
		for _, b := range ends {
			if low, high := swar.Unpack2(swar.Pack2(a, b)); low != a || high != b {
				t.Errorf("Unpack2 of the pair %d, %d: got %d, %d", a, b, low, high)
			}
		}
	}
}
