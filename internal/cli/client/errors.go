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

// wireError is an error of an answer.
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

// unreachable says why there is no answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errIdle):
		err = cause
	case cause != nil: // the caller wants no answer any more
		return cause
	}
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err // without the address, which the message has
	}
	if fileErr, ok := errors.AsType[*fault.Error](err); ok { // of a file that was to be sent
		return fileErr
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fault.Wrap(certificate, fault.BadInput, "%s does not prove to be who it says", c.options.Server)
	}
	return fault.Wrap(err, fault.Unavailable, "%s cannot be reached (does a server run there? --server gives another address)", c.options.Server)
}

// foreignAnswer says what an answer means that is none of Tagma's: a proxy's in front
// of it, or another server's.
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

// Retry does something until it succeeds, fails in a way that another try does
// not mend, or has failed for as long as the client's patience. Before another
// try it waits as long as the server asks for, or else longer each time.
func Retry[T any](ctx context.Context, c *Client, do func() (T, error)) (T, error) {
	var failingSince time.Time // since when; zero before the first failure
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
