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

// Memory is room that all requests of a server share. Of uploaded files, what
// does not fit in waits in temporary files. Nil is none.
type Memory struct {
	size      int64 // in bytes
	semaphore *semaphore.Weighted
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
	dir     string
	memory  []byte // of memory, what is free; nil for temporary files
	release func() // gives the memory back, if there is any
	files   []*os.File
	names   []string // of those files whose names could not be removed at once
	added   int      // how many parts were used in
}

// reserve makes room in memory for a body of that length, if there is some. -1
// is a length that nobody knows.
func (s *spool) reserve(memory *Memory, length int64) {
	if memory == nil || length <= 0 || !memory.semaphore.TryAcquire(length) {
		return
	}
	s.memory, s.release = make([]byte, length), func() { memory.semaphore.Release(length) }
}

// add takes a part in and gives it from its beginning.
func (s *spool) add(part *multipart.Part, limit int64) (file io.ReadSeeker, size int64, err error) {
	s.added++
	if s.memory != nil {
		file, size, err = s.readToMemory(part, limit)
	} else {
		file, size, err = s.readToFile(part, limit)
	}
	if err == nil && size > limit {
		err = tooLarge("file %d of the form is larger than the limit of %d bytes", s.added, limit)
	}
	return file, size, err
}

// readToMemory reads a part into the room, which is as large as the whole body.
func (s *spool) readToMemory(part *multipart.Part, limit int64) (file io.ReadSeeker, size int64, err error) {
	n := 0
	for n < len(s.memory) && int64(n) <= limit {
		var read int
		read, err = part.Read(s.memory[n:])
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

// readToFile writes a part to a new file and leaves it open at its beginning.
func (s *spool) readToFile(part *multipart.Part, limit int64) (file *os.File, size int64, err error) {
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

// close closes and removes all files, and gives the memory back. A resolver may have closed some of them.
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

// storeRefusal is a fault of the disk.
func storeRefusal(err error) *refusal {
	r := newRefusal(http.StatusServiceUnavailable, fault.Unavailable, "the upload cannot be stored at present")
	if kind := health.OfFile(err); kind != "" {
		r.message = kind.Fault().Message
	}
	r.cause = err
	return r
}
