// Package filelink owns signed links to stored files: paths that open one file,
// to whoever has them, for a while; targets, to which one file can be sent, once;
// and the HTTP handlers of both.
//
// They are for the files of package localblob. S3 has links of its own (package
// s3store), which live as long as these and are made through the same Maker; it
// may have targets of its own: see Targets. The package does not own who may
// have a link or a target, which whoever asks it for one has checked, nor what
// becomes of a file that was sent.
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
	// Prefix is what the path of every link begins with.
	Prefix = "/files/"

	// SecretSize is the length of a secret, in bytes.
	SecretSize = 32

	// LeastLeft is the time that a link still has when it is given out, or
	// more.
	LeastLeft = 5 * time.Minute

	// version is signed with every link. Another way of signing is another
	// version, so that no link of one counts in the other.
	version = "tagma file link 2"
)

// Maker makes links to files.
type Maker interface {
	// Get is a link with which anybody gets the file of key, and the moment at
	// which it ends: a path on this server, or the address of another. Who saves
	// the file gets it under that name: see Disposition.
	Get(ctx context.Context, key, name string) (link string, expiresAt instant.Instant, err error)
}

// Window is the span of time that holds now, from 1970 in steps of LeastLeft
// less than lifetime, and at whose end all links that are made in it have
// LeastLeft left: they end at until. Browsers know a file again by its URL, so
// all links made in one window are the same. All are in whole seconds.
func Window(now time.Time, lifetime time.Duration) (from, until time.Time) {
	step := int64((lifetime - LeastLeft) / time.Second)
	from = time.Unix(now.Unix()/step*step, 0)
	return from, from.Add(time.Duration(step)*time.Second + LeastLeft)
}

// Signer makes links and knows its own again. All servers that share a secret
// and a lifetime make the same links.
type Signer struct {
	secret   []byte
	clock    instant.Clock
	lifetime time.Duration
}

// NewSigner makes a Signer of a secret of SecretSize random bytes. A link lives
// for lifetime at most, in whole seconds; that must be more than LeastLeft.
func NewSigner(secret []byte, clock instant.Clock, lifetime time.Duration) (*Signer, error) {
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("filelink: the secret has %d bytes, not %d", len(secret), SecretSize)
	}
	if lifetime < LeastLeft+time.Second {
		return nil, fmt.Errorf("filelink: a lifetime of %v is not more than %v", lifetime, LeastLeft)
	}
	return &Signer{secret: bytes.Clone(secret), clock: clock, lifetime: lifetime}, nil
}

// Link is a path that opens the file of key to requests of the given method,
// with its query, and the moment at which it ends: see Window. One for GET is
// good for HEAD too. For the name see Disposition.
//
// No part of key between slashes may be empty, "." or "..", because browsers
// and proxies take these out of a path.
func (s *Signer) Link(method, key, name string) (path string, expiresAt instant.Instant) {
	_, until := Window(s.clock().Time(), s.lifetime)
	return s.link(method, key, name, until.Unix()), instant.Of(until)
}

// Get is Link for GET. It never fails.
func (s *Signer) Get(_ context.Context, key, name string) (path string, expiresAt instant.Instant, err error) {
	path, expiresAt = s.Link(http.MethodGet, key, name)
	return path, expiresAt, nil
}

// link is the one way to write the link that ends at expires, in seconds since
// 1970.
func (s *Signer) link(method, key, name string, expires int64) string {
	until, nameQuery := strconv.FormatInt(expires, 10), ""
	if name != "" {
		nameQuery = "&name=" + url.QueryEscape(name)
	}
	return Prefix + escape(key) + "?expires=" + until + nameQuery + "&signature=" + s.sign(version, method, key, name, until)
}

// escape writes a key as the end of a path.
func escape(key string) string {
	parts := strings.Split(key, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// sign is the HMAC-SHA-256 of the parts, each after its length, so that no two
// lists of parts have the same bytes. The first is the version.
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

// check is the key that a request's link opens, the name that it gives the file,
// and the time that the link has left, if it is one of ours.
//
// It makes the link anew and wants the very same one. So there is no other
// spelling of a link: no parameter twice, none added, no other escaping.
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
