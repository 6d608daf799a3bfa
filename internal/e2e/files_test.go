package e2e

import (
	"io"
	"net/http"
	"testing"
)

// get gets a URL with headers and gives the answer, its body read and put back
// as a text.
func get(t testing.TB, url string, header http.Header) *page {
	t.Helper()
	return ask(t, http.MethodGet, url, header)
}

// page is an answer to a plain HTTP request.
type page struct {
	StatusCode int
	Header     http.Header
	Body       string
}

func ask(t testing.TB, method, url string, header http.Header) *page {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		request.Header = header
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &page{response.StatusCode, response.Header, string(body)}
}
