// Package httpd owns the middleware around every HTTP request: the request id, the
// deadline, authentication, panic recovery, security headers, CORS, the access log
// and the metrics.
//
// Package httpd does not own the answers, nor the tokens (package people).
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

// Options of Wrap.
type Options struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer

	// TrustProxy takes the client's address from the last entry of X-Forwarded-For. A
	// proxy in front must set the header.
	TrustProxy bool

	// Timeout bounds a request. UploadTimeout is further time for the body of an
	// upload, and again for the client to read the answer.
	Timeout       time.Duration
	UploadTimeout time.Duration
}

// Wrap returns a handler that adds the middleware to the routes of the server.
func Wrap(next http.Handler, o Options) http.Handler {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tagma_http_request_seconds",
		Help:    "How long HTTP requests took, by route, method and status class.",
		Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
	}, []string{"route", "method", "status"})
	o.Metrics.MustRegister(seconds)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		req := request.New(o.address(r))
		ctx, cancel := context.WithTimeout(request.With(r.Context(), req), o.timeout(w, r))
		defer cancel()
		r = r.WithContext(ctx)
		answer := &recorder{ResponseWriter: w}
		header := answer.Header()
		header.Set("X-Request-Id", req.ID)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Frame-Options", "DENY")
		defer func() {
			abort := o.recovered(ctx, answer, recover())
			took := time.Since(start)
			seconds.WithLabelValues(route(r), method(r), answer.class()).Observe(took.Seconds())
			o.Log.InfoContext(ctx, "request", "method", r.Method, "route", route(r), "status", answer.code(),
				"bytes", answer.bytes, "took", took.Round(time.Microsecond), "from", req.Address)
			if abort {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// recovered answers for a handler after a panic. recovered returns true if the
// connection must break: part of the answer is sent, and the client must not take the
// part for the whole.
func (o Options) recovered(ctx context.Context, answer *recorder, panicked any) (abort bool) {
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

// timeout returns the time limit of the request, and sets the deadlines of the
// connection. After the read deadline the server reads no more of the body. The write
// deadline ends the answer to a client that does not read.
func (o Options) timeout(w http.ResponseWriter, r *http.Request) time.Duration {
	timeout := o.Timeout
	if isForm(r) || r.Method == http.MethodPut {
		timeout += o.UploadTimeout
	}
	// The errors are ignored: only the connections of tests cannot have deadlines.
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

// route returns the pattern of the handler, for labels of metrics. The pattern bounds
// the number of labels: there are few patterns, but clients may send any number of
// paths.
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
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) { // other statuses below 200 are not final
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

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

func (r *recorder) class() string { return string(rune('0'+r.code()/100)) + "xx" }

// Authenticator returns the caller of a bearer token. The error for an invalid token
// is a *fault.Error.
type Authenticator func(ctx context.Context, bearer string) (*caller.Caller, error)

// Refuser writes the answer to a refused request.
type Refuser func(w http.ResponseWriter, r *http.Request, status int, code fault.Code, message string)

// Authenticate returns a handler that passes the caller of the header
// `Authorization: Bearer` to next. Without the header the caller is anonymous. The
// handler refuses an invalid token: a client with an invalid token must not pass for
// an anonymous caller. The handler refuses an anonymous upload before reading the body.
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
		by, err := authenticate(r.Context(), strings.TrimSpace(bearer))
		switch known, ok := errors.AsType[*fault.Error](err); {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(caller.With(r.Context(), by)))
		case ok && known.Code == fault.Unauthenticated:
			unauthenticated(known.Message)
		default:
			log.ErrorContext(r.Context(), "cannot authenticate", "error", err)
			refuse(w, r, http.StatusServiceUnavailable, fault.Unavailable, "the token cannot be checked just now: try again")
		}
	})
}

// Checks holds the checks of a ready server, by name.
type Checks map[string]func(context.Context) error

// Ready returns a handler for /readyz: 200 if all checks pass, otherwise 503 with the
// names of the failed checks. obstacle returns the reason why the server cannot
// write, or "". A read-only server is ready, and the second line of the answer has
// the reason.
func Ready(log *slog.Logger, checks Checks, obstacle func(context.Context) string) http.Handler {
	return ready(log, checks, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("ready\n"))
		if why := obstacle(r.Context()); why != "" {
			_, _ = w.Write([]byte("read-only: " + why + "\n"))
		}
	})
}

// ReadyToWrite returns a handler for /readyz/write: as Ready, but 503 for a read-only
// server.
func ReadyToWrite(log *slog.Logger, checks Checks, obstacle func(context.Context) string) http.Handler {
	return ready(log, checks, func(w http.ResponseWriter, r *http.Request) {
		if why := obstacle(r.Context()); why != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("read-only: " + why + "\n"))
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
}

// ready returns a handler that answers 503 if a check fails, and calls passed
// otherwise.
func ready(log *slog.Logger, checks Checks, passed http.HandlerFunc) http.Handler {
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
		passed(w, r)
	})
}
