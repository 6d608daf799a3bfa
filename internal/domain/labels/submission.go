package labels

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
)

// maxLabels bounds the labels of a submission.
const maxLabels = 500

// Submission is the labels of one frame of a video, as in the request of a labelling
// page.
type Submission struct {
	VideoURL    string
	FrameIndex  int // from 0
	TotalFrames int
	FPS         float64
	FrameWidth  int // pixels
	FrameHeight int // pixels
	Timestamp   instant.Instant
	LabelSet    *string // the name of a set; DefaultSet, if nil
	Labels      []Label

	TimestampText string // Timestamp as the labelling page wrote it, or ""
}

// Label is one point of a frame. A placed label has coordinates, and a label that is
// not placed has none. Coordinates are in pixels from the top left corner of the
// frame, x to the right and y down.
type Label struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Placed bool     `json:"placed"`
	PixelX *float64 `json:"pixel_x"`
	PixelY *float64 `json:"pixel_y"`
}

// validate adds all problems of a submission to problems. The submission must have
// each label of set and no other labels. An empty set stands for an unknown label
// set, which the caller reports. The rules are the annotation receiver's and a few
// more: docs/labels.md lists the stricter rules of Tagma.
func (s *Submission) validate(problems *fault.Problems, set []Definition) {
	at := func(parts ...any) []any { return append([]any{"input"}, parts...) }
	s.validateVideo(problems, at)
	if len(s.Labels) == 0 || len(s.Labels) > maxLabels {
		problems.Add(fault.BadInput, at("labels"), "has %d labels: give one for each label of the set", len(s.Labels))
		return
	}
	seen := map[string]bool{}
	for n, label := range s.Labels {
		path := func(field string) []any { return at("labels", n, field) }
		switch {
		case len(set) > 0 && !slices.ContainsFunc(set, func(d Definition) bool { return d.ID == label.ID }):
			problems.Add(fault.BadInput, path("key"), "%.40q is not a label of the set", label.ID)
		case seen[label.ID]:
			problems.Add(fault.BadInput, path("key"), "%.40q is there twice", label.ID)
		}
		seen[label.ID] = true
		validateText(problems, path("name"), label.Name, maxNameLength)
		s.validateCoordinate(problems, path("pixelX"), label.Placed, label.PixelX, s.FrameWidth)
		s.validateCoordinate(problems, path("pixelY"), label.Placed, label.PixelY, s.FrameHeight)
	}
	var missing []string
	for _, d := range set {
		if !seen[d.ID] {
			missing = append(missing, d.ID)
		}
	}
	if len(missing) > 0 {
		problems.Add(fault.BadInput, at("labels"), "lacks the labels %s: send those that are not placed too", strings.Join(missing, ", "))
	}
}

func (s *Submission) validateVideo(problems *fault.Problems, at func(...any) []any) {
	if problem := validateURL(s.VideoURL); problem != "" {
		problems.Add(fault.BadInput, at("videoUrl"), "%s", problem)
	}
	if s.TotalFrames < 0 {
		problems.Add(fault.BadInput, at("totalFrames"), "%d is less than 0", s.TotalFrames)
	}
	if s.FrameIndex < 0 || s.FrameIndex >= s.TotalFrames {
		problems.Add(fault.BadInput, at("frameIndex"), "%d is not a frame of a video of %d: frames count from 0", s.FrameIndex, s.TotalFrames)
	}
	if !(s.FPS > 0) || math.IsInf(s.FPS, 0) { // not a number is not more than 0 either
		problems.Add(fault.BadInput, at("fps"), "%g is not a number of frames per second: give one above 0", s.FPS)
	}
	if s.FrameWidth < 0 {
		problems.Add(fault.BadInput, at("frameWidth"), "%d is less than 0", s.FrameWidth)
	}
	if s.FrameHeight < 0 {
		problems.Add(fault.BadInput, at("frameHeight"), "%d is less than 0", s.FrameHeight)
	}
	if n := len(s.TimestampText); n > maxTimestampText {
		problems.Add(fault.BadInput, at("timestamp"), "has %d characters: give at most %d", n, maxTimestampText)
	}
}

func (s *Submission) validateCoordinate(problems *fault.Problems, path []any, placed bool, v *float64, side int) {
	switch {
	case placed && v == nil:
		problems.Add(fault.BadInput, path, "is null, but the label is placed: give its place, or placed: false")
	case !placed && v != nil:
		problems.Add(fault.BadInput, path, "is %g, but the label is not placed: give null, or placed: true", *v)
	case v != nil && !(*v >= 0 && *v <= float64(side)):
		problems.Add(fault.BadInput, path, "%g is outside the frame, which goes from 0 to %d", *v, side)
	}
}

func validateText(problems *fault.Problems, path []any, s string, longest int) {
	length := utf8.RuneCountInString(s)
	switch {
	case length == 0 || length > longest:
		problems.Add(fault.BadInput, path, "%.40q has %d characters: give it from 1 to %d", s, length, longest)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		problems.Add(fault.BadInput, path, "%.40q holds control characters", s)
	}
}
