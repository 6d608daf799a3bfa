package transport

import (
	"bufio"
	"errors"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/fault"
)

// upload takes files: multipart/form-data with the parts "operations", "map" and then
// the files, in that order. A resolver gets each file as a graphql.Upload. The File
// of the upload is in memory, with a method Bytes, or is an open temporary file. The
// resolver may read and seek the File until the resolver returns, and need not close
// the File. An upload of more than Limits.FileBytes has its Size and an empty File: the
// resolver must refuse the upload.
type upload struct{ options *Options }

// Supports reports whether r is a POST of a form, even of a malformed form.
func (upload) Supports(r *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && mediaType == "multipart/form-data" &&
		(err == nil || errors.Is(err, mime.ErrInvalidMediaParameter))
}

// Do answers r.
func (t upload) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	e := newExchange(t.options, w, r)
	e.serve(exec, e.readForm)
}

// readForm returns the parameters in a form, with the files among the variables.
func (e *exchange) readForm() (*graphql.RawParams, error) {
	if !isPreflighted(e.r.Header) {
		return nil, newRefusal(http.StatusForbidden, fault.Forbidden,
			"an upload must carry a bearer token, or a header that no other site can set, such as GraphQL-Require-Preflight: 1")
	}
	limits := e.options.Limits
	if e.r.ContentLength > limits.TotalBytes {
		return nil, bodyTooLarge(limits.TotalBytes)
	}
	form, err := openForm(e.r.Header, http.MaxBytesReader(e.w, e.r.Body, limits.TotalBytes))
	if err != nil {
		return nil, err
	}

	operations, err := form.text("operations", limits.JSONBytes)
	if err != nil {
		return nil, err
	}
	if err := e.reserveBody(int64(len(operations))); err != nil {
		return nil, err
	}
	if err := e.reserveDecoded(len(operations)); err != nil {
		return nil, err
	}
	params, err := decodeParams(`the part "operations"`, operations)
	if err != nil {
		return nil, err
	}
	fileMap, err := form.text("map", limits.MapBytes)
	if err != nil {
		return nil, err
	}
	setters, err := readMap(fileMap, params.Variables, limits.Files)
	if err != nil {
		return nil, err
	}

	if err := e.readFiles(form, setters); err != nil {
		return nil, err
	}
	return params, nil
}

// readFiles reads the files of the form, and puts each into the variables. The
// files exist until the end of the exchange.
func (e *exchange) readFiles(form *form, setters map[string]func(graphql.Upload)) error {
	files := &spool{dir: e.options.TempDir}
	e.cleanup = append(e.cleanup, files.close)
	files.reserve(e.options.Memory, e.r.ContentLength)
	for len(setters) > 0 {
		part, err := form.next()
		if errors.Is(err, io.EOF) {
			return badRequest("%d of the files in the map did not come", len(setters))
		}
		if err != nil {
			return err
		}
		set, ok := setters[part.FormName()]
		if !ok {
			return unexpectedPart()
		}
		delete(setters, part.FormName())
		file, size, err := files.add(part, e.options.Limits.FileBytes)
		if err != nil {
			return err
		}
		set(graphql.Upload{
			File:        file,
			Filename:    part.FileName(),
			Size:        size,
			ContentType: part.Header.Get("Content-Type"),
		})
	}
	switch _, err := form.next(); {
	case err == nil:
		return unexpectedPart()
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

func unexpectedPart() *refusal {
	return badRequest("a part of the form is no file of the map, or has come before: each file comes once")
}

// isPreflighted reports whether a browser would send a CORS preflight before this form.
// For a page of another site a browser sends a form, even with Basic credentials,
// without a preflight, but neither a bearer token nor a header outside the CORS
// safelist (https://fetch.spec.whatwg.org).
func isPreflighted(header http.Header) bool {
	scheme, token, _ := strings.Cut(header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && token != "" {
		return true
	}
	return slices.ContainsFunc(
		[]string{"GraphQL-Require-Preflight", "Apollo-Require-Preflight", "X-Apollo-Operation-Name"},
		func(name string) bool { return header.Get(name) != "" })
}

// maxPartHeader bounds the header of a part, in bytes. mime/multipart alone would hold
// 10 MB in memory.
const maxPartHeader = 16 << 10

// maxBoundary is the limit of RFC 2046.
const maxBoundary = 70

// form is the body of an upload, read part by part.
type form struct {
	reader *multipart.Reader
	meter  *meter
}

func openForm(header http.Header, body io.Reader) (*form, error) {
	_, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	boundary := params["boundary"]
	if err != nil || boundary == "" || len(boundary) > maxBoundary {
		return nil, badRequest("Content-Type must name a boundary of 1 to %d characters", maxBoundary)
	}
	// Without the buffer each 4 KiB of mime/multipart would be a system call.
	m := &meter{source: bufio.NewReaderSize(body, 64<<10), left: math.MaxInt64}
	return &form{reader: multipart.NewReader(m, boundary), meter: m}, nil
}

// next returns the next part, or io.EOF after the last part.
func (f *form) next() (*multipart.Part, error) {
	f.meter.left = maxPartHeader
	part, err := f.reader.NextPart()
	f.meter.left = math.MaxInt64
	if err == nil || err == io.EOF {
		return part, err
	}
	if errors.Is(err, errLimit) || errors.Is(err, multipart.ErrMessageTooLarge) {
		return nil, tooLarge("the head of a part is larger than the limit of %d bytes", maxPartHeader)
	}
	if f.meter.failed != nil { // textproto hides the cause
		err = f.meter.failed
	}
	return nil, readRefusal(err)
}

// text returns the content of the next part, and an error if the part has another
// name.
func (f *form) text(name string, limit int64) ([]byte, error) {
	part, err := f.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err != nil || part.FormName() != name {
		return nil, badRequest(`the part %q is missing or out of order: first comes "operations", then "map", then the files`, name)
	}
	content, err := io.ReadAll(io.LimitReader(part, limit+1))
	if err != nil {
		return nil, readRefusal(err)
	}
	if int64(len(content)) > limit {
		return nil, tooLarge("the part %q is larger than the limit of %d bytes", name, limit)
	}
	return content, nil
}

var errLimit = errors.New("more was read than allowed")

// meter reads at most left bytes from source, and stores the error of source.
type meter struct {
	source io.Reader
	left   int64
	failed error
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errLimit
	}
	n, err := m.source.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		m.failed = err
	}
	return n, err
}
