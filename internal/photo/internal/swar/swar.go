// Package swar owns arithmetic with two numbers of 32 bits at once, in a single
// number of 64 bits, for transforms and filters of pixels. The name stands for
// SIMD within a register. Package swar does not own the transforms.
//
// Pack2 returns low + high·2³². Sums and differences of pairs, and products of a
// pair with a number, are therefore exactly the pairs of the sums, differences
// and products: a negative low borrows from high, and Unpack2 undoes the borrow.
// Each final result must fit into 32 bits with the sign; intermediate results
// may overflow.
package swar

// Pack2 returns the pair of two numbers.
func Pack2(low, high int64) int64 { return low + high<<32 }

// Unpack2 returns the two numbers of a pair.
func Unpack2(pair int64) (low, high int64) {
	low = int64(int32(pair))
	return low, (pair - low) >> 32
}
