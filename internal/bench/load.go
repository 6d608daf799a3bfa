package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// measured is one cell: one contestant under one load for a short time.
type measured struct {
	requests int
	took     time.Duration
	cpu      time.Duration // of the server
	peak     int64         // bytes of memory, of the server
	latency  []time.Duration
}

func (m measured) rate() float64 { return float64(m.requests) / m.took.Seconds() }

// mostRequests bounds a cell beside its time.
const mostRequests = 20_000

// load sends requests in turn from that many clients.
func (c *contestant) load(ctx context.Context, client *http.Client, requests []request, clients int, cell time.Duration) (measured, error) {
	var next atomic.Int64
	return c.measure(clients, cell, func() error {
		return c.send(ctx, client, requests[int(next.Add(1))%len(requests)], io.Discard)
	})
}

// measure lets that many clients send, each as soon as it has the last answer,
// until the time is over; what is under way then is waited for.
func (c *contestant) measure(clients int, cell time.Duration, send func() error) (measured, error) {
	resetPeak(c.cmd.Process.Pid)
	before := usageOf(c.cmd.Process.Pid)
	latencies := make([][]time.Duration, clients)
	failed := make([]error, clients)
	began := time.Now()
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			for time.Since(began) < cell && len(latencies[n]) < mostRequests/clients {
				sent := time.Now()
				if failed[n] = send(); failed[n] != nil {
					return
				}
				latencies[n] = append(latencies[n], time.Since(sent))
			}
		})
	}
	all.Wait()
	m := measured{took: time.Since(began), latency: slices.Concat(latencies...)}
	after := usageOf(c.cmd.Process.Pid)
	m.requests, m.cpu, m.peak = len(m.latency), after.cpu-before.cpu, after.peak
	return m, errors.Join(failed...)
}

// send sends one request and copies the answer, which must be without errors.
func (c *contestant) send(ctx context.Context, client *http.Client, r request, to io.Writer) error {
	return c.post(ctx, client, r.path, "application/json", r.body, to)
}

func (c *contestant) post(ctx context.Context, client *http.Client, path, contentType string, body []byte, to io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	head := make([]byte, 8)
	n, err := io.ReadFull(answer.Body, head)
	if err != nil {
		return fmt.Errorf("%s answers %d: %q: %w", c.name, answer.StatusCode, head[:n], err)
	}
	if answer.StatusCode != http.StatusOK || !bytes.HasPrefix(head, []byte(`{"data":`)) {
		rest, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return fmt.Errorf("%s answers %d: %s%s", c.name, answer.StatusCode, head, rest)
	}
	if _, err := to.Write(head); err != nil {
		return err
	}
	_, err = io.Copy(to, answer.Body)
	return err
}

// newClient is a client that keeps a connection for each of that many users.
func newClient(clients int) *http.Client {
	return &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true},
	}
}

// compared is how many requests of each kind are compared.
const compared = 3

// compare fails unless all contestants give the same answers. Numbers may
// differ in the last digits: means are summed up in any order.
func compare(ctx context.Context, client *http.Client, contestants []*contestant, requests [][]request) error {
	for variant := range min(compared, len(requests[0])) {
		var want any
		for n, c := range contestants {
			var body bytes.Buffer
			if err := c.send(ctx, client, requests[n][variant], &body); err != nil {
				return err
			}
			var got any
			if err := json.Unmarshal(body.Bytes(), &got); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if n == 0 {
				want = got
			} else if where := differ("", want, got); where != "" {
				return fmt.Errorf("%s and %s do not give the same answer at %s", contestants[0].name, c.name, where)
			}
		}
	}
	return nil
}

// differ is where two values of JSON differ, or nothing.
func differ(at string, a, b any) string {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return at + ": an object"
		}
		for key := range a {
			if where := differ(at+"."+key, a[key], b[key]); where != "" {
				return where
			}
		}
		return ""
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return at + ": a list"
		}
		for n := range a {
			if where := differ(fmt.Sprintf("%s[%d]", at, n), a[n], b[n]); where != "" {
				return where
			}
		}
		return ""
	case float64:
		if b, ok := b.(float64); ok && math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(a)) {
			return ""
		}
	default:
		if reflect.DeepEqual(a, b) {
			return ""
		}
	}
	return fmt.Sprintf("%s: %v and %v", at, a, b)
}
