// Package filelink owns signed links to the files of package localblob. A link is a
// path that opens a file for a limited time, to any person with the path. The
// package also owns targets, which receive a file once, and the HTTP handlers of
// links and targets.
//
// Package s3store makes the links and targets of S3, and implements Maker and
// Targets. Package filelink does not own the right to a link or a target: the
// caller checks the right. Nor does package filelink own the storing of a received
// file: see Receive.
package filelink

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tagma/internal/base/instant"
)

const (
	// Prefix begins the path of every link.
	Prefix = "/files/"

	// SecretSize is the length of a secret, in bytes.
	SecretSize = 32

	// LeastLeft is the least validity of a new link.
	LeastLeft = 5 * time.Minute

	// version is signed with every link. A changed signature scheme gets a new
	// version, so that a signature of an old scheme is invalid in the new scheme.
	version = "tagma file link 2"
)

// Maker makes links to files.
type Maker interface {
	// Get returns a link to the file of key for any person, and the expiry of the
	// link. The link is a path on this server or the URL of another server. A
	// browser saves the file under name: see Disposition.
	Get(ctx context.Context, key, name string) (link string, expiresAt instant.Instant, err error)
}

// Window returns the window of time around now. Windows follow each other from 1970
// on, each as long as lifetime less LeastLeft. All links to a file within a window
// are equal, because a browser caches a file by the URL. Links of the window expire
// at until, LeastLeft after the end of the window. All times are in whole seconds.
func Window(now time.Time, lifetime time.Duration) (from, until time.Time) {
	step := int64((lifetime - LeastLeft) / time.Second)
	from = time.Unix(now.Unix()/step*step, 0)
	return from, from.Add(time.Duration(step)*time.Second + LeastLeft)
}

// Signer makes links and targets, and verifies the signatures. Servers with the
// same secret and lifetime make the same links.
type Signer struct {
	secret   []byte
	clock    instant.Clock
	lifetime time.Duration
}

// NewSigner returns a Signer with a secret of SecretSize random bytes. A link is
// valid for at most lifetime, in whole seconds. NewSigner returns an error if
// lifetime is not longer than LeastLeft.
func NewSigner(secret []byte, clock instant.Clock, lifetime time.Duration) (*Signer, error) {
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("filelink: the secret has %d bytes, not %d", len(secret), SecretSize)
	}
	if lifetime < LeastLeft+time.Second {
		return nil, fmt.Errorf("filelink: a lifetime of %v is not more than %v", lifetime, LeastLeft)
	}
	return &Signer{secret: bytes.Clone(secret), clock: clock, lifetime: lifetime}, nil
}

// Link returns a path with a query, which opens the file of key to requests of
// method, and the expiry of the link: see Window. A link for GET also serves HEAD.
// For name see Disposition.
//
// No part of key between slashes may be empty, "." or "..", because browsers and
// proxies remove such parts from a path.
func (s *Signer) Link(method, key, name string) (path string, expiresAt instant.Instant) {
	_, until := Window(s.clock().Time(), s.lifetime)
	return s.link(method, key, name, until.Unix()), instant.Of(until)
}

// Get returns Link for GET. The error is always nil.
func (s *Signer) Get(_ context.Context, key, name string) (path string, expiresAt instant.Instant, err error) {
	path, expiresAt = s.Link(http.MethodGet, key, name)
	return path, expiresAt, nil
}

// link returns the link expiring at expires, in seconds since 1970. Both Link and
// check call link, so a link has a single valid spelling.
func (s *Signer) link(method, key, name string, expires int64) string {
	until, nameQuery := strconv.FormatInt(expires, 10), ""
	if name != "" {
		nameQuery = "&name=" + url.QueryEscape(name)
	}
	return Prefix + escape(key) + "?expires=" + until + nameQuery + "&signature=" + s.sign(version, method, key, name, until)
}

// escape returns a key as the end of a URL's path.
func escape(key string) string {
	parts := strings.Split(key, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// sign returns the HMAC-SHA-256 of parts. The length of each part is signed before
// the part, so different lists of parts never have the same bytes. The first part
// is the version.
func (s *Signer) sign(parts ...string) string {
	mac := hmac.New(sha256.New, s.secret)
	for _, part := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// check verifies the link of a request. check returns the key, the name of the
// file, and the remaining time of the link.
//
// check makes the link again and compares. So a link with a repeated or an added
// parameter, or with different escaping, is invalid.
func (s *Signer) check(r *http.Request) (key, name string, remaining time.Duration, ok bool) {
	key, ok = strings.CutPrefix(r.URL.Path, Prefix)
	if !ok {
		return "", "", 0, false
	}
	query := r.URL.Query()
	name = query.Get("name")
	expires, err := strconv.ParseInt(query.Get("expires"), 10, 64)
	if err != nil {
		return "", "", 0, false
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	requested := r.URL.EscapedPath() + "?" + r.URL.RawQuery
	if !hmac.Equal([]byte(requested), []byte(s.link(method, key, name, expires))) {
		return "", "", 0, false
	}
	remaining = time.Unix(expires, 0).Sub(s.clock().Time())
	return key, name, remaining, remaining > 0
}
