package filelink

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// Handler serves the files of bucket to GET and HEAD of the signer's links, in
// whole or a range at a time. It belongs at Prefix.
//
// What a key holds must never change, for browsers are told so. The bytes come
// from whoever has a camera or an account: a browser is to show them as a
// photograph, or to save them, and never to run them.
//
// The handler says nothing of why a link is refused, nor of what went wrong in
// the store; the latter goes to log. The caller closes bucket.
func Handler(bucket *blob.Bucket, signer *Signer, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store") // of an answer without a file
		header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
		header.Set("Cross-Origin-Resource-Policy", "cross-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			header.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
			return
		}
		key, name, remaining, ok := signer.check(r)
		if !ok {
			http.Error(w, "this link is not valid, or no longer; ask for a new one", http.StatusForbidden)
			return
		}
		serve(w, r, bucket, key, name, remaining, log)
	})
}

// serve answers with the file of key. The link has the given time left.
func serve(w http.ResponseWriter, r *http.Request, bucket *blob.Bucket, key, name string, remaining time.Duration, log *slog.Logger) {
	reader, err := bucket.NewReader(r.Context(), key, nil)
	switch {
	case gcerrors.Code(err) == gcerrors.NotFound:
		http.Error(w, "this file is gone", http.StatusNotFound)
		return
	case err != nil:
		if r.Context().Err() == nil {
			log.ErrorContext(r.Context(), "open a stored file", "key", key, "error", err)
		}
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	defer reader.Close()

	contentType := "application/octet-stream"
	if isPhotograph(key) {
		contentType = "image/jpeg"
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Disposition", Disposition(key, name))
	header.Set("Cache-Control", fmt.Sprintf("private, max-age=%d, immutable", int64(remaining/time.Second)))
	header.Set("ETag", fmt.Sprintf(`"%x-%x"`, reader.ModTime().UnixNano(), reader.Size()))
	if strings.Contains(r.Header.Get("Range"), ",") {
		// Each range opens the file once more. A server may answer several
		// with the whole.
		r.Header.Del("Range")
	}
	content := &errorRecorder{ReadSeeker: reader}
	http.ServeContent(w, r, "", reader.ModTime(), content)
	if content.err != nil && r.Context().Err() == nil {
		// The status is sent; net/http cuts the connection, as the length that
		// was promised is not reached.
		log.ErrorContext(r.Context(), "read a stored file", "key", key, "error", content.err)
	}
}

// noting remembers what went wrong with reading, which ServeContent does not
// tell.
type errorRecorder struct {
	io.ReadSeeker
	err error
}

func (n *errorRecorder) Read(p []byte) (int, error) {
	count, err := n.ReadSeeker.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return count, err
}
