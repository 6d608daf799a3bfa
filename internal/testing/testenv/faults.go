package testenv

import (
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// Proxy is a TCP proxy between a server under test and a server behind the
// proxy, such as S3. The proxy can inject faults.
type Proxy struct {
	Host  string // and port
	proxy *toxiproxy.Proxy
}

// ProxyTo starts a proxy to a host and port, and stops the proxy when the test
// ends.
func ProxyTo(t testing.TB, host string) *Proxy {
	t.Helper()
	toxics.Register("error_500", new(error500))
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "proxy", "127.0.0.1:0", host)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return &Proxy{proxy.Listen, proxy}
}

// Faults returns faults of a network and a store, in toxiproxy's form.
func Faults() []string {
	return []string{
		`{"name": "latency", "type": "latency", "stream": "downstream", "toxicity": 1, "attributes": {"latency": 50, "jitter": 50}}`,
		`{"name": "reset after", "type": "reset_peer", "stream": "downstream", "toxicity": 0.9, "attributes": {"timeout": 0}}`,
		`{"name": "cut", "type": "limit_data", "stream": "upstream", "toxicity": 1, "attributes": {"bytes": 1200}}`,
		`{"name": "error 500", "type": "error_500", "stream": "downstream", "toxicity": 0.9}`,
		`{"name": "silence", "type": "timeout", "stream": "downstream", "toxicity": 0.5, "attributes": {"timeout": 0}}`,
		`{"name": "down", "type": "reset_peer", "stream": "upstream", "toxicity": 1, "attributes": {"timeout": 0}}`,
	}
}

// While runs action during a fault of the proxy, and returns the fault's name.
func (p *Proxy) While(t testing.TB, fault string, action func()) (name string) {
	t.Helper()
	toxic, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(fault))
	if err != nil {
		t.Fatal(fault, err)
	}
	action()
	if err := p.proxy.Toxics.RemoveToxic(t.Context(), toxic.Name); err != nil {
		t.Fatal(err)
	}
	return toxic.Name
}

// error500 replaces the answer of the server by status 500, after the server
// has processed the request.
type error500 struct{}

// Pipe implements toxics.Toxic.
func (*error500) Pipe(stub *toxics.ToxicStub) {
	select {
	case <-stub.Interrupt:
		return
	case chunk := <-stub.Input:
		if chunk != nil {
			stub.Output <- &stream.StreamChunk{Timestamp: chunk.Timestamp, Data: []byte("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")}
		}
		stub.Close()
	}
}
