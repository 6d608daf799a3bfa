// Package client owns how Tagma's own programs talk to a server: the request,
// files included, what an error means, and what is worth another try. What can
// be asked is in operations.graphql, of which package generated has one typed
// function each; a *Client is what those take.
//
// Its errors are *fault.Error with the server's code and message. A server that
// cannot be reached is UNAVAILABLE, as is a proxy that does not reach it.
//
// It does not own where a server's address and the token come from, nor what
// is made of the answers.
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

// idleTimeout is how long a server may neither take nor give a byte before it is
// held to be gone. It is more than a server takes over an upload.
const idleTimeout = 5 * time.Minute

// Options of New.
type Options struct {
	Server string // its address, such as https://tagma.example.org
	Token  string // empty for an anonymous caller

	// Patience is how long Retry goes on while nothing succeeds.
	Patience time.Duration

	// Waiting hears why Retry waits, and for how long. It may be called from
	// several goroutines at once. Nil hears nothing.
	Waiting func(cause error, wait time.Duration)
}

// Client is a caller of one server. It is safe for concurrent use.
type Client struct {
	options  Options
	endpoint string
	http     *http.Client
}

var _ graphql.Client = (*Client)(nil)

// New is a caller of a server. It asks nothing yet. The error says what is
// wrong with the address.
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
			// A token goes nowhere but where it was meant to.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Limits is the bounds that the server has in force. It is asked first of all,
// and only once, so that a wrong address is told at once.
func (c *Client) Limits(ctx context.Context) (generated.Limits, error) {
	got, err := generated.Server(ctx, c)
	if err != nil {
		return generated.Limits{}, err
	}
	if got.Server.Name != "Tagma" {
		return generated.Limits{}, fault.New(fault.BadInput, "what is at %s is not Tagma", c.options.Server)
	}
	return got.Server.Limits, nil
}

// MakeRequest sends an operation. One whose variables have files goes as a form,
// any other as JSON. The functions of package generated call it.
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

// request makes the HTTP request of an operation.
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

// read reads an answer.
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

// watchdog barks when nothing has moved for as long as idleTimeout.
type watchdog struct{ *time.Timer }

func watch(expire func()) *watchdog { return &watchdog{time.AfterFunc(idleTimeout, expire)} }

// watchedBody is a body whose reading keeps the dog quiet.
type watchedBody struct {
	io.ReadCloser
	idle *watchdog
}

func (w watchedBody) Read(p []byte) (int, error) {
	w.idle.Reset(idleTimeout)
	return w.ReadCloser.Read(p)
}
