// Package s3store owns the storing of files in S3, of AWS or a compatible server. It
// implements bucket.Bucket, and owns the address of a bucket, the timeouts, the messages
// for failures, links and targets. By a link, a browser reads a file directly from the
// bucket. By a target, a client writes a file directly to the bucket.
//
// Credentials come from AWS's usual environment variables and files, or from the
// role of the machine. No address and no log contains credentials.
//
// No file with a link is ever replaced by other bytes. So each file has a Cache-Control
// for caching without a check.
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
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
)

// The limits of a request. A request is sent at most maxAttempts times, with pauses
// growing to maxBackoff.
const (
	connectTimeout = 5 * time.Second
	idleTimeout    = 30 * time.Second // without a byte in either direction
	maxAttempts    = 4
	maxBackoff     = 2 * time.Second
	abortTimeout   = 10 * time.Second // to remove the parts of a large file after a failure
)

// maxIdleConnections is the largest number of open idle connections.
const maxIdleConnections = 100

// Bucket is a bucket in S3. A Bucket is safe for concurrent use.
type Bucket struct {
	client    *s3.Client
	transfers *transfermanager.Client // sends a large file in parts
	name      string                  // the name of the bucket
	location  string                  // the endpoint, for messages
	public    string                  // the endpoint in links and targets; if empty, the endpoint of client
}

// Open opens the bucket at an address. Open sends no request to the bucket: call Check
// to test the access. The caller closes the bucket.
func Open(ctx context.Context, text string, log *slog.Logger) (*Bucket, error) {
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
	})
	transfers := transfermanager.New(client, func(o *transfermanager.Options) {
		// Without the line the manager would ignore the setting of AWS's environment.
		o.RequestChecksumCalculation = settings.RequestChecksumCalculation
		o.FailTimeout = abortTimeout
	})
	location := a.endpoint
	if location == "" {
		location = "AWS, " + settings.Region
	}
	return &Bucket{client: client, transfers: transfers, name: a.bucket, location: location, public: a.public}, nil
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

// Name returns the bucket's address without parameters, for messages.
func (b *Bucket) Name() string { return Scheme + b.name + " (" + b.location + ")" }

// Close implements bucket.Bucket. Idle connections end after idleTimeout.
func (b *Bucket) Close() error { return nil }

// Check implements bucket.Bucket. The error has a single line.
func (b *Bucket) Check(ctx context.Context) error {
	_, err := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.name, MaxKeys: aws.Int32(1)})
	if err == nil {
		return nil
	}
	return fmt.Errorf("the bucket %s (%s): %w", b.name, b.location, explain(err))
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
