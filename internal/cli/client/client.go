// Package client owns the requests of Tagma's own programs to a server: sending
// operations and files, translating errors, and retrying. The operations are in
// operations.graphql; package generated has a typed function for each operation, with
// a *Client as an argument.
//
// All errors are *fault.Error with the server's code and message. The code for an
// unreachable server, also behind a proxy, is UNAVAILABLE.
//
// Package client does not own the source of the address and the token, nor the use of
// the answers.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Khan/genqlient/graphql"

	"tagma/internal/base/fault"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/client/upload"
)

// idleTimeout is the time without a byte in either direction after which a request
// fails. A server works on an upload for a shorter time.
const idleTimeout = 5 * time.Minute

// Options of New.
type Options struct {
	Server string // address, such as https://tagma.example.org
	Token  string // empty for an anonymous caller

	// Patience is the time from the first failure until Retry gives up.
	Patience time.Duration

	// Waiting, if set, is called before each wait of Retry. Waiting must be safe for
	// concurrent use.
	Waiting func(cause error, wait time.Duration)
}

// Client sends requests to one server. Client is safe for concurrent use.
type Client struct {
	options  Options
	endpoint string
	http     *http.Client
}

var _ graphql.Client = (*Client)(nil)

// New returns a client of a server, or an error for an invalid address. New sends
// nothing.
func New(o Options) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(o.Server, "/"))
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "":
		return nil, fault.New(fault.BadInput, "%q is not the address of a server: write it as https://tagma.example.org", o.Server)
	case u.User != nil:
		return nil, fault.New(fault.BadInput, "give the server's address without a user name or password, and sign in with tagma login")
	}
	return &Client{
		options:  o,
		endpoint: u.String() + "/graphql",
		http: &http.Client{
			// A redirect must not send the token to another server.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Server returns the version and the limits of the server. Commands call Server first.
// Server retries for the client's Patience: a server that restarts must not end a
// nightly push.
func (c *Client) Server(ctx context.Context) (generated.ServerInfo, error) {
	got, err := Retry(ctx, c, func() (*generated.ServerResponse, error) { return generated.Server(ctx, c) })
	if err != nil {
		return generated.ServerInfo{}, err
	}
	if got.Server.Name != "Tagma" {
		return generated.ServerInfo{}, fault.New(fault.BadInput, "what is at %s is not Tagma", c.options.Server)
	}
	return got.Server, nil
}

// Limits returns the limits of the server, as Server does.
func (c *Client) Limits(ctx context.Context) (generated.Limits, error) {
	info, err := c.Server(ctx)
	return info.Limits, err
}

// Impatient returns a client of the same server without Patience, so that Retry calls
// its function once.
func (c *Client) Impatient() *Client {
	impatient := *c
	impatient.options.Patience = 0
	return &impatient
}

// Address returns the address of the server.
func (c *Client) Address() string { return c.options.Server }

// MakeRequest sends an operation, as a form if the variables have files, otherwise as
// JSON. The functions of package generated call MakeRequest.
func (c *Client) MakeRequest(ctx context.Context, operation *graphql.Request, response *graphql.Response) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := watch(func() { cancel(errIdle) })
	defer idle.Stop()

	request, err := c.request(ctx, operation, idle)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer answer.Body.Close()
	return c.read(ctx, answer, idle, response)
}

// request returns the HTTP request for an operation.
func (c *Client) request(ctx context.Context, operation *graphql.Request, idle *watchdog) (*http.Request, error) {
	text, err := json.Marshal(operation)
	if err != nil {
		return nil, err
	}
	length, contentType := int64(len(text)), "application/json"
	body := func() io.ReadCloser { return io.NopCloser(bytes.NewReader(text)) }
	if v, ok := operation.Variables.(interface{ GetFiles() []upload.File }); ok {
		form, err := upload.NewForm(text, "files", v.GetFiles())
		if err != nil {
			return nil, err
		}
		length, contentType, body = form.Length, form.ContentType, form.Body
	}
	open := func() (io.ReadCloser, error) { return &watchedBody{body(), idle}, nil }
	first, _ := open()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, first)
	if err != nil {
		return nil, err
	}
	request.GetBody, request.ContentLength = open, length
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "tagma")
	if c.options.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.options.Token)
	}
	return request, nil
}

// read decodes an answer into response, and returns the first error of the answer.
func (c *Client) read(ctx context.Context, answer *http.Response, idle *watchdog, response *graphql.Response) error {
	got := struct {
		Data   any         `json:"data"`
		Errors []wireError `json:"errors"`
	}{Data: response.Data}
	err := json.NewDecoder(watchedBody{answer.Body, idle}).Decode(&got)
	switch {
	case err == nil && len(got.Errors) > 0:
		return got.Errors[0].fault()
	case err == nil && answer.StatusCode == http.StatusOK:
		return nil
	case answer.StatusCode != http.StatusOK:
		return c.foreignAnswer(answer)
	case ctx.Err() != nil || errors.Is(err, io.ErrUnexpectedEOF):
		return c.unreachable(ctx, err)
	}
	return fault.Wrap(err, fault.BadInput, "what is at %s does not answer as Tagma does", c.options.Server)
}

// watchdog is a timer that ends a request after idleTimeout without a byte.
type watchdog struct{ *time.Timer }

func watch(expire func()) *watchdog { return &watchdog{time.AfterFunc(idleTimeout, expire)} }

// watchedBody resets the watchdog at each Read.
type watchedBody struct {
	io.ReadCloser
	idle *watchdog
}

func (w watchedBody) Read(p []byte) (int, error) {
	w.idle.Reset(idleTimeout)
	return w.ReadCloser.Read(p)
}
