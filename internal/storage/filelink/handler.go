package filelink

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"tagma/internal/storage/bucket"
)

// Handler serves files to GET and HEAD requests with a link of signer, in whole or
// by range. The caller mounts Handler at Prefix.
//
// The content of a key must never change, because Handler tells browsers to cache
// files. The bytes come from cameras and accounts and are not trusted: browsers
// may show a photograph or save a file, but never run a file as a script or page.
//
// A response never names the reason for an invalid link or for a failure of the
// bucket. Handler logs failures of the bucket. The caller closes files.
func Handler(files bucket.Bucket, signer *Signer, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store") // overwritten if a file is served
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
		serve(w, r, files, key, name, remaining, log)
	})
}

// serve answers with the file of key. The link is valid for the remaining time.
func serve(w http.ResponseWriter, r *http.Request, files bucket.Bucket, key, name string, remaining time.Duration, log *slog.Logger) {
	reader, err := files.Open(r.Context(), key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
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

	info, header := reader.Info(), w.Header()
	header.Set("Content-Type", ContentType(key))
	header.Set("Content-Disposition", Disposition(key, name))
	header.Set("Cache-Control", fmt.Sprintf("private, max-age=%d, immutable", int64(remaining/time.Second)))
	header.Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime.UnixNano(), info.Size))
	if strings.Contains(r.Header.Get("Range"), ",") {
		// Each further range would open the file again. HTTP lets a server answer
		// several ranges with the whole file.
		r.Header.Del("Range")
	}
	content := &errorRecorder{ReadSeeker: reader}
	http.ServeContent(w, r, "", info.ModTime, content)
	if content.err != nil && r.Context().Err() == nil {
		// The status has been sent. The body is shorter than Content-Length, so
		// net/http closes the connection.
		log.ErrorContext(r.Context(), "read a stored file", "key", key, "error", content.err)
	}
}

// errorRecorder records the error of a read, because ServeContent returns none.
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
