package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNew_ATokenIsRecognisedByItsFormAndByParse(t *testing.T) {
	form := regexp.MustCompile(`^tagma_[0-9A-Za-z]{36}$`)
	seen := map[string]bool{}
	count := map[rune]int{}
	for range 2000 {
		secret, hash := New()
		if seen[hash] || !form.MatchString(secret.Reveal()) {
			t.Fatalf("made %q", secret.Reveal())
		}
		seen[hash] = true
		parsed, ok := Parse(secret.Reveal())
		if !ok || parsed.Reveal() != secret.Reveal() || parsed.Hash() != hash {
			t.Fatalf("Parse(%q) = %q, %v", secret.Reveal(), parsed.Reveal(), ok)
		}
		for _, c := range secret.Reveal()[len(prefix) : len(prefix)+randomLen] {
			count[c]++
		}
	}
	// 60,000 draws of 62: each about 968 times, with a deviation of 31.
	for _, c := range alphabet {
		if n := count[c]; n < 968-186 || n > 968+186 {
			t.Errorf("%q was drawn %d times", c, n)
		}
	}
}

// The checksum and the hash were computed with another program (Python's zlib
// and hashlib), so that tokens in use are not lost to a slip in this one.
const (
	knownToken = "tagma_0123456789ABCDEFGHIJKLMNOPQRST" + knownSum
	knownSum   = "3ehaf6"
	knownHash  = "1ad2b38aa419d28ca8acc1d13c4c16e67b7eee5f8948673ed2014c7ae631266f"
)

func TestParse_AKnownTokenKeepsItsChecksumAndHash(t *testing.T) {
	secret, ok := Parse(knownToken)
	if !ok || secret.Reveal() != knownToken || secret.Hash() != knownHash {
		t.Errorf("Parse = %q, %v with the hash %s", secret.Reveal(), ok, secret.Hash())
	}
}

func TestParse_WhatIsNoTokenIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":               "",
		"the prefix":          prefix,
		"another prefix":      "TAGMA_" + knownToken[len(prefix):],
		"one short":           knownToken[:length-1],
		"one long":            knownToken + "0",
		"a space in front":    " " + knownToken[:length-1],
		"a hyphen":            strings.Replace(knownToken, "5", "-", 1),
		"a NUL":               strings.Replace(knownToken, "5", "\x00", 1),
		"no ASCII":            strings.Replace(knownToken, "56", "é", 1),
		"two letters swapped": strings.Replace(knownToken, "AB", "BA", 1),
		"another checksum":    knownToken[:length-1] + "!",
		"redacted":            Secret{}.String(),
	} {
		if secret, ok := Parse(text); ok || secret.Reveal() != "" {
			t.Errorf("%s: Parse(%q) = %q, %v", name, text, secret.Reveal(), ok)
		}
	}
}

func TestParse_OneWrongCharacterIsAlwaysFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pos := rapid.IntRange(0, length-1).Draw(t, "at")
		c := rapid.Byte().Filter(func(c byte) bool { return c != knownToken[pos] }).Draw(t, "c")
		if text := knownToken[:pos] + string([]byte{c}) + knownToken[pos+1:]; text != knownToken {
			if _, ok := Parse(text); ok {
				t.Fatalf("%q is taken for a token", text)
			}
		}
	})
}

func TestParse_AnyTextIsJudgedWithoutPanic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		if secret, ok := Parse(text); ok != (secret.Reveal() != "") {
			t.Fatalf("Parse(%q) = %q, %v", text, secret.Reveal(), ok)
		}
	})
}

func TestSecret_NothingPrintsIt(t *testing.T) {
	type bearer struct {
		Name   string
		Token  Secret
		hidden Secret
	}
	secret, _ := Parse(knownToken)
	values := []any{secret, &secret, bearer{"a", secret, secret}, &bearer{"a", secret, secret}, []Secret{secret},
		map[string]Secret{"a": secret}, map[Secret]int{secret: 1}, fmt.Errorf("no: %w", fmt.Errorf("%v", secret))}

	var buf bytes.Buffer
	for _, value := range values {
		for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %t %e %c %U %p %T %10.3s %!") {
			fmt.Fprintf(&buf, verb+"\n", value)
		}
		fmt.Fprintln(&buf, value)
		for _, handler := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
			slog.New(handler).Info("a", "value", value)
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Errorf("encode a value with a token: %v", err)
		}
		buf.Write(encoded)
	}
	// Anything of its random part, also in hexadecimal, would be too much.
	for _, fragment := range []string{"0123456789AB", "QRST", knownSum, fmt.Sprintf("%x", "6789AB"), fmt.Sprintf("%X", "6789AB")} {
		if line := lineWith(buf.String(), fragment); line != "" {
			t.Errorf("%q shows in %q", fragment, line)
		}
	}
	if !strings.Contains(buf.String(), redactedText) {
		t.Error("nothing says that something is left out")
	}
}

func lineWith(text, fragment string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, fragment) {
			return line
		}
	}
	return ""
}
