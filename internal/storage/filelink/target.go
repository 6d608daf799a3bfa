package filelink

import (
	"cmp"
	"context"
	"crypto/hmac"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
)

const (
	// TargetPrefix is what the path of every target begins with.
	TargetPrefix = "/uploads/"

	// TargetLifetime is how long a target lives.
	TargetLifetime = 15 * time.Minute

	targetVersion = "tagma file target 1"
)

// Header is a header that must go with a request, besides Host and
// Content-Length, which every client sends.
type Header struct{ Name, Value string }

// Target is where a file is to be sent: once, and as it is.
type Target struct {
	Method    string
	URL       string
	Headers   []Header
	ExpiresAt instant.Instant
}

// File is a file that was asked for.
type File struct {
	Key      string // under which this server keeps what is sent to it
	Incoming string // under which the store keeps what is sent to it past this server
	Size     int64
	MD5      string // in hex
}

// Targets makes targets. This is the one place where it is decided how a file
// that was asked for gets into the store: through this server (Signer), or, on
// a store that clients can reach, by a PUT that the store has signed.
//
// What is at Incoming is whatever somebody has sent: the store checks what it
// can, and whoever asked for the file the rest, before anything counts on it.
type Targets interface {
	// Target is for one file. It lives for TargetLifetime at most.
	Target(ctx context.Context, file File) (Target, error)
}

// Target implements Targets: a PUT to this server. What it wants of a key is
// what Link does.
func (s *Signer) Target(_ context.Context, file File) (Target, error) {
	expires := s.clock().Add(TargetLifetime).Time().Unix()
	return Target{
		Method:    http.MethodPut,
		URL:       s.target(file.Key, strconv.FormatInt(file.Size, 10), file.MD5, expires),
		Headers:   []Header{{"If-None-Match", "*"}},
		ExpiresAt: instant.Of(time.Unix(expires, 0)),
	}, nil
}

// target is the one way to write the target that ends at expires, in seconds
// since 1970.
func (s *Signer) target(key, size, md5 string, expires int64) string {
	until := strconv.FormatInt(expires, 10)
	return TargetPrefix + escape(key) + "?expires=" + until + "&md5=" + url.QueryEscape(md5) + "&size=" + url.QueryEscape(size) +
		"&signature=" + s.sign(targetVersion, http.MethodPut, key, size, md5, until)
}

// checkTarget is the key and the size that a request's target is for, if it is
// one of ours. As with links, there is one spelling of it.
func (s *Signer) checkTarget(r *http.Request) (key string, size int64, ok bool) {
	key, ok = strings.CutPrefix(r.URL.Path, TargetPrefix)
	query := r.URL.Query()
	expires, err := strconv.ParseInt(query.Get("expires"), 10, 64)
	if !ok || err != nil {
		return "", 0, false
	}
	requested := r.URL.EscapedPath() + "?" + r.URL.RawQuery
	if !hmac.Equal([]byte(requested), []byte(s.target(key, query.Get("size"), query.Get("md5"), expires))) {
		return "", 0, false
	}
	size, err = strconv.ParseInt(query.Get("size"), 10, 64)
	return key, size, err == nil && time.Unix(expires, 0).After(s.clock().Time())
}

// Receive takes a file of size bytes for a key. Its error is a *fault.Error
// where the sender is to hear of it: BadInput, NotFound, Unavailable, or Conflict
// where the key is taken.
type Receive func(ctx context.Context, key string, size int64, body io.Reader) error

// Receiver takes the files that are sent to the signer's targets. It belongs at
// TargetPrefix. A body is read only if its length is the one that was asked
// for, and never held in memory as a whole: that is receive's part.
//
// It answers 201, or with a line of text 400 for other bytes than were asked
// for, 403 for a target that does not hold, 404 for an upload that is over, 411
// without a length, 412 where the file is here already, and 503 where it cannot be
// taken just now.
func Receiver(signer *Signer, receive Receive, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
		if r.Method != http.MethodPut {
			header.Set("Allow", http.MethodPut)
			http.Error(w, "only PUT is answered here", http.StatusMethodNotAllowed)
			return
		}
		key, size, ok := signer.checkTarget(r)
		switch {
		case !ok:
			refuse(w, http.StatusForbidden, "this target is not valid, or no longer; ask for a new one")
			return
		case r.ContentLength < 0:
			refuse(w, http.StatusLengthRequired, "send Content-Length")
			return
		case r.ContentLength != size:
			refuse(w, http.StatusBadRequest, "the body has "+strconv.FormatInt(r.ContentLength, 10)+" bytes, and "+strconv.FormatInt(size, 10)+" were asked for: send the file as the manifest says")
			return
		}
		err := receive(r.Context(), key, size, r.Body)
		if err == nil {
			w.WriteHeader(http.StatusCreated)
			return
		}
		answer(w, r, err, log)
	})
}

var statuses = map[fault.Code]int{
	fault.BadInput: http.StatusBadRequest,
	fault.NotFound: http.StatusNotFound,
	fault.Conflict: http.StatusPreconditionFailed,

	fault.Unavailable: http.StatusServiceUnavailable,
}

// answer says what went wrong, as far as the sender may know.
func answer(w http.ResponseWriter, r *http.Request, err error, log *slog.Logger) {
	if refusal, ok := errors.AsType[*fault.Error](err); ok {
		refuse(w, cmp.Or(statuses[refusal.Code], http.StatusBadRequest), refusal.Message)
		return
	}
	if r.Context().Err() == nil {
		log.ErrorContext(r.Context(), "take a file", "error", err)
	}
	refuse(w, http.StatusInternalServerError, "internal error")
}

// refuse answers one whose body is not read to its end: it may be long, and the
// connection cannot be used again.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Connection", "close")
	http.Error(w, message, status)
}
