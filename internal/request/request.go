// Package request owns what is known of the HTTP request behind an operation:
// its id, by which a caller and the log speak of the same thing, the address
// that it came from, and which addresses count as one client.
package request

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"sync/atomic"
)

// Request is one HTTP request.
type Request struct {
	ID      string // 16 hex digits
	Address string // the client's, without a port

	// Statements counts the SQL statements that were sent for it.
	Statements *atomic.Int64

	connection context.Context // what Lasting goes back to
}

// New is a request with an id of its own.
func New(address string) Request {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: see its documentation
	return Request{ID: hex.EncodeToString(id[:]), Address: address, Statements: new(atomic.Int64)}
}

type key struct{}

// With puts the request into its context.
func With(ctx context.Context, r Request) context.Context {
	r.connection = ctx
	return context.WithValue(ctx, key{}, r)
}

// From is the request behind an operation; its zero value outside one.
func From(ctx context.Context) Request {
	r, _ := ctx.Value(key{}).(Request)
	return r
}

// Lasting is the context of a request that goes on beyond the deadline of
// others: it ends with its connection.
func Lasting(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := func() bool { return true }
	if connection := From(ctx).connection; connection != nil {
		stop = context.AfterFunc(connection, func() { cancel(context.Cause(connection)) })
	}
	return lasting, func(cause error) {
		stop()
		cancel(cause)
	}
}

// ID is the id of the request behind an operation.
func ID(ctx context.Context) string { return From(ctx).ID }

// CountStatement notes that a SQL statement is sent for the request.
func CountStatement(ctx context.Context, _ string) {
	if r := From(ctx); r.Statements != nil {
		r.Statements.Add(1)
	}
}

// Network returns what counts as one client of the address, an IP with or
// without a port: whoever has one IPv6 address has the 2⁶⁴ of its network. All
// that is no IP counts as one.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		withPort, err := netip.ParseAddrPort(address)
		if err != nil {
			return "unreadable"
		}
		ip = withPort.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
}
