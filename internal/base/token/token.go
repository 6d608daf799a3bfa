// Package token owns the form of a bearer token: making, recognising and
// hashing tokens, and keeping tokens out of logs. It does not own the owner,
// the rights or the expiry of a token (package people).
//
// A token is
//
//	tagma_ + 30 random characters + 6 characters of checksum
//
// of the alphabet 0–9, A–Z and a–z, so that a double click selects the whole
// token. A scanner for leaked secrets finds a token by tagma_[0-9A-Za-z]{36}
// and verifies the checksum: the CRC-32 (IEEE) of the preceding characters, in
// base 62, with leading zeros. GitHub's tokens have the same structure.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"log/slog"
	"math/big"
	"strings"
)

const (
	prefix    = "tagma_"
	randomLen = 30 // 178 bits
	sumLen    = 6  // 62⁶ > 2³²
	length    = len(prefix) + randomLen + sumLen
	alphabet  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Secret is a bearer token. Printing, logging or encoding a Secret writes
// "tagma_[redacted]"; only Reveal returns the text. The zero value is no token.
//
// Secret is a struct with a pointer, not a string. For an unexported field, a
// map key or an unusual verb, fmt and encoding/json call no method: they would
// print a string, but print an address for a pointer. So == is useless; compare
// hashes.
type Secret struct{ text *string }

// New returns a new token and the hash to store.
func New() (secret Secret, hash string) {
	var b strings.Builder
	b.WriteString(prefix)
	for range randomLen {
		// rand.Int is uniform. An error can only come from the reader, and
		// crypto/rand.Reader returns none.
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		b.WriteByte(alphabet[n.Int64()])
	}
	text := b.String() + checksum(b.String())
	secret = Secret{&text}
	return secret, secret.Hash()
}

// Parse returns the token of a text. Parse returns false for text of another
// form and for a mistyped token, without a query of the database.
func Parse(text string) (Secret, bool) {
	if len(text) != length || !strings.HasPrefix(text, prefix) {
		return Secret{}, false
	}
	for _, c := range []byte(text[len(prefix):]) {
		if strings.IndexByte(alphabet, c) < 0 {
			return Secret{}, false
		}
	}
	body, sum := text[:length-sumLen], text[length-sumLen:]
	if checksum(body) != sum {
		return Secret{}, false
	}
	return Secret{&text}, true
}

// checksum detects mistakes. It proves nothing, because anyone can compute it.
func checksum(body string) string {
	var digits [sumLen]byte
	n := crc32.ChecksumIEEE([]byte(body))
	for i := sumLen - 1; i >= 0; i-- {
		digits[i] = alphabet[n%62]
		n /= 62
	}
	return string(digits[:])
}

// Hash returns the SHA-256 of the token in lower-case hexadecimal, which the
// database stores. A slow hash would add nothing to 178 random bits. The time
// of a lookup reveals nothing either: nobody can choose a hash close to another
// hash.
func (s Secret) Hash() string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return hex.EncodeToString(sum[:])
}

// Reveal returns the text of the token, for the one answer to its creator.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

const redactedText = prefix + "[redacted]"

// String returns the redacted text.
func (Secret) String() string { return redactedText }

// GoString returns the redacted text.
func (Secret) GoString() string { return redactedText }

// LogValue returns the redacted text.
func (Secret) LogValue() slog.Value { return slog.StringValue(redactedText) }

// MarshalJSON returns the redacted text.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redactedText) }

// MarshalText returns the redacted text.
func (Secret) MarshalText() ([]byte, error) { return []byte(redactedText), nil }
