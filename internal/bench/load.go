package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sample is the measurement of a cell: one target under one load for a short time.
type sample struct {
	requests int
	took     time.Duration
	cpu      time.Duration // of the server
	peak     int64         // bytes of memory, of the server
	latency  []time.Duration
}

func (m sample) rate() float64 { return float64(m.requests) / m.took.Seconds() }

// maxRequests is the most requests in a cell.
const maxRequests = 20_000

// runner measures a cell.
type runner func(ctx context.Context, clients int, cell time.Duration) (sample, error)

// load returns a runner that sends the requests in turn.
func (c *target) load(requests []request) runner {
	return func(ctx context.Context, clients int, cell time.Duration) (sample, error) {
		var next atomic.Int64
		return c.measure(clients, cell, func() error {
			return c.send(ctx, requests[int(next.Add(1))%len(requests)], io.Discard)
		})
	}
}

// measure measures a cell of this target.
func (c *target) measure(clients int, cell time.Duration, send func() error) (sample, error) {
	return measure(processTree(c.cmd.Process.Pid), clients, cell, send)
}

// measure runs clients that call send repeatedly until the cell's time is over, and waits for
// the calls in progress. CPU and memory are of the processes pids.
func measure(pids []int, clients int, cell time.Duration, send func() error) (sample, error) {
	resetPeak(pids)
	before := usageOf(pids)
	latencies := make([][]time.Duration, clients)
	errs := make([]error, clients)
	start := time.Now()
	var clientsDone sync.WaitGroup
	for n := range clients {
		clientsDone.Go(func() {
			for time.Since(start) < cell && len(latencies[n]) < maxRequests/clients {
				sent := time.Now()
				if errs[n] = send(); errs[n] != nil {
					return
				}
				latencies[n] = append(latencies[n], time.Since(sent))
			}
		})
	}
	clientsDone.Wait()
	m := sample{took: time.Since(start), latency: slices.Concat(latencies...)}
	after := usageOf(pids)
	m.requests, m.cpu, m.peak = len(m.latency), after.cpu-before.cpu, after.peak
	return m, errors.Join(errs...)
}

// send sends a request and copies the answer to a writer. send returns an error for an answer
// with errors.
func (c *target) send(ctx context.Context, r request, to io.Writer) error {
	return c.post(ctx, r.path, "application/json", r.body, to)
}

func (c *target) post(ctx context.Context, path, contentType string, body []byte, to io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.client.Do(request)
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

// newClient returns a client that reuses its connections.
func newClient() *http.Client {
	return &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 2 * submitters, DisableCompression: true},
	}
}
