// Package password owns what may be a password, how one is made, and how it is
// kept: as an argon2id hash in the PHC string form.
//
// It does not own who has which password, which is package people's, nor how
// often one may be guessed, which is package throttle's.
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

// The bounds of a password, in Unicode code points. NIST SP 800-63B wants room
// for at least 64.
const (
	MinLength = 10
	MaxLength = 128
)

// worst holds the passwords that guessers try first, one a line, in lower
// case. Those below MinLength are refused anyway and do not appear.
//
//go:embed worst.txt
var worst string

// Check says whether plain may become the password of that user. What it
// returns is a *fault.Error, and never holds the password.
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
	if slices.Contains(strings.Fields(worst), strings.ToLower(plain)) {
		return fault.New(fault.BadInput, "the password is one that is guessed first: choose another")
	}
	return nil
}

// canonical makes one string of the ways to write the same characters: one
// keyboard sends é as one code point, another as two, and both belong to the
// same person (RFC 8265, the OpaqueString profile).
func canonical(s string) string { return norm.NFC.String(s) }

// legible leaves out i, l, o, 0 and 1, which are taken for each other on paper.
const legible = "23456789abcdefghjkmnpqrstuvwxyz"

// Generate makes a password to begin with, fit to be read out: four groups of
// five characters, k7m2p-…, of 99 random bits.
func Generate() string {
	var b strings.Builder
	for i := range 20 {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		// rand.Int takes no letter more often than another. Its error can
		// only be the reader's, and crypto/rand.Reader has none.
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(legible))))
		b.WriteByte(legible[n.Int64()])
	}
	return b.String()
}
