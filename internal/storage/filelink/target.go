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
	// TargetPrefix begins the path of every target.
	TargetPrefix = "/uploads/"

	// TargetLifetime is the validity of a target.
	TargetLifetime = 15 * time.Minute

	targetVersion = "tagma file target 1"
)

// Header is a required header of a request, besides Host and Content-Length.
type Header struct{ Name, Value string }

// Target is the request for sending a file: method, URL and headers. A client sends
// the request once, without changes.
type Target struct {
	Method    string
	URL       string
	Headers   []Header
	ExpiresAt instant.Instant
}

// File describes a file to be sent by a client.
type File struct {
	Key      string // the key if the file passes through this server
	Incoming string // the key if the file goes directly to the object storage
	Size     int64
	MD5      string // in hex
}

// Targets makes targets. An implementation decides how a file reaches the bucket:
// through this server (Signer), or by a signed PUT from the client to the object
// storage (package s3store).
//
// The file at Incoming may hold any bytes, because not every object storage checks
// the signed headers. The package that requested the file checks size and hash
// before use.
type Targets interface {
	// Target returns the target of a file, valid for at most TargetLifetime.
	Target(ctx context.Context, file File) (Target, error)
}

// Target implements Targets. Target returns a PUT to this server. The key has the
// same limits as in Link.
func (s *Signer) Target(_ context.Context, file File) (Target, error) {
	expires := s.clock().Add(TargetLifetime).Time().Unix()
	return Target{
		Method:    http.MethodPut,
		URL:       s.target(file.Key, strconv.FormatInt(file.Size, 10), file.MD5, expires),
		Headers:   []Header{{"If-None-Match", "*"}},
		ExpiresAt: instant.Of(time.Unix(expires, 0)),
	}, nil
}

// target returns the URL of the target expiring at expires, in seconds since 1970.
// Both Target and checkTarget call target, so a target has a single valid spelling.
func (s *Signer) target(key, size, md5 string, expires int64) string {
	until := strconv.FormatInt(expires, 10)
	return TargetPrefix + escape(key) + "?expires=" + until + "&md5=" + url.QueryEscape(md5) + "&size=" + url.QueryEscape(size) +
		"&signature=" + s.sign(targetVersion, http.MethodPut, key, size, md5, until)
}

// checkTarget verifies the target of a request, and returns the key and the size of
// the file.
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

// Receive stores a file of size bytes under a key. Errors for the sender are of
// type *fault.Error: BadInput, NotFound, Unavailable, or Conflict if the key
// exists.
type Receive func(ctx context.Context, key string, size int64, body io.Reader) error

// Receiver returns a handler for PUT requests to the targets of signer. The caller
// mounts the handler at TargetPrefix. Receiver reads a body only if Content-Length
// is the signed size. Receive must stream the body and never hold the whole body in
// memory.
//
// Receiver answers 201, or a line of text with a status: 400 if the body has
// another size or hash than the target, 403 for an invalid target, 404 for an ended
// upload, 411 without Content-Length, 412 if the file exists, and 503 if the file
// cannot be stored now.
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

// answer writes an error to the sender. The text of an internal error goes to log.
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

// refuse answers a request without reading the rest of the body, because the body
// may be long. So the connection cannot be used again.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Connection", "close")
	http.Error(w, message, status)
}
