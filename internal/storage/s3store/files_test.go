package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"tagma/internal/storage/bucket"
	"tagma/internal/storage/bucket/buckettest"
	"tagma/internal/testing/testenv"
)

func TestBucket(t *testing.T) {
	buckettest.Run(t, func(t *testing.T) bucket.Bucket {
		s, _ := fresh(t)
		return s
	})
}

func TestList_HasEveryPageAndLeavesOutTheFoldersOfOtherTools(t *testing.T) {
	s, server := fresh(t)
	folder := filepath.Join(server.Folder, server.Bucket, "a")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	var want []string
	for n := range 2345 { // S3 lists a thousand at once
		name := fmt.Sprintf("%04d", n)
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		want = append(want, "a/"+name)
	}
	for _, key := range []string{"a/folder/", "folder/"} {
		if _, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &s.name, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	for _, prefix := range []string{"", "a/"} {
		var got []string
		for file, err := range s.List(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, file.Key)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("keys with the prefix %q: got %d, want %d, each once", prefix, len(got), len(want))
		}
	}
}

// recorded is a request that a proxy passed on. The operation is the method and the
// parameters of an upload in parts.
type recorded struct {
	operation string
	header    http.Header
}

// recorder returns a bucket behind a proxy, and a function that returns the requests
// since its last call.
func recorder(t *testing.T) (*Bucket, func() []recorded) {
	t.Helper()
	server := testenv.S3(t)
	server.Enter(t)
	var mu sync.Mutex
	var all []recorded
	proxy := httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", server.Host
		r.Out.Host = r.In.Host // is signed
	}}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operation := r.Method
		for _, name := range []string{"uploads", "uploadId", "partNumber"} {
			if r.URL.Query().Has(name) {
				operation += " " + name
			}
		}
		mu.Lock()
		all = append(all, recorded{operation, r.Header.Clone()})
		mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(listener.Close)
	return enter(t, server.Through(strings.TrimPrefix(listener.URL, "http://"))), func() []recorded {
		mu.Lock()
		defer mu.Unlock()
		taken := all
		all = nil
		return taken
	}
}

// wantOperations fails unless the requests have these operations, in any order.
func wantOperations(t *testing.T, what string, requests []recorded, want ...string) {
	t.Helper()
	var got []string
	for _, r := range requests {
		got = append(got, r.operation)
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Fatalf("requests of %s: got %q, want %q", what, got, want)
	}
}

func wantHeaders(t *testing.T, what string, got http.Header, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("%s of %s: got %q, want %q", name, what, got.Get(name), value)
		}
	}
}

func TestWrite_OneRequestForASmallFileAndPartsForALargeOne(t *testing.T) {
	s, requests := recorder(t)
	s.put(t, "images/a.jpg", "small")
	got := requests()
	wantOperations(t, "a create", got, "PUT")
	wantHeaders(t, "a create", got[0].header, map[string]string{"If-None-Match": "*", "Content-Type": "image/jpeg", "Cache-Control": cacheControl})
	if got[0].header.Get("X-Amz-Checksum-Crc32") == "" && got[0].header.Get("X-Amz-Trailer") == "" {
		t.Errorf("headers of a create: got %v, want a checksum", got[0].header)
	}
	if err := bucket.WriteAll(t.Context(), s, "mark", nil); err != nil {
		t.Fatal(err)
	}
	got = requests()
	wantOperations(t, "a write", got, "PUT")
	wantHeaders(t, "a write", got[0].header, map[string]string{"If-None-Match": "", "Content-Type": "application/octet-stream", "Cache-Control": cacheControl})
	s.put(t, "bundles/large.jpg", strings.Repeat("x", 17<<20))
	got = requests()
	wantOperations(t, "a create of 17 MiB", got, "POST uploads", "PUT uploadId partNumber", "PUT uploadId partNumber", "PUT uploadId partNumber", "POST uploadId")
	wantHeaders(t, "the first request of a create of 17 MiB", got[0].header, map[string]string{"Content-Type": "image/jpeg", "Cache-Control": cacheControl})
	wantHeaders(t, "the last request of a create of 17 MiB", got[4].header, map[string]string{"If-None-Match": "*"})
}

func TestSeek_SendsNoRequestUntilTheNextRead(t *testing.T) {
	s, requests := recorder(t)
	s.put(t, "a", "0123456789")
	requests()
	r, err := s.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, offset := range []int64{3, 0, 10, 7} {
		if _, err := r.Seek(offset, io.SeekStart); err != nil {
			t.Fatal(err)
		}
	}
	wantOperations(t, "an open and seeks", requests(), "GET")
	content, err := io.ReadAll(r)
	if string(content) != "789" || err != nil {
		t.Errorf("read after a seek to 7: got %q, %v, want 789", content, err)
	}
	got := requests()
	wantOperations(t, "a read after seeks", got, "GET")
	wantHeaders(t, "a read after seeks", got[0].header, map[string]string{"Range": "bytes=7-"})
	if got[0].header.Get("If-Match") == "" {
		t.Error("If-Match of a read after seeks: got none, want the ETag")
	}
}

func TestWrite_AFailedLargeFileLeavesNoParts(t *testing.T) {
	s, _ := fresh(t)
	for what, end := range map[string]func(cancel func()) error{
		"a source that fails": func(func()) error { return errors.New("gone") },
		"a context that ends": func(cancel func()) error { cancel(); return nil },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		source := bucket.CheckAtEOF(io.LimitReader(rand.NewChaCha8([32]byte{}), 30<<20), func() error { return end(cancel) })
		if err := s.Create(ctx, "a", source); err == nil {
			t.Errorf("create with %s: got no error, want one", what)
		}
		uploads, err := s.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &s.name})
		if err != nil || len(uploads.Uploads) > 0 {
			t.Errorf("uploads after %s: got %+v, %v, want none", what, uploads, err)
		}
	}
}

func TestErrors_AMissingBucketAndARefusalAreNoMissingFile(t *testing.T) {
	_, server := fresh(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer refusing.Close()
	for want, address := range map[string]string{
		"NoSuchBucket": strings.Replace(server.URL(), "s3://"+server.Bucket, "s3://nothing", 1),
		"Forbidden":    server.Through(strings.TrimPrefix(refusing.URL, "http://")),
	} {
		s := enter(t, address)
		_, open := s.Open(t.Context(), "images/a.jpg")
		for method, err := range map[string]error{
			"Open": open, "Write": bucket.WriteAll(t.Context(), s, "images/a.jpg", nil), "Create": s.Create(t.Context(), "images/a.jpg", bytes.NewReader(nil)),
		} {
			if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "images/a.jpg") {
				t.Errorf("%s: got %v, want %s with the key", method, err, want)
			}
		}
	}
}
