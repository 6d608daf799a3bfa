package labelrepo

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/encoding/htmlindex"

	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo/bare"
)

// Identity is a person or a service, as author or committer. Commits leave out
// the characters that git does not allow in names and addresses.
type Identity struct{ Name, Email string }

// clean returns the identity without the characters that would break a header
// line of a commit.
func (i Identity) clean() Identity {
	strip := func(s string) string {
		s = strings.Map(func(c rune) rune {
			if unicode.IsControl(c) || c == '<' || c == '>' {
				return -1
			}
			return c
		}, strings.ToValidUTF8(s, "\uFFFD"))
		return strings.Trim(s, " .,:;\"\\'")
	}
	email := strings.ReplaceAll(strip(i.Email), " ", "")
	return Identity{Name: cmp.Or(strip(i.Name), email, "unknown"), Email: email}
}

// ident returns the identity and a time in the format of a commit header: whole
// seconds since 1970, in UTC.
func (i Identity) ident(at instant.Instant) string {
	i = i.clean()
	return fmt.Sprintf("%s <%s> %d +0000", i.Name, i.Email, max(at.Time().Unix(), 0))
}

// cleanMessage returns the message as valid UTF-8, without NUL bytes and carriage
// returns of line ends, and with exactly one line feed at the end.
func cleanMessage(message string) string {
	message = strings.ToValidUTF8(message, "\uFFFD")
	message = strings.NewReplacer("\x00", "", "\r\n", "\n").Replace(message)
	return strings.TrimSpace(message) + "\n"
}

// encodeCommit returns the content of a commit object. A parent of zero means no
// parent.
func encodeCommit(tree, parent bare.Hash, author, committer, message string, signer Signer) ([]byte, error) {
	var head strings.Builder
	fmt.Fprintf(&head, "tree %s\n", tree)
	if !parent.IsZero() {
		fmt.Fprintf(&head, "parent %s\n", parent)
	}
	fmt.Fprintf(&head, "author %s\ncommitter %s\n", author, committer)
	body := "\n" + cleanMessage(message)
	if signer == nil {
		return []byte(head.String() + body), nil
	}
	// The signature covers the commit without the gpgsig header.
	armored, err := sign(signer, []byte(head.String()+body))
	if err != nil {
		return nil, fmt.Errorf("signing a commit: %w", err)
	}
	fmt.Fprintf(&head, "gpgsig %s\n", strings.ReplaceAll(strings.TrimSpace(armored), "\n", "\n "))
	return []byte(head.String() + body), nil
}

// commitObject is a parsed commit.
type commitObject struct {
	tree       bare.Hash
	parents    []bare.Hash
	author     Identity
	authorTime instant.Instant
	committer  Identity
	commitTime instant.Instant
	message    string
}

var errMalformedCommit = errors.New("malformed commit")

// parseCommit parses a commit of any git implementation. The header encoding names
// the encoding of the texts, which is UTF-8 otherwise. parseCommit returns
// errMalformedCommit if the tree or a parent is invalid. An invalid author or
// committer is no error, because the files of the commit remain usable.
func parseCommit(content []byte) (commitObject, error) {
	var c commitObject
	head, message, _ := bytes.Cut(content, []byte("\n\n"))
	var author, committer, charset string
	for line := range strings.SplitSeq(string(head), "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "tree", "parent":
			if len(value) != 2*len(bare.Hash{}) {
				return c, errMalformedCommit
			}
			hash := hashOf(value)
			if key == "tree" {
				c.tree = hash
			} else {
				c.parents = append(c.parents, hash)
			}
		case "author":
			author = value
		case "committer":
			committer = value
		case "encoding":
			charset = value
		}
	}
	c.message = decodeText(string(message), charset)
	c.author, c.authorTime = parseIdent(decodeText(author, charset))
	c.committer, c.commitTime = parseIdent(decodeText(committer, charset))
	if c.tree.IsZero() {
		return c, errMalformedCommit
	}
	return c, nil
}

// decodeText returns a text in UTF-8. The charset is a name such as ISO-8859-1, or ""
// for UTF-8. A text with an unknown charset counts as UTF-8.
func decodeText(text, charset string) string {
	if charset != "" {
		if encoding, err := htmlindex.Get(charset); err == nil {
			if decoded, err := encoding.NewDecoder().String(text); err == nil {
				return decoded
			}
		}
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// parseIdent parses "Name <email> seconds zone". The zone is ignored: the
// seconds are in UTC.
func parseIdent(text string) (Identity, instant.Instant) {
	name, rest, _ := strings.Cut(text, "<")
	email, when, _ := strings.Cut(rest, ">")
	var seconds int64
	if fields := strings.Fields(when); len(fields) > 0 {
		seconds, _ = strconv.ParseInt(fields[0], 10, 64)
	}
	return Identity{Name: strings.TrimSpace(name), Email: email}, instant.Of(time.Unix(seconds, 0))
}
