package labelrepo

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode"

	"tagma/internal/domain/labelrepo/bare"
)

// Errors of the label repository. Every error of this package about the
// repository wraps one of these errors. The text is safe to print: without
// credentials and of limited length.
var (
	// ErrUnavailable means that the remote is unreachable, too slow, or out of
	// order. A later attempt may succeed.
	ErrUnavailable = errors.New("the label repository is not available")
	// ErrAuth means that the remote refuses the credentials. A person must change
	// the credentials.
	ErrAuth = errors.New("the label repository refuses the credentials")
	// ErrRejected means that a hook or a protected branch of the remote refuses
	// the commits. A person must act.
	ErrRejected = errors.New("the label repository rejected the push")
	// ErrTooLarge means that the remote refuses a push because of its size. A push
	// of fewer commits may succeed.
	ErrTooLarge = errors.New("the push is too large for the label repository")
	// ErrUnusable means that the remote, or the repository on the disk, is of a kind
	// that this package cannot write, or belongs to another user of the machine. An
	// operator must change the repository: an attempt that follows fails likewise.
	ErrUnusable = errors.New("the label repository cannot be used")
	// ErrDamaged means that a repository without a remote is damaged on the disk.
	// With a remote, the cache is fetched again instead.
	ErrDamaged = errors.New("the label repository is damaged")
	// ErrInUse means that another process holds the lock of the repository.
	ErrInUse = bare.ErrInUse
	// ErrSecretInAddress means that the address of the remote contains a user
	// name or a password. Addresses are logged.
	ErrSecretInAddress = errors.New("the address of the label repository holds a user name or password")
	// ErrRewritten means that a commit is no longer in the history of the branch,
	// because somebody forced the branch.
	ErrRewritten = errors.New("the history of the label repository was rewritten")
)

// repoError is an error that is safe to print. It does not wrap its cause,
// because the cause may contain a secret.
type repoError struct {
	kind       error
	text       string
	retryAfter time.Duration // 0 = the remote asks for no pause
}

func (p *repoError) Error() string {
	if p.text == "" {
		return p.kind.Error()
	}
	return p.kind.Error() + ": " + p.text
}

func (p *repoError) Unwrap() error { return p.kind }

// exchangeError is a failed exchange with the remote, of a known kind. The text may
// hold secrets: toRepoError removes the secrets.
type exchangeError struct {
	kind       error
	text       string
	retryAfter time.Duration
}

func (e *exchangeError) Error() string { return e.text }

// RetryAfter returns the pause that the remote asks for before another attempt, or
// 0 if the remote asks for none.
func RetryAfter(err error) time.Duration {
	if repoErr, ok := errors.AsType[*repoError](err); ok {
		return repoErr.retryAfter
	}
	return 0
}

// scrubber removes secrets from the text of libraries and remotes.
type scrubber struct{ replacer *strings.Replacer }

// newScrubber returns a scrubber for the secrets, as plain text, percent-encoded,
// and in a Basic authorization of user.
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

const maxMessage = 500 // limit of a text of a library or a remote, in characters

// clean returns text in one line, without secrets and control characters, and at
// most maxMessage characters long.
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
