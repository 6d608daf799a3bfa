package labelrepo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// packKey is the context key of the pack for a request.
type packKey struct{}

// gitTransport is an HTTP transport for go-git. It returns an *exchangeError for an
// answer that is not git's, such as the page of a portal, and follows no redirect.
// It works around go-git, which holds a whole pack in memory to send the pack,
// leaves answers unread, which prevents reuse of connections, and reads error
// pages of any length.
type gitTransport struct{ http.RoundTripper }

// newGitTransport returns a transport with the proxies and the certificate
// authorities that the environment names.
func newGitTransport() gitTransport {
	plain := http.DefaultTransport.(*http.Transport).Clone()
	plain.OnProxyConnectResponse = func(_ context.Context, proxy *url.URL, _ *http.Request, response *http.Response) error {
		if response.StatusCode < 300 {
			return nil
		}
		text := "the proxy " + proxy.Host + " answers " + response.Status
		if response.StatusCode == http.StatusProxyAuthRequired {
			text += ": give HTTPS_PROXY with a user name and a password that the proxy takes"
		}
		return &exchangeError{kind: ErrUnavailable, text: text}
	}
	return gitTransport{plain}
}

// newHTTPClient returns go-git's client upon a transport.
func newHTTPClient(t gitTransport) transport.Transport {
	return githttp.NewClientWithOptions(&http.Client{Transport: t}, &githttp.ClientOptions{RedirectPolicy: githttp.NoFollowRedirects})
}

func (t gitTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if pack, ok := request.Context().Value(packKey{}).(*io.SectionReader); ok {
		var err error
		if request, err = appendPack(request, pack); err != nil {
			return nil, err
		}
	}
	response, err := t.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	contentType, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	if response.StatusCode == http.StatusOK && contentType == "application/x-git-upload-pack-result" {
		return response, nil // a pack, which the caller reads as a stream
	}
	const bufferLimit = 1 << 20
	start, err := io.ReadAll(io.LimitReader(response.Body, bufferLimit))
	if err == nil {
		err = checkAnswer(response, contentType, start)
	}
	if err != nil {
		response.Body.Close()
		return nil, err
	}
	if len(start) == bufferLimit {
		response.Body = prefixedBody{io.MultiReader(bytes.NewReader(start), response.Body), response.Body}
		return response, nil
	}
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(start))
	return response, nil
}

// checkAnswer returns an *exchangeError for an answer that is not git's. body is the
// first part of the body. The error repeats no text of an error page: a host may
// repeat secrets that Tagma does not know, and so cannot remove.
func checkAnswer(response *http.Response, contentType string, body []byte) error {
	status := response.StatusCode
	switch {
	case status >= 300 && status < 400:
		return redirectError(response)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return &exchangeError{kind: ErrAuth, text: "the user name, token or key is wrong, or may not write"}
	case status == http.StatusNotFound:
		return &exchangeError{kind: ErrAuth, text: "there is no such repository, or these credentials may not see it"}
	case status == http.StatusRequestEntityTooLarge:
		return &exchangeError{kind: ErrTooLarge, text: "the answer was " + response.Status +
			": raise the limit of the host or of the proxy in front of the host, which nginx calls client_max_body_size"}
	case status >= 300:
		e := &exchangeError{kind: ErrUnavailable, text: "the answer was " + response.Status, retryAfter: retryAfter(response.Header, time.Now())}
		if e.retryAfter > 0 {
			e.text += fmt.Sprintf(", with the request to wait for %v", e.retryAfter)
		}
		return e
	case strings.HasPrefix(contentType, "application/x-git-"):
		return nil
	case contentType == "text/html":
		return &exchangeError{kind: ErrUnavailable, text: "the answer is the web page " + strconv.Quote(titleOf(body)) +
			" and not git's: a sign-in page or a portal stands before the host. Configure an address and a token that lead to git itself"}
	}
	return &exchangeError{kind: ErrUnavailable, text: fmt.Sprintf("the answer is %s and not git's smart protocol over HTTP: configure the address that git clone takes",
		cmp.Or(contentType, "without a type"))}
}

// redirectError returns the error for a redirect, which says where to.
func redirectError(response *http.Response) error {
	location, err := response.Location()
	if err != nil {
		return &exchangeError{kind: ErrUnavailable, text: "the answer was " + response.Status + " without an address"}
	}
	location.RawQuery, location.Fragment, location.User = "", "", nil // may hold secrets
	for _, service := range []string{"/info/refs", "/git-receive-pack", "/git-upload-pack"} {
		if address, found := strings.CutSuffix(location.String(), service); found {
			return &exchangeError{kind: ErrUnavailable, text: "it redirects to " + address +
				". Credentials do not follow a redirect: configure that address, if the address is right"}
		}
	}
	return &exchangeError{kind: ErrUnavailable, text: "it redirects to the page " + location.String() +
		", which is not git: a sign-in page or a portal stands before the host. Configure an address and a token that lead to git itself"}
}

var titleElement = regexp.MustCompile(`(?is)<title[^>]*>(.{0,1000}?)</title>`)

// titleOf returns the title of a web page, or "" if the page has none.
func titleOf(page []byte) string {
	match := titleElement.FindSubmatch(page)
	if match == nil {
		return ""
	}
	return strings.Join(strings.Fields(html.UnescapeString(string(match[1]))), " ")
}

// retryAfter returns the time for which a server asks its clients to wait, or 0.
// RFC 9110 has seconds and dates.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(at.Sub(now).Round(time.Second), 0)
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
