package s3store

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/encoding/httpbinding"

	"tagma/internal/filelink"
	"tagma/internal/instant"
)

// Links makes links to the files of one store. It is safe for concurrent use.
type Links struct {
	clock       instant.Clock
	lifetime    time.Duration
	credentials aws.CredentialsProvider
	signer      *v4.Signer
	sample      sample
}

// sample is what the SDK had to sign for a link to the file sampleKey. Links to
// other files differ in their paths. To have the SDK make each request anew
// would take twenty times as long.
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

// Links gives the maker of links that live for lifetime at most. That must be
// more than filelink.LeastLeft, and no more than seven days.
func (s *Store) Links(ctx context.Context, clock instant.Clock, lifetime time.Duration) (*Links, error) {
	l := &Links{clock: clock, lifetime: lifetime, credentials: s.client.Options().Credentials, signer: v4.NewSigner()}
	client := s3.NewPresignClient(s.client, func(o *s3.PresignOptions) {
		o.Expires, o.Presigner = lifetime, &l.sample
		o.ClientOptions = append(o.ClientOptions, func(o *s3.Options) {
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired // a browser checks none
			if s.public != "" {
				o.BaseEndpoint = &s.public
			}
		})
	})
	_, err := client.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &s.name, Key: aws.String(sampleKey)})
	return l, err
}

// Get is a link to the file of key, and the moment at which it ends. It asks
// nothing of the store: a file that is not there has a link too.
//
// It is signed as if at the beginning of the window that filelink.Window tells,
// so that browsers know the file again, whichever server made the link. With
// credentials that end before the link would, it ends with them.
func (l *Links) Get(ctx context.Context, key string) (link string, expiresAt instant.Instant, err error) {
	credentials, err := l.credentials.Retrieve(ctx)
	if err != nil {
		return "", 0, err
	}
	from, until := filelink.Window(l.clock().Time(), l.lifetime)
	request := l.sample.request.Clone(ctx)
	request.URL.Path = strings.TrimSuffix(request.URL.Path, sampleKey) + key
	request.URL.RawPath = httpbinding.EscapePath(request.URL.Path, false)
	link, _, err = l.signer.PresignHTTP(ctx, credentials, request, l.sample.payloadHash, l.sample.service, l.sample.region, from, l.sample.options...)
	if err != nil {
		return "", 0, err
	}
	if credentials.CanExpire && credentials.Expires.Before(until) {
		until = credentials.Expires
	}
	return link, instant.Of(until), nil
}
