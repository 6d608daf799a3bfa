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

// presigner signs requests that others then send to the store, for one kind of
// request. It is safe for concurrent use.
type presigner struct {
	credentials aws.CredentialsProvider
	signer      *v4.Signer
	sample      sample
}

// sample is what the SDK had to sign for the file sampleKey. Requests for other
// files differ in their paths, and a little in their headers. To have the SDK
// make each anew would take twenty times as long.
type sample struct {
	request                      *http.Request
	payloadHash, service, region string
	options                      []func(*v4.SignerOptions)
}

const sampleKey = "sample"

// PresignHTTP implements s3.HTTPPresignerV4: it remembers and signs nothing.
func (s *sample) PresignHTTP(
	ctx context.Context, _ aws.Credentials, r *http.Request, payloadHash, service, region string, _ time.Time, options ...func(*v4.SignerOptions),
) (string, http.Header, error) {
	*s = sample{r.Clone(ctx), payloadHash, service, region, append(options, func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = true // S3 signs a path as it is sent
	})}
	return "", nil, nil
}

// presigner makes one. Ask has the SDK presign the sample.
func (s *Store) presigner(lifetime time.Duration, presign func(*s3.PresignClient) error) (*presigner, error) {
	p := &presigner{credentials: s.client.Options().Credentials, signer: v4.NewSigner()}
	client := s3.NewPresignClient(s.client, func(o *s3.PresignOptions) {
		o.Expires, o.Presigner = lifetime, &p.sample
		o.ClientOptions = append(o.ClientOptions, func(o *s3.Options) {
			// Whoever sends the request knows nothing of AWS's checksums, nor of
			// what we add to our own.
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			o.APIOptions = nil
			if s.public != "" {
				o.BaseEndpoint = &s.public
			}
		})
	})
	return p, presign(client)
}

// sign signs a request for the file of key, as if at a moment. With credentials
// that end before until, it ends with them. Change may set what else is signed.
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

// Links makes links to the files of one store. It is safe for concurrent use.
type Links struct {
	clock    instant.Clock
	lifetime time.Duration
	gets     *presigner
}

// Links gives the maker of links that live for lifetime at most. That must be
// more than filelink.LeastLeft, and no more than seven days.
func (s *Store) Links(ctx context.Context, clock instant.Clock, lifetime time.Duration) (*Links, error) {
	gets, err := s.presigner(lifetime, func(c *s3.PresignClient) error {
		_, err := c.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &s.name, Key: aws.String(sampleKey)})
		return err
	})
	return &Links{clock, lifetime, gets}, err
}

// Get is a link to the file of key, and the moment at which it ends. It asks
// nothing of the store: a file that is not there has a link too. For the name see
// filelink.Disposition.
//
// It is signed as if at the beginning of the window that filelink.Window tells,
// so that browsers know the file again, whichever server made the link. With
// credentials that end before the link would, it ends with them.
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
