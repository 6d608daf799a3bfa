// Package demo owns a small, made-up data set that an empty server can be
// filled with, so that a newcomer and the tests have something to look at:
// three traps, two nights, sixty drawn photographs, and what two versions of a
// detector saw in them.
//
// It makes no accounts, because people are made by an operator. Nor does it
// know how images and annotations are kept: what it makes comes in by the same
// way and the same rules as anybody's uploads.
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

// Made says what Fill has made.
type Made struct{ Devices, Images, Annotations, Objects int }

// Fill puts the demo's photographs and annotations into a server that has no
// images, and refuses one that has some. The photographs, their names and
// their contours are the same each time.
func Fill(ctx context.Context, photos *images.Service, notes *annotations.Service) (Made, error) {
	return fill(ctx, photos, notes, Shots())
}

func fill(ctx context.Context, photos *images.Service, notes *annotations.Service, shots []Shot) (Made, error) {
	if err := empty(ctx, photos); err != nil {
		return Made{}, err
	}
	results, err := photos.Upload(ctx, develop(shots), images.Refuse)
	if err != nil {
		return Made{}, err
	}

	made := Made{Devices: len(traps), Images: len(results)}
	var input []annotations.Addition
	for n, result := range results {
		if result.Problem != nil {
			return Made{}, fmt.Errorf("%s: %s", result.Filename, result.Problem.Message)
		}
		for _, seen := range shots[n].annotations() {
			seen.Image, seen.MD5 = images.KeyOf(result.Image), result.Image.Md5
			input = append(input, seen)
			made.Objects += len(seen.Objects)
		}
	}
	made.Annotations = len(input)
	_, err = notes.Put(ctx, input, true)
	return made, err
}

// develop paints the photographs, on all cores.
func develop(shots []Shot) []images.File {
	files := make([]images.File, len(shots))
	var all sync.WaitGroup
	for n, shot := range shots {
		all.Go(func() {
			content := shot.JPEG()
			files[n] = images.File{Name: shot.Name.String(), Size: int64(len(content)), Content: bytes.NewReader(content)}
		})
	}
	all.Wait()
	return files
}

func empty(ctx context.Context, photos *images.Service) error {
	everything := series.Series{Device: "%", Start: 0, End: math.MaxInt64}
	one := 1
	found, err := photos.Series(ctx, []series.Series{everything}, series.DeviceTime, page.Request{First: &one})
	if err == nil && len(found.Nodes) > 0 {
		err = errors.New("the demo is for an empty server, and this one has images: give a new folder with --data")
	}
	return err
}
