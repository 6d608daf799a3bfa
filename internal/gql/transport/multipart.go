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

// Multipart takes uploads: multipart/form-data with the parts "operations",
// "map" and then the files, in that order. A resolver gets each file as a
// graphql.Upload whose File is in memory, with a method Bytes, or an open
// temporary file; it may read and seek there until it returns, and need not close
// it. The file is gone when the request is over.
//
// Add it before POST.
type Multipart struct{ Options Options }

var _ graphql.Transport = Multipart{}

// Supports says yes to a POST of a form, even a malformed one.
func (t Multipart) Supports(r *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && mediaType == "multipart/form-data" &&
		(err == nil || errors.Is(err, mime.ErrInvalidMediaParameter))
}

// Do answers r.
func (t Multipart) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	files := spool{dir: t.Options.TempDir}
	defer files.clear()
	leave := func() {}
	defer func() { leave() }()
	t.Options.serve(w, r, exec, func() (*graphql.RawParams, error) { return t.read(w, r, &files, &leave) })
}

// read reads the parameters and the files. It sets leave to what gives back the
// room of the parameters.
func (t Multipart) read(w http.ResponseWriter, r *http.Request, files *spool, leave *func()) (*graphql.RawParams, error) {
	if !onPurpose(r.Header) {
		return nil, refuse(http.StatusForbidden, fault.Forbidden,
			"an upload must carry a bearer token, or a header that no other site can set, such as GraphQL-Require-Preflight: 1")
	}
	limits := t.Options.Limits.orDefaults()
	if r.ContentLength > limits.TotalBytes {
		return nil, bodyTooLarge(limits.TotalBytes)
	}
	form, err := openForm(r.Header, http.MaxBytesReader(w, r.Body, limits.TotalBytes))
	if err != nil {
		return nil, err
	}

	operations, err := form.text("operations", limits.JSONBytes)
	if err != nil {
		return nil, err
	}
	room, err := t.Options.decode(r.Context(), len(operations))
	if err != nil {
		return nil, err
	}
	*leave = room
	params, err := decodeParams(`the part "operations"`, operations)
	if err != nil {
		return nil, err
	}
	fileMap, err := form.text("map", limits.MapBytes)
	if err != nil {
		return nil, err
	}
	places, err := readMap(fileMap, params.Variables, limits.Files)
	if err != nil {
		return nil, err
	}

	files.reserve(t.Options.Memory, r.ContentLength)
	for len(places) > 0 {
		part, err := form.next()
		if errors.Is(err, io.EOF) {
			return nil, bad("%d of the files in the map did not come", len(places))
		}
		if err != nil {
			return nil, err
		}
		put, ok := places[part.FormName()]
		if !ok {
			return nil, stray()
		}
		delete(places, part.FormName())
		file, size, err := files.add(part, limits.FileBytes)
		if err != nil {
			return nil, err
		}
		put(graphql.Upload{
			File:        file,
			Filename:    part.FileName(),
			Size:        size,
			ContentType: part.Header.Get("Content-Type"),
		})
	}
	switch _, err := form.next(); {
	case err == nil:
		return nil, stray()
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return params, nil
}

func stray() *refusal {
	return bad("a part of the form is no file of the map, or has come before: each file comes once")
}

// onPurpose says whether a page of another site could not have sent this form
// without the browser asking first. A browser sends a form across sites without
// asking, and Basic credentials with it, but neither a bearer token nor a
// header outside the CORS safelist (https://fetch.spec.whatwg.org).
func onPurpose(header http.Header) bool {
	scheme, token, _ := strings.Cut(header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && token != "" {
		return true
	}
	return slices.ContainsFunc(
		[]string{"GraphQL-Require-Preflight", "Apollo-Require-Preflight", "X-Apollo-Operation-Name"},
		func(name string) bool { return header.Get(name) != "" })
}

// maxPartHeader bounds the head of a part, of which mime/multipart alone would
// keep 10 MB in memory.
const maxPartHeader = 16 << 10

// maxBoundary is RFC 2046's bound.
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
		return nil, bad("Content-Type must name a boundary of 1 to %d characters", maxBoundary)
	}
	// mime/multipart reads 4 KiB at a time, and each would be a system call.
	m := &meter{source: bufio.NewReaderSize(body, 64<<10), left: math.MaxInt64}
	return &form{reader: multipart.NewReader(m, boundary), meter: m}, nil
}

// next is the next part, or io.EOF itself after the last one.
func (f *form) next() (*multipart.Part, error) {
	f.meter.left = maxPartHeader
	part, err := f.reader.NextPart()
	f.meter.left = math.MaxInt64
	if err == nil || err == io.EOF {
		return part, err
	}
	if errors.Is(err, errMeter) || errors.Is(err, multipart.ErrMessageTooLarge) {
		return nil, tooLarge("the head of a part is larger than the limit of %d bytes", maxPartHeader)
	}
	if f.meter.failed != nil { // of which textproto says no more than that a line is odd
		err = f.meter.failed
	}
	return nil, cutShort(err)
}

// text is the content of the next part, which must have that name.
func (f *form) text(name string, limit int64) ([]byte, error) {
	part, err := f.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err != nil || part.FormName() != name {
		return nil, bad(`the part %q is missing or out of order: first comes "operations", then "map", then the files`, name)
	}
	content, err := io.ReadAll(io.LimitReader(part, limit+1))
	if err != nil {
		return nil, cutShort(err)
	}
	if int64(len(content)) > limit {
		return nil, tooLarge("the part %q is larger than the limit of %d bytes", name, limit)
	}
	return content, nil
}

var errMeter = errors.New("more was read than allowed")

// meter lets no more than left bytes through, and remembers how its source
// failed.
type meter struct {
	source io.Reader
	left   int64
	failed error
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errMeter
	}
	n, err := m.source.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		m.failed = err
	}
	return n, err
}
