package labelrepo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
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
	auth         transport.AuthMethod
	transport    transport.Transport
	scrub        scrubber
	timeout      time.Duration // of one exchange
	fetchTimeout time.Duration // of one fetch, which may bring the whole repository

	// capabilities is set after a push over HTTP, and saves the next push half of
	// its round trips. A push needs no advertisement of the remote's references:
	// the remote itself compares the branch with the expected commit.
	capabilities *capability.List
}

// errMoved is returned if the remote's branch is not at the expected commit.
var errMoved = errors.New("the branch of the remote has moved")

// push sends a pack and moves the branch from old to next. It returns errMoved if
// the branch is not at old.
func (m *remote) push(ctx context.Context, old, next bare.Hash, pack *io.SectionReader) error {
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
	session, err := m.transport.NewReceivePackSession(m.endpoint, m.auth)
	if err != nil {
		return nil, err
	}
	defer closeAsync(session)
	if capabilities == nil {
		advertisement, err := session.AdvertisedReferencesContext(ctx)
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
	case status != nil && err != nil:
		return nil, m.rejection(status, output.String())
	case err == nil && status == nil:
		err = errors.New("the remote did not report the result of the push")
	}
	return capabilities, err
}

// rejection returns the error for a report of a failed push.
func (m *remote) rejection(status *packp.ReportStatus, output string) error {
	if status.UnpackStatus != "ok" {
		// Usually the disk of the remote is full. The commits are not to blame.
		return &repoError{ErrUnavailable, m.scrub.clean(m.address + " could not unpack the commits: " + status.UnpackStatus + ". " + output)}
	}
	for _, command := range status.CommandStatuses {
		for _, race := range []string{"failed to update ref", "cannot lock", "fetch first", "non-fast-forward", "reference already exists", "incorrect old value"} {
			if strings.Contains(command.Status, race) {
				return errMoved
			}
		}
		if command.Status != "ok" {
			return &repoError{ErrRejected, m.scrub.clean(m.address + " answers: " + command.Status + ". " + output)}
		}
	}
	return &repoError{ErrRejected, m.scrub.clean(m.address + ": " + output)}
}

// fetch returns the commit of the remote's branch, or the zero hash if there is
// no such branch. If the commit is not have, fetch calls ingest with one pack of
// the objects that have does not reach.
func (m *remote) fetch(ctx context.Context, have bare.Hash, ingest func(io.Reader) error) (tip bare.Hash, err error) {
	advertiseCtx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	type uploadSession struct {
		transport.UploadPackSession
		advertisement *packp.AdvRefs
	}
	session, err := runWithContext(advertiseCtx, func() (uploadSession, error) {
		session, err := m.transport.NewUploadPackSession(m.endpoint, m.auth)
		if err != nil {
			return uploadSession{}, err
		}
		advertisement, err := session.AdvertisedReferencesContext(advertiseCtx)
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

// stateless reports whether each request is independent of the connection, as
// over HTTP.
func (m *remote) stateless() bool { return strings.HasPrefix(m.endpoint.Protocol, "http") }

// toRepoError returns a repoError for an error of a transport.
func (m *remote) toRepoError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if repoErr := (*repoError)(nil); errors.As(err, &repoErr) {
		return repoErr
	}
	kind := ErrUnavailable
	var status *githttp.Err
	var hostKey *knownhosts.KeyError
	text := err.Error()
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed),
		strings.Contains(text, "unable to authenticate"):
		kind, text = ErrAuth, "the user name, token or key is wrong, or may not write"
	case errors.As(err, &hostKey):
		kind, text = ErrAuth, "the SSH host key is not the one in known_hosts"
	case errors.Is(err, transport.ErrRepositoryNotFound) && m.endpoint.Protocol != "file":
		kind, text = ErrAuth, "there is no such repository, or these credentials may not see it"
	case errors.Is(err, transport.ErrRepositoryNotFound):
		text = "there is no git repository at this path"
	case strings.Contains(text, "http redirect"):
		text = "it redirects elsewhere, which is not followed because of the credentials: configure the final address"
	case errors.As(err, &status):
		text = "the answer was " + status.Response.Status
	case ctx.Err() != nil, isTimeout(err):
		text = "no answer in time"
	}
	return &repoError{kind, m.scrub.clean(m.address + ": " + text)}
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

// packKey is the context key of the pack for a request.
type packKey struct{}

// packTransport is an HTTP transport that works around go-git: go-git holds a
// whole pack in memory to send the pack, leaves answers unread, which prevents
// reuse of connections, and reads error pages of any length.
type packTransport struct{ http.RoundTripper }

func (t packTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if pack, ok := request.Context().Value(packKey{}).(*io.SectionReader); ok {
		var err error
		if request, err = appendPack(request, pack); err != nil {
			return nil, err
		}
	}
	response, err := t.RoundTripper.RoundTrip(request)
	if err != nil || strings.HasSuffix(response.Header.Get("Content-Type"), "git-upload-pack-result") {
		return response, err // a pack, which the caller reads as a stream
	}
	const bufferLimit = 1 << 20
	start, err := io.ReadAll(io.LimitReader(response.Body, bufferLimit))
	if err != nil {
		response.Body.Close()
		return nil, err
	}
	if ok := response.StatusCode < 300; ok && len(start) == bufferLimit {
		response.Body = prefixedBody{io.MultiReader(strings.NewReader(string(start)), response.Body), response.Body}
		return response, nil
	}
	response.Body.Close()
	response.Body = io.NopCloser(strings.NewReader(string(start)))
	return response, nil
}

// appendPack returns a request with the pack after its body.
func appendPack(request *http.Request, pack *io.SectionReader) (*http.Request, error) {
	commands, err := io.ReadAll(request.Body)
	if err = errors.Join(err, request.Body.Close()); err != nil {
		return nil, err
	}
	combined := request.Clone(request.Context())
	combined.ContentLength = int64(len(commands)) + pack.Size()
	combined.GetBody = func() (io.ReadCloser, error) { // net/http calls GetBody again if a reused connection is closed
		content := io.NewSectionReader(pack, 0, pack.Size())
		return io.NopCloser(io.MultiReader(bytes.NewReader(commands), content)), nil
	}
	combined.Body, err = combined.GetBody()
	return combined, err
}

// prefixedBody is a response body after a part of the body was read.
type prefixedBody struct {
	io.Reader
	io.Closer
}
