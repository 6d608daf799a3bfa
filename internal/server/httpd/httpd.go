// Package httpd owns the handling of every HTTP request before and after its handler:
// request id, deadline, authentication, panics, security headers, CORS, log and metrics.
//
// The package does not own the answers, nor the access tokens (package people).
package httpd

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/request"
)

// Options are the options of Wrap.
type Options struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer

	// TrustProxy takes the client's address from the last entry of X-Forwarded-For, which
	// a proxy in front of the server must set.
	TrustProxy bool

	// Timeout is the time limit of a request. The body of an upload may take UploadTimeout
	// longer, and so may the client's reading of the answer.
	Timeout       time.Duration
	UploadTimeout time.Duration
}

// Wrap returns next with request id, deadline, headers, log and metrics.
func Wrap(next http.Handler, o Options) http.Handler {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tagma_http_request_seconds",
		Help:    "How long HTTP requests took, by route, method and status class.",
		Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
	}, []string{"route", "method", "status"})
	o.Metrics.MustRegister(seconds)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		info := request.New(o.address(r))
		ctx, cancel := context.WithTimeout(request.With(r.Context(), info), o.timeout(w, r))
		defer cancel()
		r = r.WithContext(ctx)
		answer := &recorder{ResponseWriter: w}
		header := answer.Header()
		header.Set("X-Request-Id", info.ID)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Frame-Options", "DENY")
		defer func() {
			abort := o.recoverPanic(ctx, answer, recover())
			duration := time.Since(start)
			seconds.WithLabelValues(route(r), method(r), answer.class()).Observe(duration.Seconds())
			o.Log.InfoContext(ctx, "request", "method", r.Method, "route", route(r), "status", answer.code(),
				"bytes", answer.bytes, "took", duration.Round(time.Microsecond), "from", info.Address)
			if abort {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// recoverPanic answers the request of a handler that panicked. It returns true if the
// connection must be closed: part of the answer is sent, and the client must not mistake the
// part for the whole.
func (o Options) recoverPanic(ctx context.Context, answer *recorder, panicked any) (abort bool) {
	if panicked == nil {
		return false
	}
	if err, ok := panicked.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	o.Log.ErrorContext(ctx, "panic", "value", panicked, "stack", string(debug.Stack()))
	if answer.status != 0 {
		return true
	}
	http.Error(answer, "internal error", http.StatusInternalServerError)
	return false
}

// timeout returns the time limit of a request, and sets the deadlines of the connection. The
// write deadline stops a client that does not read the answer.
func (o Options) timeout(w http.ResponseWriter, r *http.Request) time.Duration {
	timeout := o.Timeout
	if isForm(r) || r.Method == http.MethodPut {
		timeout += o.UploadTimeout
	}
	// Errors are ignored: only the connection of a test has no deadline.
	connection, now := http.NewResponseController(w), time.Now()
	_ = connection.SetReadDeadline(now.Add(timeout))
	_ = connection.SetWriteDeadline(now.Add(timeout + o.Timeout + o.UploadTimeout))
	return timeout
}

// isForm reports whether the request is an upload.
func isForm(r *http.Request) bool {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return mediaType == "multipart/form-data"
}

func (o Options) address(r *http.Request) string {
	if o.TrustProxy {
		entries := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if last := strings.TrimSpace(entries[len(entries)-1]); net.ParseIP(last) != nil {
			return last
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// route returns the pattern that matches the request. A path would make too many metrics,
// because clients choose paths.
func route(r *http.Request) string {
	if r.Pattern == "" {
		return "none"
	}
	return r.Pattern
}

func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// recorder records the status and the size of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) { // other 1xx are followed by the status
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.status = r.code()
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap gives http.ResponseController access to the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

func (r *recorder) class() string { return string(rune('0'+r.code()/100)) + "xx" }

// Authenticator returns the caller with a bearer token. The error is a *fault.Error if the
// token is invalid.
type Authenticator func(ctx context.Context, bearer string) (*caller.Caller, error)

// Refuser answers a refused request.
type Refuser func(w http.ResponseWriter, r *http.Request, status int, code fault.Code, message string)

// Authenticate sets the caller of a request by `Authorization: Bearer`. Without this header
// the caller is anonymous. A request with an invalid token is refused, so that no client
// believes to be signed in by mistake. An anonymous upload is refused before its body is
// read.
func Authenticate(next http.Handler, authenticate Authenticator, refuse Refuser, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		unauthenticated := func(message string) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, r, http.StatusUnauthorized, fault.Unauthenticated, message)
		}
		header := r.Header.Get("Authorization")
		if header == "" {
			if isForm(r) {
				unauthenticated("sign in to upload: send Authorization: Bearer <token>")
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		scheme, bearer, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			unauthenticated("send Authorization: Bearer <token>: other schemes are not taken")
			return
		}
		principal, err := authenticate(r.Context(), strings.TrimSpace(bearer))
		switch refusal, ok := errors.AsType[*fault.Error](err); {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(caller.With(r.Context(), principal)))
		case ok && refusal.Code == fault.Unauthenticated:
			unauthenticated(refusal.Message)
		default:
			log.ErrorContext(r.Context(), "cannot authenticate", "error", err)
			refuse(w, r, http.StatusServiceUnavailable, fault.Unavailable, "the token cannot be checked just now: try again")
		}
	})
}

// Checks are the conditions of a ready server, by name.
type Checks map[string]func(context.Context) error

// Ready answers /readyz: 200 if all checks pass, else 503 with the names of the failed
// checks. Obstacle returns the reason why the server cannot write, or "". A server that can
// only read is ready, and the answer has the reason in a second line.
func Ready(log *slog.Logger, checks Checks, obstacle func(context.Context) string) http.Handler {
	return ready(log, checks, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("ready\n"))
		if reason := obstacle(r.Context()); reason != "" {
			_, _ = w.Write([]byte("read-only: " + reason + "\n"))
		}
	})
}

// ReadyToWrite answers /readyz/write: as Ready, but 503 if there is an obstacle to writing.
func ReadyToWrite(log *slog.Logger, checks Checks, obstacle func(context.Context) string) http.Handler {
	return ready(log, checks, func(w http.ResponseWriter, r *http.Request) {
		if reason := obstacle(r.Context()); reason != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("read-only: " + reason + "\n"))
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
}

// ready answers 503 if a check fails, and calls onPass otherwise.
func ready(log *slog.Logger, checks Checks, onPass http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		var failed []string
		for name, check := range checks {
			if err := check(ctx); err != nil {
				log.WarnContext(ctx, "not ready", "check", name, "error", err)
				failed = append(failed, name)
			}
		}
		slices.Sort(failed)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if len(failed) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("not ready: " + strings.Join(failed, ", ") + "\n"))
			return
		}
		onPass(w, r)
	})
}
