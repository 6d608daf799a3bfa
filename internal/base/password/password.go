// Package password owns the rules for passwords, the generation of passwords, and their
// storage as argon2id hashes in the PHC string format.
//
// The package does not own the passwords of people (package people), nor the rate of guesses
// (package throttle).
package password

import (
	"crypto/rand"
	_ "embed"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"tagma/internal/base/fault"
)

// The lengths of a password, in Unicode code points. NIST SP 800-63B requires a maximum of at
// least 64.
const (
	MinLength = 10
	MaxLength = 128
)

// commonPasswords holds the passwords that attackers try first, one per line, in lower case.
// Passwords shorter than MinLength are refused anyway and not listed.
//
//go:embed common.txt
var commonPasswords string

// Check returns an error unless plain may become the password of a user. The error is a
// *fault.Error, and does not contain the password.
func Check(plain, username string) error {
	if !utf8.ValidString(plain) {
		return fault.New(fault.BadInput, "the password is not valid UTF-8")
	}
	plain = canonical(plain)
	if n := utf8.RuneCountInString(plain); n < MinLength || n > MaxLength {
		return fault.New(fault.BadInput, "the password has %d characters: it must have %d to %d", n, MinLength, MaxLength)
	}
	if strings.ContainsRune(plain, 0) {
		return fault.New(fault.BadInput, "the password holds a NUL character: leave it out")
	}
	if strings.EqualFold(plain, canonical(username)) {
		return fault.New(fault.BadInput, "the password is the user name: choose another")
	}
	if slices.Contains(strings.Fields(commonPasswords), strings.ToLower(plain)) {
		return fault.New(fault.BadInput, "the password is one that is guessed first: choose another")
	}
	return nil
}

// canonical returns a text in the normal form NFC, because keyboards send a character such as é
// as one code point or as two (RFC 8265, the profile OpaqueString).
func canonical(s string) string { return norm.NFC.String(s) }

// alphabet lacks i, l, o, 0 and 1, which people confuse on paper.
const alphabet = "23456789abcdefghjkmnpqrstuvwxyz"

// Generate returns an initial password that is easy to read out: four groups of five
// characters, k7m2p-…, with 99 random bits.
func Generate() string {
	var b strings.Builder
	for i := range 20 {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		// rand.Int is uniform. An error can only come from the reader, and
		// crypto/rand.Reader returns none.
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		b.WriteByte(alphabet[n.Int64()])
	}
	return b.String()
}
