package s3store

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/encoding/httpbinding"

	"tagma/internal/base/instant"
	"tagma/internal/storage/filelink"
)

// presigner signs requests of a kind, such as all GETs. A client sends the signed
// request to the store. A presigner is safe for concurrent use.
type presigner struct {
	credentials aws.CredentialsProvider
	signer      *v4.Signer
	sample      sample
}

// sample holds the arguments of the SDK's call of a signer, for a request with the
// key sampleKey. The presigner derives each further request from the sample by
// changing the path and a few headers. Preparing each request with the SDK would take
// twenty times as long.
type sample struct {
	request                      *http.Request
	payloadHash, service, region string
	options                      []func(*v4.SignerOptions)
}

const sampleKey = "sample"

// PresignHTTP implements s3.HTTPPresignerV4. PresignHTTP records the arguments and
// signs nothing.
func (s *sample) PresignHTTP(
	ctx context.Context, _ aws.Credentials, r *http.Request, payloadHash, service, region string, _ time.Time, options ...func(*v4.SignerOptions),
) (string, http.Header, error) {
	*s = sample{r.Clone(ctx), payloadHash, service, region, append(options, func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = true // S3 signs the path as sent
	})}
	return "", nil, nil
}

// presigner returns a presigner for requests like the request of presign. presign
// must make a request for sampleKey.
func (b *Bucket) presigner(lifetime time.Duration, presign func(*s3.PresignClient) error) (*presigner, error) {
	p := &presigner{credentials: b.client.Options().Credentials, signer: v4.NewSigner()}
	client := s3.NewPresignClient(b.client, func(o *s3.PresignOptions) {
		o.Expires, o.Presigner = lifetime, &p.sample
		o.ClientOptions = append(o.ClientOptions, func(o *s3.Options) {
			// The sender of the request does not know AWS's checksums.
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			if b.public != "" {
				o.BaseEndpoint = &b.public
			}
		})
	})
	return p, presign(client)
}

// sign signs a request for key with the time at. sign returns the URL, the signed
// headers, and the expiry: until, or the expiry of the credentials if earlier. Modify
// may change the request before the signature.
func (p *presigner) sign(ctx context.Context, key string, at, until time.Time, modify func(*http.Request)) (link string, header http.Header, ends time.Time, err error) {
	credentials, err := p.credentials.Retrieve(ctx)
	if err != nil {
		return "", nil, until, err
	}
	request := p.sample.request.Clone(ctx)
	request.URL.Path = strings.TrimSuffix(request.URL.Path, sampleKey) + key
	request.URL.RawPath = httpbinding.EscapePath(request.URL.Path, false)
	modify(request)
	link, header, err = p.signer.PresignHTTP(ctx, credentials, request, p.sample.payloadHash, p.sample.service, p.sample.region, at, p.sample.options...)
	if credentials.CanExpire && credentials.Expires.Before(until) {
		until = credentials.Expires
	}
	return link, header, until, err
}

// Links makes links to the files of a bucket. Links is safe for concurrent use.
type Links struct {
	clock    instant.Clock
	lifetime time.Duration
	gets     *presigner
}

// Links returns a maker of links with a validity of at most lifetime. Lifetime must
// be longer than filelink.LeastLeft, and at most seven days.
func (b *Bucket) Links(ctx context.Context, clock instant.Clock, lifetime time.Duration) (*Links, error) {
	gets, err := b.presigner(lifetime, func(c *s3.PresignClient) error {
		_, err := c.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: aws.String(sampleKey)})
		return err
	})
	return &Links{clock, lifetime, gets}, err
}

// Get returns a link to the file of key, and the expiry of the link. Get sends no
// request: a missing file has a link too. For name see filelink.Disposition.
//
// A link is signed with the start of the current filelink.Window instead of the
// present. So all servers return the same URL, and browsers can cache the file. If
// the credentials expire before the window's end, the link expires with the
// credentials.
func (l *Links) Get(ctx context.Context, key, name string) (link string, expiresAt instant.Instant, err error) {
	from, until := filelink.Window(l.clock().Time(), l.lifetime)
	link, _, until, err = l.gets.sign(ctx, key, from, until, func(r *http.Request) {
		r.URL.RawQuery += "&response-content-disposition=" + url.QueryEscape(filelink.Disposition(key, name))
	})
	if err != nil {
		return "", 0, err
	}
	return link, instant.Of(until), nil
}
