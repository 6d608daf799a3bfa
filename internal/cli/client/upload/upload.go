// Package upload owns the files of an operation, and their form by the GraphQL
// multipart request specification
// (https://github.com/jaydenseric/graphql-multipart-request-spec). The form reads the
// bytes of a file during sending, and never holds a whole file.
//
// Package upload does not own the request (package client).
package upload

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"strconv"
	"strings"

	"tagma/internal/base/fault"
)

// File is a value of the scalar Upload.
type File struct {
	Name string // without a folder
	Size int64  // in bytes

	// Open returns the content from offset 0. Each attempt to send the file calls
	// Open again. The caller closes the content.
	Open func() (io.ReadCloser, error)
}

// MarshalJSON returns null: the file has a separate part of the form.
func (File) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// Form is the body of a request with files.
type Form struct {
	ContentType string
	Length      int64 // in bytes
	parts       []func() io.ReadCloser
}

// NewForm returns the form of an operation with files as the value of variable, a list.
func NewForm(operation []byte, variable string, files []File) (*Form, error) {
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	if err := w.SetBoundary(rand.Text()); err != nil {
		return nil, err
	}
	f := &Form{ContentType: w.FormDataContentType()}
	cut := func() { // the text since the last cut is the next part of the body
		text := head.String()
		head.Reset()
		f.Length += int64(len(text))
		f.parts = append(f.parts, func() io.ReadCloser { return io.NopCloser(strings.NewReader(text)) })
	}
	paths := map[string][]string{}
	for n := range files {
		paths[strconv.Itoa(n)] = []string{fmt.Sprintf("variables.%s.%d", variable, n)}
	}
	fileMap, err := json.Marshal(paths)
	if err == nil {
		err = errors.Join(w.WriteField("operations", string(operation)), w.WriteField("map", string(fileMap)))
	}
	for n, file := range files {
		_, headErr := w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {multipart.FileContentDisposition(strconv.Itoa(n), file.Name)},
			"Content-Type":        {"application/octet-stream"},
		})
		err = errors.Join(err, headErr)
		cut()
		f.Length += file.Size
		f.parts = append(f.parts, func() io.ReadCloser { return file.Body() })
	}
	err = errors.Join(err, w.Close())
	cut()
	return f, err
}

// Body returns the form from offset 0. Body opens each file when the reader reaches the
// file.
func (f *Form) Body() io.ReadCloser { return &body{rest: f.parts} }

// body reads parts one after the other.
type body struct {
	current io.ReadCloser
	rest    []func() io.ReadCloser
}

func (b *body) Read(p []byte) (int, error) {
	for {
		if b.current == nil {
			if len(b.rest) == 0 {
				return 0, io.EOF
			}
			b.current, b.rest = b.rest[0](), b.rest[1:]
		}
		n, err := b.current.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		err = b.Close()
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close closes the current part.
func (b *body) Close() error {
	if b.current == nil {
		return nil
	}
	current := b.current
	b.current = nil
	return current.Close()
}

// Body returns the content of the file alone. The first Read opens the file.
func (f File) Body() io.ReadCloser { return &content{file: f} }

// content reads a file, and returns an error if the file has another size than Size.
type content struct {
	file   File
	source io.ReadCloser
	read   int64
}

func (c *content) Read(p []byte) (int, error) {
	if c.source == nil {
		source, err := c.file.Open()
		if err != nil {
			return 0, fault.Wrap(err, fault.BadInput, "%s cannot be read", c.file.Name)
		}
		c.source = source
	}
	n, err := c.source.Read(p)
	c.read += int64(n)
	switch {
	case c.read > c.file.Size, err == io.EOF && c.read < c.file.Size:
		return 0, fault.New(fault.BadInput, "%s was changed while it was sent: push it again", c.file.Name)
	case err != nil && err != io.EOF:
		return n, fault.Wrap(err, fault.BadInput, "%s cannot be read", c.file.Name)
	}
	return n, err
}

func (c *content) Close() error {
	if c.source == nil {
		return nil
	}
	return c.source.Close()
}
