package main

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // as the server does
	"crypto/sha256"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/image/draw"

	"tagma/internal/bench/dataset"
	"tagma/internal/photo"
)

// uploads makes uploads with unused names.
type uploads struct {
	photo []byte
	used  atomic.Int64
}

func (u *uploads) describe() string {
	return fmt.Sprintf("photographs of %d×%d, %.1f MB, fsync on", dataset.Width, dataset.Height, float64(len(u.photo))/1e6)
}

// name returns an unused name of a photograph.
func (u *uploads) name() string {
	n := u.used.Add(1)
	return photo.Name{Device: fmt.Sprintf("%08x", n>>20), TakenAt: dataset.Options{}.TakenAt(0, 0).Add(time.Duration(n) * time.Second)}.String()
}

// body returns an upload of one photograph: the same file under a new name, which costs the
// server as much as another file.
func (u *uploads) body() (contentType string, body []byte) {
	name := u.name()
	var b bytes.Buffer
	b.Grow(len(u.photo) + 1<<10)
	form := multipart.NewWriter(&b)
	_ = form.WriteField("operations", `{"query": "mutation($f: Upload!) { uploadImages(files: [$f]) { results { verdict } } }", "variables": {"f": null}}`)
	_ = form.WriteField("map", `{"0": ["variables.f"]}`)
	file, _ := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="0"; filename="` + name + `"`}, "Content-Type": {"image/jpeg"},
	})
	_, _ = file.Write(u.photo) // a write to a buffer cannot fail
	_ = form.Close()
	return form.FormDataContentType(), b.Bytes()
}

// minUploadTime is the least time of a cell, because one upload takes long.
const minUploadTime = 2 * time.Second

// upload returns a runner that uploads photographs.
func (c *target) upload(u *uploads) runner {
	return func(ctx context.Context, clients int, cell time.Duration) (sample, error) {
		return c.measure(clients, max(2*cell, minUploadTime), func() error {
			contentType, body := u.body()
			var answer bytes.Buffer
			if err := c.post(ctx, "/graphql", contentType, body, &answer); err != nil {
				return err
			}
			if !bytes.Contains(answer.Bytes(), []byte(`"CREATED"`)) {
				return fmt.Errorf("%s did not take a photograph: %s", c.name, answer.Bytes())
			}
			return nil
		})
	}
}

// standardSteps processes a photograph with the steps of an upload, on one core, with
// functions of the standard library and x/image: fingerprints, a full decoding, the two
// thumbnails, and three files flushed to the disk. There is no HTTP and no database.
func standardSteps(photo []byte, folder string) error {
	_, _ = md5.Sum(photo), sha256.Sum256(photo) //nolint:gosec // as the server does
	whole, err := jpeg.Decode(bytes.NewReader(photo))
	if err != nil {
		return err
	}
	files := [][]byte{photo}
	for _, size := range []image.Rectangle{image.Rect(0, 0, 512, 384), image.Rect(0, 0, 128, 96)} {
		small := image.NewRGBA(size)
		draw.CatmullRom.Scale(small, size, whole, whole.Bounds(), draw.Src, nil)
		var b bytes.Buffer
		if err := jpeg.Encode(&b, small, &jpeg.Options{Quality: 85}); err != nil {
			return err
		}
		files = append(files, b.Bytes())
	}
	for n, content := range files {
		if err := writeDurably(filepath.Join(folder, fmt.Sprint(n)), content); err != nil {
			return err
		}
	}
	return nil
}

func writeDurably(path string, content []byte) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(file, bytes.NewReader(content)); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return os.Remove(path)
}

const uploadTitle = "upload of photographs"

// writes compares uploads to an empty server with the steps of the standard library.
func (s *settings) writes(ctx context.Context, name, binary string, server url.URL) error {
	return s.withEmptyTarget(ctx, name, binary, server, nil, func(e emptyTarget) error {
		sent := &uploads{photo: dataset.Photograph()}
		rows, err := s.rounds(ctx, name, uploadTitle, []runner{e.tagma.upload(sent), standard(sent.photo, e.folder)})
		if err == nil {
			fmt.Printf("\n### Uploads on %s: %s\n\n%s", name, sent.describe(), table([]string{"Tagma", "standard library, one core"}, rows))
		}
		return err
	})
}

// standard returns a runner of standardSteps, in this process.
func standard(photo []byte, folder string) runner {
	return func(_ context.Context, _ int, cell time.Duration) (sample, error) {
		return measure([]int{os.Getpid()}, 1, max(2*cell, minUploadTime), func() error { return standardSteps(photo, folder) })
	}
}
