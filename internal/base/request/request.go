// Package request owns the facts of the HTTP request of an operation: the id and the client's
// address. The id is shown to the caller and in the log. The package also owns the network of
// an address: all addresses of a network count as a single client. The package does not own
// the caller (package caller).
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
	Address string // the client's IP address, without a port

	// Statements counts the SQL statements of the request.
	Statements *atomic.Int64

	connection context.Context // context of the connection, for WithoutDeadline
}

// New returns a request with a new id.
func New(address string) Request {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: see its documentation
	return Request{ID: hex.EncodeToString(id[:]), Address: address, Statements: new(atomic.Int64)}
}

type key struct{}

// With returns a context that carries the request.
func With(ctx context.Context, r Request) context.Context {
	r.connection = ctx
	return context.WithValue(ctx, key{}, r)
}

// From returns the request of an operation, or the zero value outside a
// request.
func From(ctx context.Context) Request {
	r, _ := ctx.Value(key{}).(Request)
	return r
}

// WithoutDeadline returns a context for a request without a deadline: the context ends
// with the connection.
func WithoutDeadline(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	detachedCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := func() bool { return true }
	if connection := From(ctx).connection; connection != nil {
		stop = context.AfterFunc(connection, func() { cancel(context.Cause(connection)) })
	}
	return detachedCtx, func(cause error) {
		stop()
		cancel(cause)
	}
}

// ID returns the id of the request behind an operation.
func ID(ctx context.Context) string { return From(ctx).ID }

// CountStatement counts one SQL statement of the request.
func CountStatement(ctx context.Context, _ string) {
	if r := From(ctx); r.Statements != nil {
		r.Statements.Add(1)
	}
}

// Network returns the network of an address with or without a port. All addresses of a network
// count as a single client: the owner of an IPv6 address has the 2⁶⁴ addresses of a /64. All
// texts without an IP address are one network.
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
