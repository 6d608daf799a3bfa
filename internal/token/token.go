// Package token owns the form of a bearer token: how one is made, recognised,
// hashed, and kept out of logs. It does not own whose a token is, what it
// allows or when it ends, which is package account's.
//
// A token is
//
//	tagma_ + 30 random characters + 6 characters of checksum
//
// all of 0–9, A–Z and a–z, so that a double click selects it and a scanner for
// leaked secrets finds it by tagma_[0-9A-Za-z]{36} and is sure by the checksum:
// the CRC-32 (IEEE) of all that precedes it, in base 62, with leading zeros.
// The idea is GitHub's.
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

// Secret is a bearer token. Whatever prints, logs or encodes it writes
// "tagma_[redacted]"; only Reveal gives the text. The zero value is no token.
//
// It is a pointer in a struct, and not a string, because fmt and encoding/json
// ask no method of an unexported field, of a map's key or for an odd verb:
// there, a string would show, and this shows an address. So == is of no use; compare hashes.
type Secret struct{ text *string }

// New makes a token and the hash by which it is kept.
func New() (secret Secret, hash string) {
	var b strings.Builder
	b.WriteString(prefix)
	for range randomLen {
		// rand.Int takes no character more often than another. Its error can
		// only be the reader's, and crypto/rand.Reader has none.
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		b.WriteByte(alphabet[n.Int64()])
	}
	text := b.String() + checksum(b.String())
	secret = Secret{&text}
	return secret, secret.Hash()
}

// Parse recognises a token. It spares the database what cannot be one: text of
// another form, and a token with a slip of the pen.
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

// checksum is no proof of anything, for anyone can compute it.
func checksum(body string) string {
	var digits [sumLen]byte
	n := crc32.ChecksumIEEE([]byte(body))
	for i := sumLen - 1; i >= 0; i-- {
		digits[i] = alphabet[n%62]
		n /= 62
	}
	return string(digits[:])
}

// Hash is the SHA-256 of the token in lower-case hexadecimal: what the database
// holds and looks up. A slow hash would add nothing to 178 random bits. Nor
// does the time of the look-up tell anything: nobody can choose hashes that
// come near another.
func (s Secret) Hash() string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return hex.EncodeToString(sum[:])
}

// Reveal is the token itself. It is for the answer that hands it out, once.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

const redactedText = prefix + "[redacted]"

// String hides the token.
func (Secret) String() string { return redactedText }

// GoString hides the token.
func (Secret) GoString() string { return redactedText }

// LogValue hides the token.
func (Secret) LogValue() slog.Value { return slog.StringValue(redactedText) }

// MarshalJSON hides the token.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redactedText) }

// MarshalText hides the token.
func (Secret) MarshalText() ([]byte, error) { return []byte(redactedText), nil }
