// Package e2e holds the tests that see Tagma as its users do: the real binary,
// over HTTP, on SQLite and on PostgreSQL. It owns nothing of the product.
package e2e
