package labelrepo

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"unicode"

	"tagma/internal/domain/labelrepo/bare"
)

// What may go wrong between here and the label repository. Every error of this
// package that is about the repository wraps one of them; its text is fit for
// print, without credentials and of bounded length.
var (
	// ErrUnavailable: not reachable, too slow, or unable just now. Try later.
	ErrUnavailable = errors.New("the label repository is not available")
	// ErrAuth: it does not let these credentials in. A person must act.
	ErrAuth = errors.New("the label repository refuses the credentials")
	// ErrRejected: it understood, and will not take the commits: a hook, a
	// protected branch. A person must act.
	ErrRejected = errors.New("the label repository rejected the push")
	// ErrDamaged: a repository that is not a cache, and so cannot be made
	// again from its remote, is broken on the disk.
	ErrDamaged = errors.New("the label repository is damaged")
	// ErrInUse: another process writes to the repository in the same folder.
	ErrInUse = bare.ErrInUse
	// ErrSecretInAddress: an address goes into logs, credentials do not.
	ErrSecretInAddress = errors.New("the address of the label repository holds a user name or password")
	// ErrRewritten: a commit that was asked about is not in the branch's
	// history. Someone forced the branch elsewhere.
	ErrRewritten = errors.New("the history of the label repository was rewritten")
)

// problem is an error for print. It deliberately does not wrap its cause:
// nobody knows what is in there.
type repoError struct {
	kind error
	text string
}

func (p *repoError) Error() string {
	if p.text == "" {
		return p.kind.Error()
	}
	return p.kind.Error() + ": " + p.text
}

func (p *repoError) Unwrap() error { return p.kind }

// scrubber takes secrets out of text that came from elsewhere.
type scrubber struct{ replacer *strings.Replacer }

// newScrubber knows a secret in every form in which a library or a remote may
// repeat it.
func newScrubber(user string, secrets ...string) scrubber {
	var pairs []string
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), basic} {
			pairs = append(pairs, form, "***")
		}
	}
	return scrubber{strings.NewReplacer(pairs...)}
}

const maxMessage = 500 // characters of a remote's or library's words

// clean is text without secrets and control characters, in one line, bounded.
func (s scrubber) clean(text string) string {
	text = s.replacer.Replace(strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxMessage {
		text = string(runes[:maxMessage]) + " …"
	}
	return text
}
