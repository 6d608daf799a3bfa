package s3store

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"tagma/internal/base/instant"
	"tagma/internal/storage/filelink"
)

// MaxDirectSize is the largest size of a file sent directly to the bucket, in bytes.
// A direct upload is a single request and cannot be resumed, and the object storage
// must copy the file within idleTimeout. A larger file goes through the server, which
// sends parts.
const MaxDirectSize = 1 << 30

// Targets makes targets for uploads directly to the bucket. Targets is safe for
// concurrent use.
type Targets struct {
	clock instant.Clock
	puts  *presigner
	large filelink.Targets
}

var _ filelink.Targets = (*Targets)(nil)

// Targets returns a maker of targets. Large makes the targets of files over
// MaxDirectSize.
func (b *Bucket) Targets(ctx context.Context, clock instant.Clock, large filelink.Targets) (*Targets, error) {
	puts, err := b.presigner(filelink.TargetLifetime, func(c *s3.PresignClient) error {
		_, err := c.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: aws.String(sampleKey), IfNoneMatch: aws.String("*")})
		return err
	})
	return &Targets{clock, puts, large}, err
}

// Target implements filelink.Targets. Target returns a PUT to the key Incoming.
// Content-Length, Content-MD5 and If-None-Match are signed, so that an object storage
// that checks these headers refuses another file and a second file.
func (t *Targets) Target(ctx context.Context, file filelink.File) (filelink.Target, error) {
	if file.Size > MaxDirectSize {
		return t.large.Target(ctx, file)
	}
	sum, err := hex.DecodeString(file.MD5)
	if err != nil {
		return filelink.Target{}, err
	}
	now := t.clock().Time().Truncate(time.Second) // signatures have whole seconds
	link, signed, until, err := t.puts.sign(ctx, file.Incoming, now, now.Add(filelink.TargetLifetime), func(r *http.Request) {
		r.Header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum))
		r.ContentLength = file.Size
	})
	if err != nil {
		return filelink.Target{}, err
	}
	target := filelink.Target{Method: http.MethodPut, URL: link, ExpiresAt: instant.Of(until)}
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		if name != "Host" && name != "Content-Length" {
			target.Headers = append(target.Headers, filelink.Header{Name: name, Value: signed.Get(name)})
		}
	}
	return target, nil
}
