package push

import (
	"context"
	"crypto/md5" //nolint:gosec // the server's fingerprint, not a defence
	"encoding/hex"
	"io"
	"os"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"tagma/internal/progress"
)

// tooFresh is how old a file must be for its fingerprint to be kept: one that
// is still being written may change without a new size or time.
const tooFresh = 2 * time.Second

// fingerprint finds the MD5 of each photograph: from the cache, or by reading
// the file. What cannot be read is refused.
func fingerprint(ctx context.Context, all []*photograph, o Options) error {
	kept, err := openCache(ctx, o.Cache)
	if err != nil {
		o.Output.Say("fingerprints are not kept: %s", err)
		kept = nil
	}
	defer kept.close()
	var unread []*photograph
	var total int64
	for _, p := range unjudged(all) {
		if p.md5 = kept.get(ctx, p); p.md5 == "" {
			unread = append(unread, p)
			total += p.size
		}
	}
	if len(unread) == 0 {
		return context.Cause(ctx)
	}
	bar := o.Output.Start("reading "+count(len(unread)), total)
	defer bar.Done()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, p := range unread {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			began := time.Now()
			if err := p.read(bar); err != nil {
				p.judge(Rejected, err.Error())
				return nil
			}
			if began.Sub(time.Unix(0, p.modified)) > tooFresh {
				kept.put(ctx, p)
			}
			return nil
		})
	}
	return group.Wait()
}

// read takes the fingerprint of a file.
func (p *photograph) read(bar *progress.Bar) error {
	f, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := md5.New() //nolint:gosec // see above
	if _, err := io.Copy(sum, &counter{f, bar.Add}); err != nil {
		return err
	}
	p.md5 = hex.EncodeToString(sum.Sum(nil))
	return nil
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
