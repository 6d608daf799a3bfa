package httpd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// post sends the head of a POST whose body has so many bytes, or -1 for chunks, and
// returns the connection.
func post(t *testing.T, server *httptest.Server, length int, header string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	body := fmt.Sprintf("Content-Length: %d\r\n", length)
	if length < 0 {
		body = "Transfer-Encoding: chunked\r\n"
	}
	if _, err := io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: x\r\n"+header+body+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// refusing answers each request at once, and reads no body.
func refusing(t *testing.T, status int, o Options) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(wrap(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "no\n")
	}, o))
	t.Cleanup(server.Close)
	return server
}

// status reads an answer and returns the status.
func status(t *testing.T, answers *bufio.Reader) int {
	t.Helper()
	answer, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Errorf("the answer: got %v, want a status", err)
		return 0
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "no\n" {
		t.Errorf("the answer: got %q, %v, want no", body, err)
	}
	return answer.StatusCode
}

func TestDrain_AClientThatSendsTheWholeBodyFirstReadsTheRefusal(t *testing.T) {
	t.Parallel()
	for _, code := range []int{401, 413, 415, 503} {
		server := refusing(t, code, Options{})
		conn := post(t, server, 40<<20, "")
		answers := bufio.NewReader(conn)
		for range 2 { // the second request uses the same connection
			if n, err := conn.Write(make([]byte, 40<<20)); err != nil {
				t.Errorf("%d: got %v after %d bytes, want the whole body taken", code, err, n)
				break
			}
			if got := status(t, answers); got != code {
				t.Errorf("got status %d, want %d", got, code)
			}
			_, _ = io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 41943040\r\n\r\n")
		}
	}
}

func TestDrain_TheAnswerComesBeforeTheBody(t *testing.T) {
	t.Parallel()
	conn := post(t, refusing(t, 401, Options{}), 40<<20, "")
	if got := status(t, bufio.NewReader(conn)); got != 401 {
		t.Errorf("got status %d, want 401", got)
	}
}

func TestDrain_AnEndlessBodyIsGivenUp(t *testing.T) {
	t.Parallel()
	conn := post(t, refusing(t, 401, Options{}), -1, "")
	chunk := "100000\r\n" + strings.Repeat("x", 1<<20) + "\r\n"
	for n := range 1000 {
		if _, err := io.WriteString(conn, chunk); err != nil {
			if n < 64 {
				t.Errorf("got %v after %d MiB, want 64 MiB taken", err, n)
			}
			return
		}
	}
	t.Error("1000 MiB were taken, want an end after 64")
}

func TestDrain_ABodyThatDoesNotComeIsGivenUp(t *testing.T) {
	t.Parallel()
	conn := post(t, refusing(t, 401, Options{Timeout: 50 * time.Millisecond}), 40<<20, "")
	answers := bufio.NewReader(conn)
	if got := status(t, answers); got != 401 {
		t.Errorf("got status %d, want 401", got)
	}
	if _, err := answers.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the time for the body: got %v, want the connection closed", err)
	}
}

func TestDrain_AClientThatWaitsForContinueIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	conn := post(t, refusing(t, 401, Options{Timeout: time.Hour}), 40<<20, "Expect: 100-continue\r\n")
	answers := bufio.NewReader(conn)
	if got := status(t, answers); got != 401 {
		t.Errorf("got status %d, want 401", got)
	}
	if _, err := answers.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the refusal: got %v, want the connection closed", err)
	}
}
