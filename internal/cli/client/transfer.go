package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"tagma/internal/base/fault"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/client/upload"
)

// Put sends a file to a target of the server. Put returns nil if the target has the file
// already, and UNAVAILABLE for an expired target: query a new target.
func (c *Client) Put(ctx context.Context, target generated.BundleTarget, file upload.File) error {
	header := http.Header{}
	for _, h := range target.Headers {
		header.Set(h.Name, h.Value)
	}
	answer, done, err := c.transfer(ctx, target.Method, target.Url, header, file.Body(), file.Size) //nolint:bodyclose // done closes it
	if err != nil {
		return err
	}
	defer done()
	if answer.StatusCode/100 == 2 || answer.StatusCode == http.StatusPreconditionFailed {
		return nil
	}
	return c.refusedTransfer(answer)
}

// Get returns the content of a file by a link of the server, or UNAVAILABLE for an
// expired link: query a new link. The caller closes the content.
func (c *Client) Get(ctx context.Context, link string) (io.ReadCloser, error) {
	answer, done, err := c.transfer(ctx, http.MethodGet, link, http.Header{}, nil, 0) //nolint:bodyclose // done closes it
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer done()
		return nil, c.refusedTransfer(answer)
	}
	return &transferBody{answer.Body, done}, nil
}

// transferBody is the body of an answer. Close ends the request.
type transferBody struct {
	io.Reader
	done func()
}

func (r *transferBody) Close() error { r.done(); return nil }

// transfer sends a request to a signed address. The request has no token, because the
// address may belong to another server. The caller calls the returned function after
// reading the answer.
func (c *Client) transfer(ctx context.Context, method, address string, header http.Header, body io.ReadCloser, size int64) (*http.Response, func(), error) {
	base, err := url.Parse(c.endpoint)
	if err != nil {
		return nil, nil, err
	}
	to, err := base.Parse(address) // an address with a leading slash is relative to the server
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	idle := watch(func() { cancel(errIdle) })
	done := func() { idle.Stop(); cancel(nil) }
	var from io.Reader
	if size > 0 { // net/http needs a nil body for an empty request
		from = watchedBody{body, idle}
	}
	request, err := http.NewRequestWithContext(ctx, method, to.String(), from)
	if err != nil {
		done()
		return nil, nil, err
	}
	request.Header, request.ContentLength = header, size
	answer, err := c.http.Do(request)
	if err != nil {
		err = c.unreachable(ctx, err)
		done()
		return nil, nil, err
	}
	answer.Body = watchedBody{answer.Body, idle}
	return answer, func() { _ = answer.Body.Close(); done() }, nil
}

// refusedTransfer returns the error for a failed Put or Get.
func (c *Client) refusedTransfer(answer *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 300)) // a line for people
	text := strings.TrimSpace(string(body))
	switch status := answer.StatusCode; {
	case status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusGone, status == http.StatusConflict,
		status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return fault.New(fault.Unavailable, "%s answers %s: %s", answer.Request.URL.Host, answer.Status, text)
	default:
		return fault.New(fault.BadInput, "%s answers %s: %s", answer.Request.URL.Host, answer.Status, text)
	}
}
