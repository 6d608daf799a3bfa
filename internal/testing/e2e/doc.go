// Package e2e owns the end-to-end tests: tests of the real binary, over HTTP,
// on SQLite and on PostgreSQL. Package e2e owns nothing of the product.
package e2e
