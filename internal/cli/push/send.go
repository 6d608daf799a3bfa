package push

import (
	"context"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"tagma/internal/base/fault"
	"tagma/internal/cli/client"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/client/upload"
	"tagma/internal/cli/progress"
)

// Bounds of one request, within the server's limits. They are small, so that a
// request over a slow line ends before the server's timeout, and little is sent
// again after a failure.
const (
	maxFiles = 32
	maxBytes = 16 << 20
)

// Sizes of a form besides the files: the operation, and the header of each
// file.
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

// send sends photographs, several per request and several requests at once, and
// sets the verdict of each. An error concerns no single file.
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

// batches splits photographs into requests of at most the given number of files
// and bytes, but at least one file.
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

// send sends some photographs in one request. If the whole request is refused,
// send sends each half separately, until the refused file is known.
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

// try sends some photographs in one attempt.
func (s *sender) try(ctx context.Context, batch []*photograph) ([]generated.UploadResult, error) {
	var sent atomic.Int64
	files := make([]upload.File, len(batch))
	for n, p := range batch {
		p.tried = true
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

// counter calls add with the number of bytes read.
type counter struct {
	io.ReadCloser
	add func(int64)
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.add(int64(n))
	return n, err
}

// setResult stores the server's verdict.
func (p *photograph) setResult(result generated.UploadResult) {
	p.setVerdict(Verdict(result.Verdict), "")
	if result.Problem != nil {
		p.reason = result.Problem.Message
		p.damaged = p.verdict == Rejected && (result.Problem.Code == fault.BadInput || result.Problem.Code == fault.TooLarge)
	}
	p.warnings = result.Warnings
	if result.AnnotationsDeleted > 0 {
		p.deleted = result.AnnotationsDeleted
	}
}
