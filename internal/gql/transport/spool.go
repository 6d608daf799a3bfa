package transport

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"

	"golang.org/x/sync/semaphore"

	"tagma/internal/base/fault"
	"tagma/internal/storage/health"
)

// Memory is an amount of memory that all requests of a server share. Uploaded files
// without room in Memory go to temporary files. A nil Memory has no room.
type Memory struct {
	size      int64 // in bytes
	semaphore *semaphore.Weighted
}

// NewMemory returns a Memory of so many bytes.
func NewMemory(bytes int64) *Memory { return &Memory{bytes, semaphore.NewWeighted(bytes)} }

// memoryFile is an uploaded file in memory. Bytes returns the whole content, which is
// valid until the end of the request, and which the caller must not change.
type memoryFile struct {
	*bytes.Reader
	content []byte
}

func (f memoryFile) Bytes() []byte { return f.content }

// spool holds the files of one request, in memory or as temporary files. Each temporary
// file is open, and has no name that other programs could open.
type spool struct {
	dir     string
	memory  []byte // unused part of the reserved memory; nil for temporary files
	release func() // returns the reserved memory, if any
	files   []*os.File
	names   []string // of files that could not be removed while open
}

// reserve reserves memory for a body of length bytes, if memory has room. The length -1
// is unknown.
func (s *spool) reserve(memory *Memory, length int64) {
	if memory == nil || length <= 0 || !memory.semaphore.TryAcquire(length) {
		return
	}
	s.memory, s.release = make([]byte, length), func() { memory.semaphore.Release(length) }
}

// add reads a part, and returns the file at offset 0. A part larger than the limit becomes an
// empty file with the size of the part: the resolver refuses the file, and takes the others.
func (s *spool) add(part *multipart.Part, limit int64) (file io.ReadSeeker, size int64, err error) {
	if s.memory != nil {
		file, size, err = s.readToMemory(part, limit)
	} else {
		file, size, err = s.readToFile(part, limit)
	}
	if err != nil || size <= limit {
		return file, size, err
	}
	rest, err := io.Copy(io.Discard, part)
	if err != nil {
		return nil, 0, readRefusal(err)
	}
	return memoryFile{bytes.NewReader(nil), nil}, size + rest, nil
}

// readToMemory reads a part into the reserved memory, which is as large as the body. It
// reads at most one byte more than the limit.
func (s *spool) readToMemory(part *multipart.Part, limit int64) (file io.ReadSeeker, size int64, err error) {
	n := 0
	for n < len(s.memory) && int64(n) <= limit {
		var read int
		read, err = part.Read(s.memory[n:min(int64(len(s.memory)), limit+1)])
		n += read
		if errors.Is(err, io.EOF) {
			content := s.memory[:n:n]
			s.memory = s.memory[n:]
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

// readToFile writes a part to a new file, and returns the open file at offset 0. It reads at
// most one byte more than the limit.
func (s *spool) readToFile(part *multipart.Part, limit int64) (file *os.File, size int64, err error) {
	file, err = os.CreateTemp(s.dir, "tagma-upload-*")
	if err != nil {
		return nil, 0, storeRefusal(err)
	}
	s.files = append(s.files, file)
	// The name is removed first, so that even a killed server leaves nothing behind.
	// If the system cannot remove an open file, close removes the file.
	if os.Remove(file.Name()) != nil {
		s.names = append(s.names, file.Name())
	}

	size, err = io.Copy(file, io.LimitReader(part, limit+1))
	if _, isFile := errors.AsType[*fs.PathError](err); isFile {
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

// close closes and removes all files, and returns the memory. A resolver may have
// closed some files before.
func (s *spool) close() {
	for _, file := range s.files {
		_ = file.Close()
	}
	for _, name := range s.names {
		_ = os.Remove(name)
	}
	if s.release != nil {
		s.release()
	}
}

// storeRefusal returns the refusal for an error of a temporary file.
func storeRefusal(err error) *refusal {
	r := newRefusal(http.StatusServiceUnavailable, fault.Unavailable, "the upload cannot be stored at present")
	if kind := health.OfFile(err); kind != "" {
		r.message = kind.Fault().Message
	}
	r.cause = err
	return r
}
