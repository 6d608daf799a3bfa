package testenv

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tagma/internal/testing/checkout"
	"tagma/internal/testing/childproc"
)

// gateway builds the S3 server, VersityGW, and returns the path of the program.
// Go builds the program at first use, and stores the program in the build
// cache. The program is in a separate module, so the dependencies of the
// program stay out of Tagma's go.mod.
var gateway = sync.OnceValues(func() (string, error) {
	root, err := checkout.Root()
	if err != nil {
		return "", err
	}
	tool := exec.Command("go", "tool", "-n", "versitygw")
	tool.Dir = filepath.Join(root, "internal", "tools", "s3server")
	tool.Env = append(os.Environ(), "CGO_ENABLED=0")
	var output bytes.Buffer
	tool.Stderr = &output
	path, err := tool.Output()
	if err != nil {
		return "", fmt.Errorf("build the S3 server: %w\n%s", err, &output)
	}
	return strings.TrimSpace(string(path)), nil
})

// S3Server is a real S3 server with an empty bucket, for a single test.
type S3Server struct {
	Bucket, Region         string
	Host                   string // host and port, for plain HTTP
	AccessKeyID, SecretKey string
	Folder                 string // parent folder of the bucket's files
	process                *exec.Cmd
	exited                 chan struct{} // closed when the process has exited
	output                 bytes.Buffer  // output of the process, complete after exited
	health                 string        // path of the health check
}

// S3 starts an S3 server that checks signatures, and stops the server when the
// test ends. The test fails, and is not skipped, if the server cannot be built
// or started.
func S3(t testing.TB) *S3Server {
	t.Helper()
	program, err := gateway()
	if err != nil {
		t.Fatalf("testenv: %v", err)
	}
	s := &S3Server{
		Bucket: "photographs", Region: "eu-test-1", Folder: t.TempDir(),
		AccessKeyID: "TESTKEY" + rand.Text()[:13], SecretKey: rand.Text(),
		health: "/health-" + strings.ToLower(rand.Text()), // unique: no other server answers this path
	}
	if err := os.Mkdir(filepath.Join(s.Folder, s.Bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	for range 5 { // tried five times: another process may take the port first
		if err = s.start(t.Context(), program); err == nil {
			return s
		}
	}
	t.Fatalf("testenv: no S3 server: %v", err)
	return nil
}

func (s *S3Server) start(ctx context.Context, program string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Host = listener.Addr().String()
	_ = listener.Close()
	s.process = exec.Command(program, "--port", s.Host, "--region", s.Region, "--health", s.health, "--keep-alive", "--quiet", "posix", s.Folder)
	s.process.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKeyID, "ROOT_SECRET_KEY="+s.SecretKey)
	childproc.KillWithParent(s.process, syscall.SIGKILL)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func(process *exec.Cmd, exited chan struct{}) {
		defer close(exited)
		_ = process.Wait() // killed at the end of a test; otherwise output explains
	}(s.process, s.exited)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		select {
		case <-s.exited:
			return fmt.Errorf("it ended:\n%s", &s.output)
		case <-ctx.Done():
			return errors.New("it does not answer")
		case <-time.After(5 * time.Millisecond): // the server does not announce that it listens
		}
		if s.healthy(ctx) {
			return nil
		}
	}
}

func (s *S3Server) healthy(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Host+s.health, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (s *S3Server) stop() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Kill()
		<-s.exited
	}
}

// URL returns the address of the bucket, in the form of --storage.
func (s *S3Server) URL() string { return s.Through(s.Host) }

// Through returns the URL with the host and port of a proxy.
func (s *S3Server) Through(host string) string {
	return "s3://" + s.Bucket + "?" + url.Values{"region": {s.Region}, "endpoint": {"http://" + host}}.Encode()
}

// Environment returns environment variables for a process: the credentials of
// the server, and empty values instead of the AWS settings of the machine.
func (s *S3Server) Environment() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + s.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + s.SecretKey,
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_SESSION_TOKEN=", "AWS_PROFILE=", "AWS_REGION=", "AWS_ENDPOINT_URL=", "AWS_ENDPOINT_URL_S3=",
	}
}

// Enter sets the Environment of this process until the test ends.
func (s *S3Server) Enter(t *testing.T) {
	t.Helper()
	for _, variable := range s.Environment() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
}

// Age sets the modification time of the file of key.
func (s *S3Server) Age(t testing.TB, key string, modified time.Time) {
	t.Helper()
	if err := os.Chtimes(filepath.Join(s.Folder, s.Bucket, filepath.FromSlash(key)), modified, modified); err != nil {
		t.Fatal(err)
	}
}
