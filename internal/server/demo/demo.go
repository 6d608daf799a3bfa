// Package demo owns a small generated data set for an empty server, for newcomers and
// tests: three traps, two nights, sixty drawn photographs, and the annotations of two
// versions of a detector.
//
// The package makes no accounts, because an operator makes accounts. It does not own the
// storage of images and annotations: the data pass through the same code as an upload.
package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"tagma/internal/base/page"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/domain/series"
)

// Result holds the numbers of rows that Fill has added.
type Result struct{ Devices, Images, Annotations, Objects int }

// Fill adds the demo's photographs and annotations to a server without images. It returns
// an error if the server has images. The photographs, names and contours are always the
// same.
func Fill(ctx context.Context, photos *images.Service, notes *annotations.Service) (Result, error) {
	return fill(ctx, photos, notes, Shots())
}

func fill(ctx context.Context, photos *images.Service, notes *annotations.Service, shots []Shot) (Result, error) {
	if err := empty(ctx, photos); err != nil {
		return Result{}, err
	}
	results, err := photos.Upload(ctx, paint(shots), images.Refuse)
	if err != nil {
		return Result{}, err
	}

	filled := Result{Devices: len(traps), Images: len(results)}
	var input []annotations.Addition
	for n, result := range results {
		if result.Problem != nil {
			return Result{}, fmt.Errorf("%s: %s", result.Filename, result.Problem.Message)
		}
		for _, addition := range shots[n].annotations() {
			addition.Image, addition.MD5 = images.KeyOf(result.Image), result.Image.Md5
			input = append(input, addition)
			filled.Objects += len(addition.Objects)
		}
	}
	filled.Annotations = len(input)
	_, err = notes.Put(ctx, input, true)
	return filled, err
}

// paint returns the files of the photographs, drawn on all cores.
func paint(shots []Shot) []images.File {
	files := make([]images.File, len(shots))
	var painters sync.WaitGroup
	for n, shot := range shots {
		painters.Go(func() {
			content := shot.JPEG()
			files[n] = images.File{Name: shot.Name.String(), Size: int64(len(content)), Content: bytes.NewReader(content)}
		})
	}
	painters.Wait()
	return files
}

func empty(ctx context.Context, photos *images.Service) error {
	allImages := series.Series{Device: "%", Start: 0, End: math.MaxInt64}
	first := 1
	page, err := photos.Series(ctx, []series.Series{allImages}, series.DeviceTime, page.Request{First: &first})
	if err == nil && len(page.Nodes) > 0 {
		err = errors.New("the demo is for an empty server, and this one has images: give a new folder with --data")
	}
	return err
}
