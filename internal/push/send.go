package push

import (
	"context"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"tagma/internal/client"
	"tagma/internal/client/generated"
	"tagma/internal/client/upload"
	"tagma/internal/fault"
	"tagma/internal/progress"
)

// One request holds so much at most, within the server's limits. It is little,
// so that on a slow line it arrives before the server loses patience, and that
// little has to be sent again where it does not.
const (
	maxFiles = 32
	maxBytes = 16 << 20
)

// What a form holds besides the files: the operation, and the head of each.
const (
	formBytes = 4 << 10
	headBytes = 512
)

// sender sends photographs to a server.
type sender struct {
	client *client.Client
	policy generated.ConflictPolicy
	bar    *progress.Bar
}

// send sends photographs, several in a request and several requests at once,
// and judges each. An error is no single file's.
func send(ctx context.Context, c *client.Client, photographs []*photograph, limits generated.Limits, o Options) error {
	var total int64
	for _, p := range photographs {
		total += p.Size
	}
	s := &sender{client: c, policy: generated.ConflictPolicyRefuse, bar: o.Output.Start("sending "+photographCount(len(photographs)), total)}
	defer s.bar.Done()
	if o.Replace {
		s.policy = generated.ConflictPolicyReplace
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, o.Parallel))
	for _, batch := range batches(photographs, min(maxFiles, limits.Files), min(maxBytes, limits.UploadBytes)) {
		group.Go(func() error { return s.send(ctx, batch) })
	}
	return group.Wait()
}

// batches cuts photographs into requests of at most so many files and bytes,
// but of one file at least.
func batches(photographs []*photograph, files int, byteLimit int64) [][]*photograph {
	var result [][]*photograph
	start, bytes := 0, int64(formBytes)
	for n, p := range photographs {
		size := p.Size + headBytes
		if n > start && (n-start >= files || bytes+size > byteLimit) {
			result = append(result, photographs[start:n])
			start, bytes = n, formBytes
		}
		bytes += size
	}
	return append(result, photographs[start:])
}

// send sends a few photographs in one request. If that is refused as a whole,
// it sends each half by itself, until it is known which file is to blame.
func (s *sender) send(ctx context.Context, batch []*photograph) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	results, err := client.Retry(ctx, s.client, func() ([]generated.UploadResult, error) { return s.try(ctx, batch) })
	if err == nil {
		for n, result := range results {
			batch[n].setResult(result)
		}
		return nil
	}
	switch code := fault.CodeOf(err); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case code == fault.Unauthenticated, code == fault.Forbidden, code == fault.Unavailable, code == fault.RateLimited:
		return err
	case len(batch) > 1:
		half := len(batch) / 2
		if err := s.send(ctx, batch[:half]); err != nil {
			return err
		}
		return s.send(ctx, batch[half:])
	}
	batch[0].setVerdict(Rejected, err.Error())
	return nil
}

// try sends a few photographs, once.
func (s *sender) try(ctx context.Context, batch []*photograph) ([]generated.UploadResult, error) {
	var sent atomic.Int64
	files := make([]upload.File, len(batch))
	for n, p := range batch {
		files[n] = upload.File{Name: p.name.String(), Size: p.Size, Open: func() (io.ReadCloser, error) {
			f, err := os.Open(p.Path)
			return &counter{f, func(n int64) { sent.Add(n); s.bar.Add(n) }}, err
		}}
	}
	response, err := generated.UploadImages(ctx, s.client, files, s.policy)
	if err == nil && len(response.UploadImages.Results) != len(batch) {
		err = fault.New(fault.Internal, "the server judges %d files of %d", len(response.UploadImages.Results), len(batch))
	}
	if err != nil {
		s.bar.Add(-sent.Load())
		return nil, err
	}
	return response.UploadImages.Results, nil
}

// counter tells how much is read.
type counter struct {
	io.ReadCloser
	add func(int64)
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.add(int64(n))
	return n, err
}

// take notes the server's verdict.
func (p *photograph) setResult(result generated.UploadResult) {
	p.setVerdict(Verdict(result.Verdict), "")
	if result.Problem != nil {
		p.reason = result.Problem.Message
	}
	if result.AnnotationsDeleted > 0 {
		p.deleted = result.AnnotationsDeleted
	}
}
