// Package s3store owns the keeping of files in an S3 store, of AWS or any
// other: its address, how long the store may take, what is said of it when it
// does not work, links with which a browser gets a file straight from it, and
// targets by which a client sends one straight to it.
//
// Credentials come from AWS's usual environment variables and files, or from
// the machine's role. They are in no address and no log.
//
// Nothing in the bucket is ever overwritten: whoever writes asks for that
// (blob.WriterOptions.IfNotExist), and so each file tells browsers and proxies
// to keep it.
//
// The package does not own which files there are, nor who may have a link or a
// target. Those of files on the local disk are filelink's.
package s3store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// What a store may take before it counts as gone. A request is tried attempts
// times, with pauses that grow to longestPause.
const (
	connectTimeout = 5 * time.Second
	idleTimeout    = 30 * time.Second // without a byte in either direction
	maxAttempts    = 4
	maxBackoff     = 2 * time.Second
)

// connections is how many stay open while nothing is asked.
const maxIdleConnections = 100

// cacheControl is of every file, for none ever changes. Private, because a
// photograph may show a person.
const cacheControl = "private, max-age=31536000, immutable"

// Store is one bucket of an S3 store.
type Store struct {
	// Bucket is the files. Close it when the store is needed no more.
	Bucket *blob.Bucket

	client   *s3.Client
	name     string // of the bucket
	location string // the endpoint, for messages
	public   string // the endpoint in links, if it is another
}

// Open opens the bucket that an address names. It does not ask the store for
// anything: see Check.
func Open(ctx context.Context, text string, log *slog.Logger) (*Store, error) {
	a, err := parse(text)
	if err != nil {
		return nil, err
	}
	settings, err := load(ctx, a, log)
	if err != nil {
		return nil, err
	}
	client := s3.NewFromConfig(settings, func(o *s3.Options) {
		o.UsePathStyle = a.pathStyle
		if a.endpoint != "" {
			o.BaseEndpoint = &a.endpoint
		}
		o.DisableLogOutputChecksumValidationSkipped = true
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return errors.Join(
				stack.Initialize.Add(middleware.InitializeMiddlewareFunc("tagma.CacheControl", withCacheControl), middleware.Before),
				stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("tagma.CopyOnce", copyOnce), middleware.After),
			)
		})
	})
	bucket, err := s3blob.OpenBucket(ctx, client, a.bucket, &s3blob.Options{RequestChecksumCalculation: settings.RequestChecksumCalculation})
	if err != nil {
		return nil, err
	}
	location := a.endpoint
	if location == "" {
		location = "AWS, " + settings.Region
	}
	return &Store{Bucket: bucket, client: client, name: a.bucket, location: location, public: a.public}, nil
}

// load gathers the AWS settings of the environment, with what the address says.
func load(ctx context.Context, a address, log *slog.Logger) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(httpClient()),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = maxAttempts, maxBackoff })
		}),
		config.WithLogger(logging.LoggerFunc(func(_ logging.Classification, format string, args ...any) {
			log.Debug("S3: " + fmt.Sprintf(format, args...))
		})),
	}
	if a.region != "" {
		options = append(options, config.WithRegion(a.region))
	}
	if a.profile != "" {
		options = append(options, config.WithSharedConfigProfile(a.profile))
	}
	settings, err := config.LoadDefaultConfig(ctx, options...)
	switch {
	case err != nil:
		return settings, fmt.Errorf("read AWS's settings: %w", err)
	case settings.Region == "" && a.endpoint != "":
		settings.Region = "us-east-1" // what most stores other than AWS's say they are
	case settings.Region == "":
		return settings, errors.New("give region=… in the address, or AWS_REGION")
	}
	credentialsCtx, cancel := context.WithTimeout(ctx, 2*connectTimeout)
	defer cancel()
	if _, err := settings.Credentials.Retrieve(credentialsCtx); err != nil {
		log.WarnContext(ctx, "AWS's settings lead to no credentials", "error", err)
		return settings, errors.New("there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use AWS's files or a role")
	}
	return settings, nil
}

// httpClient gives up on a store that is silent. How long a whole request may
// take is for its caller's context to say: a large file takes its time.
func httpClient() aws.HTTPClient {
	dialer := net.Dialer{Timeout: connectTimeout}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return idleTimeoutConn{c}, nil
		}
		t.TLSHandshakeTimeout = connectTimeout
		t.IdleConnTimeout = idleTimeout / 2
		t.MaxIdleConns, t.MaxIdleConnsPerHost = maxIdleConnections, maxIdleConnections
	})
}

// impatient is a connection that ends after a silence.
type idleTimeoutConn struct{ net.Conn }

func (c idleTimeoutConn) Read(p []byte) (int, error) {
	_ = c.SetDeadline(time.Now().Add(idleTimeout))
	return c.Conn.Read(p)
}

// Write also gives a reader that waits already the time from now.
func (c idleTimeoutConn) Write(p []byte) (int, error) {
	_ = c.SetDeadline(time.Now().Add(idleTimeout))
	return c.Conn.Write(p)
}

// withCacheControl puts it on every file that is written. A copy takes nothing
// over from the file but its bytes: somebody else may have written that.
func withCacheControl(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	switch input := in.Parameters.(type) {
	case *s3.PutObjectInput:
		input.CacheControl = aws.String(cacheControl)
	case *s3.CreateMultipartUploadInput:
		input.CacheControl = aws.String(cacheControl)
	case *s3.CopyObjectInput:
		ctx = middleware.WithStackValue(ctx, copyErrorKey{}, new(error))
		input.CacheControl = aws.String(cacheControl)
		input.ContentType = aws.String("application/octet-stream")
		input.MetadataDirective = types.MetadataDirectiveReplace
	}
	return next.HandleInitialize(ctx, in)
}

// Name returns the bucket's address without the parts that only Tagma needs, for
// messages.
func (s *Store) Name() string { return Scheme + s.name + " (" + s.location + ")" }

// copiedKey is where a copy on its way keeps how it was answered: an *error.
type copyErrorKey struct{}

// copyOnce keeps the SDK from asking for a copy again. A request that seemed to
// have failed may be carried out late, when the file is another already: then it
// would write over what the second one has copied, and somebody has read. Who
// needs a copy tries another name.
func copyOnce(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	previous, ok := middleware.GetStackValue(ctx, copyErrorKey{}).(*error)
	if ok && *previous != nil {
		return middleware.FinalizeOutput{}, middleware.Metadata{}, fmt.Errorf("a copy is asked for once: %v", *previous) //nolint:errorlint // else it is tried again
	}
	out, metadata, err := next.HandleFinalize(ctx, in)
	if ok {
		*previous = err
	}
	return out, metadata, err
}

// Check says in one line what is wrong with the store, if it cannot be used.
func (s *Store) Check(ctx context.Context) error {
	_, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.name, MaxKeys: aws.Int32(1)})
	if err == nil {
		return nil
	}
	return fmt.Errorf("the bucket %s (%s): %w", s.name, s.location, explain(err))
}

func explain(err error) error {
	refusal, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		if network, ok := errors.AsType[*net.OpError](err); ok {
			return fmt.Errorf("cannot be reached: %w", network)
		}
		return err
	}
	switch refusal.ErrorCode() {
	case "NoSuchBucket", "NotFound":
		return errors.New("there is no such bucket")
	case "InvalidAccessKeyId":
		return errors.New("the store does not know the access key in AWS_ACCESS_KEY_ID or AWS's files")
	case "SignatureDoesNotMatch":
		return errors.New("the secret key is not that of the access key")
	case "AccessDenied", "Forbidden":
		return errors.New("these credentials may not list it")
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "MovedPermanently", "IllegalLocationConstraintException":
		return errors.New("it is in another region: give the right region=… in the address")
	case "ExpiredToken":
		return errors.New("the credentials have expired")
	case "RequestTimeTooSkewed":
		return errors.New("the clocks of this machine and of the store are too far apart")
	}
	return fmt.Errorf("the store says %s: %s", refusal.ErrorCode(), refusal.ErrorMessage())
}
