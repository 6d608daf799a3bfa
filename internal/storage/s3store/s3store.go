// Package s3store owns the storing of files in S3, of AWS or a compatible server: the
// address of a bucket, the timeouts, the messages for failures, links and targets. By a
// link, a browser reads a file directly from the bucket. By a target, a client writes a
// file directly to the bucket.
//
// Credentials come from AWS's usual environment variables and files, or from the
// role of the machine. No address and no log contains credentials.
//
// No file in the bucket is ever overwritten: writers set blob.WriterOptions.IfNotExist.
// So each file has a Cache-Control for caching without a check.
//
// The package does not own the list of files, which the database has, nor the right to
// a link or a target. Package filelink owns links and targets for files on the local
// disk.
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

// The limits of a request. A request is sent at most maxAttempts times, with pauses
// growing to maxBackoff.
const (
	connectTimeout = 5 * time.Second
	idleTimeout    = 30 * time.Second // without a byte in either direction
	maxAttempts    = 4
	maxBackoff     = 2 * time.Second
)

// maxIdleConnections is the largest number of open idle connections.
const maxIdleConnections = 100

// cacheControl is the Cache-Control of every file: files never change, so browsers may
// cache for a year. The word private keeps files out of shared caches, because a
// photograph may show a person.
const cacheControl = "private, max-age=31536000, immutable"

// Store is a bucket in S3.
type Store struct {
	// Bucket holds the files. The caller closes Bucket after use.
	Bucket *blob.Bucket

	client   *s3.Client
	name     string // the name of the bucket
	location string // the endpoint, for messages
	public   string // the endpoint in links and targets; if empty, the endpoint of client
}

// Open opens the bucket at an address. Open sends no request to the bucket: call Check
// to test the access.
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

// load returns the AWS settings of the environment, changed by the address.
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
		settings.Region = "us-east-1" // the default region of most other stores
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

// httpClient returns a client with idleTimeoutConn connections. There is no time limit
// for a whole request, because a large file takes long: the caller's context limits the
// request.
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

// idleTimeoutConn is a connection whose reads and writes fail after idleTimeout without
// a byte in either direction.
type idleTimeoutConn struct{ net.Conn }

func (c idleTimeoutConn) Read(p []byte) (int, error) {
	_ = c.SetDeadline(time.Now().Add(idleTimeout))
	return c.Conn.Read(p)
}

// Write also extends the deadline of a waiting Read.
func (c idleTimeoutConn) Write(p []byte) (int, error) {
	_ = c.SetDeadline(time.Now().Add(idleTimeout))
	return c.Conn.Write(p)
}

// withCacheControl sets cacheControl on every written file. A copy takes only the bytes
// of the source, because a client may have chosen the properties of the source.
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

// Name returns the bucket's address without parameters, for
// messages.
func (s *Store) Name() string { return Scheme + s.name + " (" + s.location + ")" }

// copyErrorKey is the key of an *error in a request's context: the error of the first
// attempt to copy.
type copyErrorKey struct{}

// copyOnce stops the SDK from repeating a copy. S3 may execute a seemingly failed
// request late, after the source has changed. A late copy would overwrite the repeated
// copy, even after a client has read the repeated copy. After an error, the caller
// copies to a new key instead.
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

// Check returns an error of a single line if the bucket cannot be used.
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
