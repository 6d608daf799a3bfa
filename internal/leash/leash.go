// Package leash owns that a process which tests or benchmarks have started ends
// with them, however they end. Linux alone can do that; elsewhere the process
// may be left over when they are killed. It does not start or stop anything.
package leash
