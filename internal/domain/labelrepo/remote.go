package labelrepo

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"golang.org/x/crypto/ssh/knownhosts"

	"tagma/internal/domain/labelrepo/bare"
)

// remote exchanges packs with the remote repository, in git's own protocol over
// go-git's transports. It does not know the content of packs. It is not safe for
// concurrent use.
type remote struct {
	address      string // for messages
	branch       plumbing.ReferenceName
	endpoint     *transport.Endpoint
	credentials  Credentials
	access       atomic.Pointer[access] // an exchange that hangs may still read the access while renewToken writes
	transport    transport.Transport
	timeout      time.Duration // of one exchange
	fetchTimeout time.Duration // of one fetch, which may bring the whole repository

	// capabilities is set after a push over HTTP, and saves the next push half of
	// its round trips. A push needs no advertisement of the remote's references:
	// the remote itself compares the branch with the expected commit.
	capabilities *capability.List
}

// access is what an exchange takes from the credentials.
type access struct {
	auth   transport.AuthMethod // nil for a remote without authentication
	scrub  scrubber
	tokens []string // the latest tokens, the present one last: a hook may repeat an old token
	stale  bool     // whether the file of the token could not be read again
}

// maxTokens is the number of tokens that scrub removes.
const maxTokens = 10

// renewToken reads the file of the token again, because a person may have renewed
// the token. Without a file that holds a token, the last token remains.
func (m *remote) renewToken() {
	if m.credentials.TokenFile == "" || !m.stateless() {
		return
	}
	old := m.access.Load()
	token, err := ReadToken(m.credentials.TokenFile)
	switch {
	case err != nil:
		if !old.stale {
			next := *old
			next.stale = true
			m.access.Store(&next)
		}
	case old.stale, !slices.Contains(old.tokens, token), old.tokens[len(old.tokens)-1] != token:
		tokens := slices.DeleteFunc(slices.Clone(old.tokens), func(t string) bool { return t == token })
		m.setToken(append(tokens, token))
	}
}

// setToken sets the access by tokens, the present one last.
func (m *remote) setToken(tokens []string) {
	tokens = tokens[max(0, len(tokens)-maxTokens):]
	username := m.credentials.Username
	m.access.Store(&access{
		auth:   &githttp.BasicAuth{Username: username, Password: tokens[len(tokens)-1]},
		scrub:  newScrubber(username, append(tokens, m.credentials.Passphrase)...),
		tokens: tokens,
	})
}

// clean returns a text of a library or a remote that is safe to print.
func (m *remote) clean(text string) string { return m.access.Load().scrub.clean(text) }

// errMoved is returned if the remote's branch is not at the expected commit.
var errMoved = errors.New("the branch of the remote has moved")

// push sends a pack and moves the branch from old to next. It returns errMoved if
// the remote advertises another commit than old, and ErrRejected if the remote
// refuses to move the branch. A refusal may be a lost race: each kind of host has
// its own words for a lost race, so the caller reads the branch again.
func (m *remote) push(ctx context.Context, old, next bare.Hash, pack *io.SectionReader) error {
	m.renewToken()
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	cachedCapabilities := m.capabilities
	m.capabilities = nil
	capabilities, err := runWithContext(ctx, func() (*capability.List, error) { return m.sendPush(ctx, cachedCapabilities, old, next, pack) })
	if err == nil && m.stateless() {
		m.capabilities = capabilities
	}
	if errors.Is(err, errMoved) {
		return errMoved
	}
	return m.toRepoError(ctx, err)
}

// sendPush runs the protocol of a push and returns the capabilities of the
// remote. If the capabilities are nil, sendPush asks the remote first.
func (m *remote) sendPush(ctx context.Context, capabilities *capability.List, old, next bare.Hash, pack *io.SectionReader) (*capability.List, error) {
	session, err := m.transport.NewReceivePackSession(m.copyEndpoint(), m.access.Load().auth)
	if err != nil {
		return nil, err
	}
	defer closeAsync(session)
	if capabilities == nil {
		advertisement, err := session.AdvertisedReferencesContext(ctx)
		if err == nil {
			err = checkAdvertisement(advertisement)
		}
		if err != nil {
			return nil, err
		}
		if advertisement.References[m.branch.String()] != old {
			return nil, errMoved
		}
		capabilities = advertisement.Capabilities
	}
	request := packp.NewReferenceUpdateRequestFromCapabilities(capabilities)
	output := &limitedBuffer{limit: 4 * maxMessage}
	if capabilities.Supports(capability.Sideband64k) { // carries the output of hooks
		_ = request.Capabilities.Set(capability.Sideband64k)
		request.Progress = output
	}
	request.Commands = []*packp.Command{{Name: m.branch, Old: old, New: next}}
	if m.stateless() {
		ctx = context.WithValue(ctx, packKey{}, pack)
	} else {
		request.Packfile = io.NopCloser(pack)
	}
	status, err := session.ReceivePack(ctx, request)
	switch {
	case status != nil && (err != nil || !m.isAccepted(status)):
		return nil, m.rejection(status, output.String())
	case err == nil && status == nil:
		err = errors.New("the remote did not report the result of the push")
	}
	return capabilities, err
}

// isAccepted reports whether a report says that the branch has moved.
func (m *remote) isAccepted(status *packp.ReportStatus) bool {
	return status.UnpackStatus == "ok" && slices.ContainsFunc(status.CommandStatuses, func(c *packp.CommandStatus) bool {
		return c.ReferenceName == m.branch && c.Status == "ok"
	})
}

// rejection returns the error for a report of a failed push.
func (m *remote) rejection(status *packp.ReportStatus, output string) error {
	if status.UnpackStatus != "ok" {
		// Usually the disk of the remote is full. The commits are not to blame.
		return &repoError{kind: ErrUnavailable, text: m.clean(m.address + " could not unpack the commits: " + status.UnpackStatus + ". " + output)}
	}
	for _, command := range status.CommandStatuses {
		if command.Status != "ok" {
			return &repoError{kind: ErrRejected, text: m.clean(m.address + " answers: " + command.Status + ". " + output)}
		}
	}
	return &repoError{kind: ErrRejected, text: m.clean(m.address + " does not report that " + m.branch.Short() + " has moved. " + output)}
}

// fetch returns the commit of the remote's branch, or the zero hash if there is
// no such branch. If the commit is not have, fetch calls ingest with one pack of
// the objects that have does not reach.
func (m *remote) fetch(ctx context.Context, have bare.Hash, ingest func(io.Reader) error) (tip bare.Hash, err error) {
	m.renewToken()
	advertiseCtx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	type uploadSession struct {
		transport.UploadPackSession
		advertisement *packp.AdvRefs
	}
	session, err := runWithContext(advertiseCtx, func() (uploadSession, error) {
		session, err := m.transport.NewUploadPackSession(m.copyEndpoint(), m.access.Load().auth)
		if err != nil {
			return uploadSession{}, err
		}
		advertisement, err := session.AdvertisedReferencesContext(advertiseCtx)
		if err == nil {
			err = checkAdvertisement(advertisement)
		}
		if err != nil {
			closeAsync(session)
		}
		return uploadSession{session, advertisement}, err
	})
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return bare.Hash{}, nil
	}
	if err != nil {
		return bare.Hash{}, m.toRepoError(advertiseCtx, err)
	}
	defer closeAsync(session)
	tip = session.advertisement.References[m.branch.String()]
	if tip == have || tip.IsZero() {
		return tip, nil
	}

	ctx, cancel = context.WithTimeout(ctx, m.fetchTimeout)
	defer cancel()
	request := packp.NewUploadPackRequestFromCapabilities(session.advertisement.Capabilities)
	_ = request.Capabilities.Set(capability.NoProgress)
	request.Wants = []bare.Hash{tip}
	if !have.IsZero() {
		request.Haves = []bare.Hash{have}
	}
	pack, err := runWithContext(ctx, func() (io.Reader, error) {
		answer, err := session.UploadPack(ctx, request)
		if err != nil || !request.Capabilities.Supports(capability.Sideband64k) {
			return answer, err
		}
		return sideband.NewDemuxer(sideband.Sideband64k, answer), nil
	})
	if err == nil {
		err = ingest(pack)
	}
	return tip, m.toRepoError(ctx, err)
}

// checkAdvertisement returns an error for a shallow repository. A clone of a shallow
// repository lacks the parents of some commits, which looks like damage.
func checkAdvertisement(advertisement *packp.AdvRefs) error {
	if len(advertisement.Shallows) == 0 {
		return nil
	}
	return &exchangeError{kind: ErrUnusable, text: "the repository is a shallow clone, and Tagma reads the whole history: run git fetch --unshallow in the repository"}
}

// runWithContext returns the result of f, or the error of ctx if ctx ends first.
// Hooks and SSH servers that hang do not watch a context. f then runs on until
// its connection ends.
func runWithContext[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := f()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

// closeAsync closes a session without waiting for the remote.
func closeAsync(c io.Closer) { go c.Close() }

// copyEndpoint returns an endpoint for one session. go-git writes to the endpoint of
// a session, also after the exchange has timed out.
func (m *remote) copyEndpoint() *transport.Endpoint {
	endpoint := *m.endpoint
	return &endpoint
}

// stateless reports whether each request is independent of the connection, as
// over HTTP.
func (m *remote) stateless() bool { return strings.HasPrefix(m.endpoint.Protocol, "http") }

// toRepoError returns a repoError for an error of a transport.
func (m *remote) toRepoError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	// go-git wraps errors in a type without Unwrap.
	if unexpected, ok := errors.AsType[*plumbing.UnexpectedError](err); ok {
		err = unexpected.Err
	}
	if repoErr, ok := errors.AsType[*repoError](err); ok {
		return repoErr
	}
	failure, ok := errors.AsType[*exchangeError](err)
	if !ok {
		failure = m.explain(err)
		if errors.Is(failure.kind, ErrUnavailable) && (ctx.Err() != nil || isTimeout(err)) {
			failure.text = "no answer in time"
		}
	}
	text := m.address + ": " + failure.text
	if errors.Is(failure.kind, ErrAuth) && m.access.Load().stale {
		text += "; the file of the token cannot be read, so the last token was sent"
	}
	return &repoError{failure.kind, m.clean(text), failure.retryAfter}
}

// explain returns an error of a transport as an error of a known kind, with a text
// that says what to do.
func (m *remote) explain(err error) *exchangeError {
	text := strings.TrimPrefix(err.Error(), "unknown error: ") // go-git's words before those of the host
	hostKey, isHostKey := errors.AsType[*knownhosts.KeyError](err)
	operation, isOperation := errors.AsType[*net.OpError](err)
	_, isUnknownAuthority := errors.AsType[x509.UnknownAuthorityError](err)
	isMissing := errors.Is(err, transport.ErrRepositoryNotFound)
	kind := ErrUnavailable
	switch {
	case isSHA256(err):
		kind, text = ErrUnusable, "the repository uses SHA-256, and Tagma writes SHA-1: make the repository with git init --object-format=sha1"
	case strings.Contains(text, "dubious ownership"), strings.Contains(text, "is owned by someone else"):
		kind, text = ErrUnusable, "the folder belongs to another user of the machine, so git refuses the folder: "+
			"give the folder to the user who runs git there, or name the folder in safe.directory of this user's git config"
	case strings.Contains(text, "unable to authenticate"):
		kind, text = ErrAuth, "the user name, token or key is wrong, or may not write"
	case isHostKey && len(hostKey.Want) == 0:
		kind, text = ErrAuth, "known_hosts has no SSH key of this host: add a line of ssh-keyscan after you have compared the key with what the host publishes"
	case isHostKey:
		kind, text = ErrAuth, "the SSH host key is not the one in known_hosts"
	case strings.Contains(text, "no common algorithm for host key"):
		kind, text = ErrAuth, "the host has no SSH key of a kind that known_hosts has for this host"
	case isMissing && m.endpoint.Protocol == "file":
		text = "there is no git repository at this path"
	case isMissing:
		kind, text = ErrAuth, "there is no such repository, or these credentials may not see it"
	case isOperation && operation.Op == "proxyconnect":
		text = "the proxy that HTTPS_PROXY names cannot be reached: " + operation.Err.Error()
	case isUnknownAuthority:
		text = "an authority that this machine does not know has signed the certificate: " +
			"add the authority's certificate to the machine's, or name its file in SSL_CERT_FILE"
	}
	return &exchangeError{kind: kind, text: text}
}

// isSHA256 reports whether go-git could not read an advertisement because the
// repository has the object format SHA-256.
func isSHA256(err error) bool {
	unexpected, ok := errors.AsType[*packp.ErrUnexpectedData](err)
	return ok && bytes.Contains(unexpected.Data, []byte("object-format=sha256"))
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// limitedBuffer stores the first limit bytes and discards the rest.
type limitedBuffer struct {
	strings.Builder
	limit int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.Builder.Write(p[:min(len(p), b.limit-b.Len())])
	return len(p), nil
}
