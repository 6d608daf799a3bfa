// Package swar owns arithmetic with two numbers of 32 bits at once, in one
// number of 64 bits, for transforms and filters of pixels. It does not own the
// transforms.
//
// Of returns low + high·2³². Sums and differences of pairs, and products of a
// pair with one number, are therefore exactly the pairs of the sums,
// differences and products: a negative low borrows from high, and Split undoes
// the borrow. Each final result must fit into 32 bits with its sign;
// intermediate results may overflow.
package swar

// Of returns the pair of two numbers.
func Of(low, high int64) int64 { return low + high<<32 }

// Split returns the two numbers of a pair.
func Split(pair int64) (low, high int64) {
	low = int64(int32(pair))
	return low, (pair - low) >> 32
}
