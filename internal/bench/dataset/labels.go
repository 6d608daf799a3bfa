package dataset

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tagma/internal/domain/labels"
)

// The sizes of the labels of video frames.
const (
	Videos     = 1000              // frames belong to the videos in turn
	Frames     = 2_000_000_000     // of each video
	LabelledAt = 1_705_322_096_000 // milliseconds since 1970
)

// Video returns the URL of a frame's video.
func Video(frame int) string {
	return fmt.Sprintf("https://example.com/rats/%d.mp4", frame%Videos)
}

// Paws returns the labels of a frame.
func Paws(frame int) []labels.Label {
	var all []labels.Label
	for n, id := range []string{"left_front_paw", "right_front_paw", "left_hind_paw", "right_hind_paw", "nose", "tail_base"} {
		x, y := float64((frame+100*n)%1900), 100.25+float64(n)
		all = append(all, labels.Label{ID: id, Name: strings.ToUpper(id[:1]) + strings.ReplaceAll(id[1:], "_", " "), Placed: true, PixelX: &x, PixelY: &y})
	}
	return all
}

// Submission returns the body of a request that submits the labels of a frame.
func Submission(frame int) []byte {
	var input []map[string]any
	for _, one := range Paws(frame) {
		input = append(input, map[string]any{"key": one.ID, "name": one.Name, "placed": one.Placed, "pixelX": one.PixelX, "pixelY": one.PixelY})
	}
	body, err := json.Marshal(map[string]any{
		"query": `mutation Submit($input: LabelSubmissionInput!) { submitLabels(input: $input) { outcome submission { id status filename } } }`,
		"variables": map[string]any{"input": map[string]any{
			"videoUrl": Video(frame), "frameIndex": frame, "totalFrames": Frames, "fps": 30, "frameWidth": 1920, "frameHeight": 1080,
			"timestamp": time.UnixMilli(LabelledAt).UTC(), "labels": input,
		}},
	})
	if err != nil { // never for strings and numbers
		panic(err)
	}
	return body
}
