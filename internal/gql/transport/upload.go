package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"golang.org/x/sync/semaphore"

	"tagma/internal/base/fault"
	"tagma/internal/storage/health"
)

// readMap reads the part "map", {"0": ["variables.files.0"]}, and gives for
// each file the function that puts it where it belongs among the variables.
// Every place must be there, hold null, and belong to one file only.
func readMap(document []byte, variables map[string]any, maxFiles int) (map[string]func(graphql.Upload), error) {
	var paths map[string][]string
	if err := json.Unmarshal(document, &paths); err != nil || paths == nil {
		return nil, badRequest(`the part "map" must be a JSON object that gives each file a list of one path, such as {"0": ["variables.file"]}`)
	}
	if len(paths) > maxFiles {
		return nil, tooLarge("the map has %d files: the limit is %d", len(paths), maxFiles)
	}
	places := make(map[string]func(graphql.Upload), len(paths))
	taken := make(map[string]bool, len(paths))
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		if len(paths[name]) != 1 {
			return nil, badRequest("the map gives a file %d paths: it must be one", len(paths[name]))
		}
		path := paths[name][0]
		put, err := place(variables, path)
		if err != nil {
			return nil, err
		}
		if taken[path] {
			return nil, badRequest("the map gives two files the same path")
		}
		taken[path] = true
		places[name] = put
	}
	return places, nil
}

// place finds where path leads: "variables", then keys of objects and indices
// of lists, joined by dots. There is one way to write each path.
func place(variables map[string]any, path string) (func(graphql.Upload), error) {
	wrong := badRequest("a path of the map does not lead to a null among the variables: write it as variables.files.0")
	root, rest, deeper := strings.Cut(path, ".")
	if root != "variables" || !deeper {
		return nil, wrong
	}
	var at any = variables
	var put func(graphql.Upload)
	for step := range strings.SplitSeq(rest, ".") {
		switch parent := at.(type) {
		case map[string]any:
			child, ok := parent[step]
			if !ok {
				return nil, wrong
			}
			at, put = child, func(file graphql.Upload) { parent[step] = file }
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(parent) || strconv.Itoa(i) != step {
				return nil, wrong
			}
			at, put = parent[i], func(file graphql.Upload) { parent[i] = file }
		default:
			return nil, wrong
		}
	}
	if at != nil {
		return nil, wrong
	}
	return put, nil
}

// Memory is room that all requests of a server share. Of uploaded files, what
// does not fit in waits in temporary files. Nil is none.
type Memory struct {
	size int64 // in bytes
	free *semaphore.Weighted
}

// NewMemory is room for so many bytes.
func NewMemory(bytes int64) *Memory { return &Memory{bytes, semaphore.NewWeighted(bytes)} }

// memoryFile is an uploaded file in memory. Who needs it whole reads Bytes, which
// are there until the request is over, and must not change them.
type memoryFile struct {
	*bytes.Reader
	content []byte
}

func (f memoryFile) Bytes() []byte { return f.content }

// spool holds the files of one request: in memory, or by one open descriptor
// each, readable by nobody else.
type spool struct {
	dir   string
	room  []byte // of memory, what is free; nil for temporary files
	leave func() // gives the memory back, if there is any
	files []*os.File
	names []string // of those files whose names could not be removed at once
	added int      // how many parts were taken in
}

// reserve makes room in memory for a body of that length, if there is some. -1
// is a length that nobody knows.
func (s *spool) reserve(memory *Memory, length int64) {
	if memory == nil || length <= 0 || !memory.free.TryAcquire(length) {
		return
	}
	s.room, s.leave = make([]byte, length), func() { memory.free.Release(length) }
}

// add takes a part in and gives it from its beginning.
func (s *spool) add(part *multipart.Part, limit int64) (file io.ReadSeeker, size int64, err error) {
	s.added++
	if s.room != nil {
		file, size, err = s.keep(part, limit)
	} else {
		file, size, err = s.write(part, limit)
	}
	if err == nil && size > limit {
		err = tooLarge("file %d of the form is larger than the limit of %d bytes", s.added, limit)
	}
	return file, size, err
}

// keep reads a part into the room, which is as large as the whole body.
func (s *spool) keep(part *multipart.Part, limit int64) (file io.ReadSeeker, size int64, err error) {
	n := 0
	for n < len(s.room) && int64(n) <= limit {
		var read int
		read, err = part.Read(s.room[n:])
		n += read
		if errors.Is(err, io.EOF) {
			content := s.room[:n:n]
			s.room = s.room[n:]
			return memoryFile{bytes.NewReader(content), content}, int64(n), nil
		}
		if err != nil {
			return nil, 0, readRefusal(err)
		}
	}
	if int64(n) <= limit {
		return nil, 0, badRequest("the body is longer than Content-Length says")
	}
	return nil, int64(n), nil
}

// write writes a part to a new file and leaves it open at its beginning.
func (s *spool) write(part *multipart.Part, limit int64) (file *os.File, size int64, err error) {
	file, err = os.CreateTemp(s.dir, "tagma-upload-*")
	if err != nil {
		return nil, 0, storeRefusal(err)
	}
	s.files = append(s.files, file)
	// The name goes first, so that even a killed server leaves nothing behind.
	// Where an open file must keep its name, close removes the file.
	if os.Remove(file.Name()) != nil {
		s.names = append(s.names, file.Name())
	}

	size, err = io.Copy(file, io.LimitReader(part, limit+1))
	if _, ours := errors.AsType[*fs.PathError](err); ours {
		return nil, 0, storeRefusal(err)
	}
	if err != nil {
		return nil, 0, readRefusal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, 0, storeRefusal(err)
	}
	return file, size, nil
}

// close closes and removes all files, and gives the memory back. A resolver may have closed some of them.
func (s *spool) close() {
	for _, file := range s.files {
		_ = file.Close()
	}
	for _, name := range s.names {
		_ = os.Remove(name)
	}
	if s.leave != nil {
		s.leave()
	}
}

// storeRefusal is a fault of the disk.
func storeRefusal(err error) *refusal {
	r := newRefusal(http.StatusServiceUnavailable, fault.Unavailable, "the upload cannot be stored at present")
	if kind := health.OfFile(err); kind != "" {
		r.message = kind.Fault().Message
	}
	r.cause = err
	return r
}
