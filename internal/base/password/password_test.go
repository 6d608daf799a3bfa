package password

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"tagma/internal/base/fault"
)

func TestCheck_WhatMayBeAPassword(t *testing.T) {
	for name, plain := range map[string]string{
		"the shortest":                 "tenletters",
		"the longest":                  strings.Repeat("ab", 64),
		"spaces within":                "four words of sense",
		"as many characters, no ASCII": strings.Repeat("猫", 10),
		"more than the user name":      "florence.n!",
	} {
		if err := Check(plain, "florence.n"); err != nil {
			t.Errorf("%s: got %v, want no error", name, err)
		}
	}
}

func TestCheck_WhatMayNotBeAPassword(t *testing.T) {
	for name, plain := range map[string]string{
		"empty":                             "",
		"too short":                         "nineteen9",
		"too short though ten bytes":        "ééééé",
		"too short once its accents join":   strings.Repeat("e\u0301", 9),
		"too long":                          strings.Repeat("a", 129),
		"not UTF-8":                         "tenletters\xff",
		"a NUL":                             "tenletters\x00",
		"the user name":                     "florence.né",
		"the user name in capitals":         "FLORENCE.NÉ",
		"the user name from other keyboard": "florence.ne\u0301",
		"guessed first":                     "password123",
		"guessed first, with a capital":     "Password123",
	} {
		err := Check(plain, "florence.né")
		if refusal, ok := errors.AsType[*fault.Error](err); !ok || refusal.Code != fault.BadInput {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if len(plain) > 4 && strings.Contains(err.Error(), plain) {
			t.Errorf("%s: the message shows the password: %v", name, err)
		}
	}
}

func TestCheck_EachOfTheWorstPasswordsIsThereForAReason(t *testing.T) {
	for _, p := range strings.Fields(commonPasswords) {
		if utf8.RuneCountInString(p) < MinLength || strings.ToLower(p) != p || strings.Count(commonPasswords, "\n"+p+"\n") > 1 {
			t.Errorf("%q is too short anyway, not in lower case, or there twice", p)
		}
		if Check(strings.ToUpper(p), "someone") == nil {
			t.Errorf("%q is allowed in capitals", p)
		}
	}
}

func TestCheck_AnyInputIsJudgedWithoutPanic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := string(rapid.SliceOf(rapid.Byte()).Draw(t, "plain"))
		if Check(plain, "someone") == nil && (!utf8.ValidString(plain) || strings.ContainsRune(plain, 0)) {
			t.Fatalf("%q is allowed", plain)
		}
	})
}

func TestGenerate_APasswordToBeginWithIsLegibleAllowedAndNew(t *testing.T) {
	form := regexp.MustCompile(`^[2-9a-hjkmnp-z]{5}(-[2-9a-hjkmnp-z]{5}){3}$`)
	seen := map[string]bool{}
	count := map[rune]int{}
	for range 2000 {
		p := Generate()
		if !form.MatchString(p) || Check(p, "someone") != nil || seen[p] {
			t.Fatalf("made %q", p)
		}
		seen[p] = true
		for _, c := range p {
			count[c]++
		}
	}
	// 40,000 draws of 31: each about 1290 times, with a deviation of 35.
	for _, c := range alphabet {
		if n := count[c]; n < 1290-210 || n > 1290+210 {
			t.Errorf("%q was drawn %d times", c, n)
		}
	}
}
