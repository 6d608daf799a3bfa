package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"

	"tagma/internal/base/fault"
)

// wireError is an error in an answer.
type wireError struct {
	Message    string
	Extensions struct {
		Code       fault.Code
		RequestID  string `json:"requestId"`
		RetryAfter int
		Problems   []fault.Problem
	}
}

func (w *wireError) fault() error {
	message := w.Message
	if w.Extensions.Code == fault.Internal && w.Extensions.RequestID != "" {
		message += " (" + w.Extensions.RequestID + ")"
	}
	err := fault.New(w.Extensions.Code, "%s", message)
	err.Problems = w.Extensions.Problems
	err.RetryAfter = time.Duration(w.Extensions.RetryAfter) * time.Second
	return err
}

var errIdle = errors.New("no byte has moved for " + idleTimeout.String())

// unreachable returns the error for a request without an answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errIdle):
		err = cause
	case cause != nil: // the caller has cancelled the request
		return cause
	}
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err // the message has the address already
	}
	if fileErr, ok := errors.AsType[*fault.Error](err); ok { // the error of a file to send
		return fileErr
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fault.Wrap(certificate, fault.BadInput, "%s does not prove to be who it says", c.options.Server)
	}
	return fault.Wrap(err, fault.Unavailable, "%s cannot be reached (does a server run there? --server gives another address)", c.options.Server)
}

// foreignAnswer returns the error for an answer of another program: a proxy in front of
// Tagma, or another server.
func (c *Client) foreignAnswer(answer *http.Response) error {
	switch status := answer.StatusCode; {
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		err := fault.New(fault.Unavailable, "%s answers %s", c.options.Server, answer.Status)
		if seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After")); seconds > 0 {
			err.RetryAfter = time.Duration(seconds) * time.Second
		}
		return err
	case status == http.StatusRequestEntityTooLarge:
		return fault.New(fault.TooLarge, "%s, or a proxy in front of it, does not take so much at once", c.options.Server)
	case status >= 300 && status < 400:
		return fault.New(fault.BadInput, "%s sends on to %s: give that address", c.options.Server, answer.Header.Get("Location"))
	}
	return fault.New(fault.BadInput, "%s answers %s, as Tagma does not: is that its address?", c.options.Server, answer.Status)
}

// Retry calls do until do succeeds, fails with a permanent error, or has failed for the
// client's Patience. Between two calls Retry waits for the server's RetryAfter, or
// with exponential backoff.
func Retry[T any](ctx context.Context, c *Client, do func() (T, error)) (T, error) {
	var failingSince time.Time // zero before the first failure
	return backoff.Retry(ctx, func() (T, error) {
		got, err := do()
		if err == nil {
			return got, nil
		}
		if failingSince.IsZero() {
			failingSince = time.Now()
		}
		known, ok := errors.AsType[*fault.Error](err)
		isTemporary := ok && (known.Code == fault.Unavailable || known.Code == fault.RateLimited)
		if !isTemporary || time.Since(failingSince)+known.RetryAfter > c.options.Patience {
			return got, backoff.Permanent(err)
		}
		if known.RetryAfter > 0 {
			return got, errors.Join(err, &backoff.RetryAfterError{Duration: known.RetryAfter})
		}
		return got, err
	},
		backoff.WithMaxElapsedTime(0),
		backoff.WithBackOff(&backoff.ExponentialBackOff{
			InitialInterval: 500 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.5, MaxInterval: 30 * time.Second,
		}),
		backoff.WithNotify(func(err error, wait time.Duration) {
			if known, ok := errors.AsType[*fault.Error](err); ok && c.options.Waiting != nil {
				c.options.Waiting(known, wait)
			}
		}))
}
