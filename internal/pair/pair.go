// Package pair owns arithmetic with two numbers of 32 bits at once, in one of
// 64, for transforms and filters of pixels.
//
// Of is low + high·2³². So sums and differences of pairs, and products of a pair
// with one number, are pairs of the sums, differences and products, exactly: a
// negative low only borrows from high, and Split gives it back. Each result must
// fit into 32 bits, with its sign; what comes before it may overflow.
package pair

// Of puts two numbers together.
func Of(low, high int64) int64 { return low + high<<32 }

// Split takes them apart.
func Split(pair int64) (low, high int64) {
	low = int64(int32(pair))
	return low, (pair - low) >> 32
}
