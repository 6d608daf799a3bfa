package labels

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	ent "tagma/ent/generated"
	"tagma/internal/base/instant"
)

// sample is a file as the annotation receiver wrote them: json.dump with an
// indentation of two, and without escapes.
const sample = `{
  "video_url": "https://example.com/v.mp4?a=1&b=<ä>",
  "frame_index": 42,
  "total_frames": 1000,
  "fps": 29.97,
  "frame_width": 1920,
  "frame_height": 1080,
  "timestamp": "2024-01-15T12:34:56Z",
  "labels": [
    {
      "id": "nose",
      "name": "Schnäuzchen <ÿ> & 鼻",
      "placed": true,
      "pixel_x": 540.5,
      "pixel_y": 320
    },
    {
      "id": "tail_base",
      "name": "Tail base",
      "placed": false,
      "pixel_x": null,
      "pixel_y": null
    }
  ]
}`

func TestFile_IsThatOfTheAnnotationReceiverFieldForField(t *testing.T) {
	at, err := instant.Parse("2024-01-15T12:34:56Z")
	must(t, err)
	s := &Submission{
		VideoURL: "https://example.com/v.mp4?a=1&b=<ä>", FrameIndex: 42, TotalFrames: 1000, FPS: 29.97, FrameWidth: 1920, FrameHeight: 1080, Timestamp: at,
		LabelSet: ptr("paws"), // is not in the file
		Labels:   []Label{{"nose", "Schnäuzchen <ÿ> & 鼻", true, ptr(540.5), ptr(320.0)}, {"tail_base", "Tail base", false, nil, nil}},
	}
	got, err := s.content()
	must(t, err)
	if got != sample+"\n" {
		t.Errorf("got\n%s\nwant\n%s", got, sample)
	}
	again, err := parse([]byte(sample))
	must(t, err)
	text, err := again.content()
	must(t, err)
	same(t, "read and written", text, got)
}

// By the annotation receiver's own program.
func TestFilename_IsThatOfTheAnnotationReceiver(t *testing.T) {
	for _, c := range []struct{ url, at, want string }{
		{"https://example.com/video.mp4", "2024-01-15T12:34:56Z", "da09b2ab4d33_frame42_1705322096000.json"},
		{"https://example.com/video.mp4", "2024-01-15T12:34:56.789+02:00", "da09b2ab4d33_frame42_1705314896789.json"},
		{"https://example.com/ä", "1969-12-31T23:59:58.5Z", "574d65d59c9c_frame42_-1500.json"},
		{"https://example.com/ä", "1970-01-01T00:00:00Z", "574d65d59c9c_frame42_0.json"},
	} {
		at, err := instant.Parse(c.at)
		must(t, err)
		got := (&Submission{VideoURL: c.url, FrameIndex: 42, Timestamp: at}).filename()
		same(t, c.at, got, c.want)
	}
}

func TestFilename_EveryNameIsOfTheFormThatIsReadBackAndSafeAsAPath(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		first, _ := instant.Parse("0001-01-01T00:00:00Z")
		s := &Submission{
			VideoURL: rapid.String().Draw(r, "url"), FrameIndex: rapid.IntRange(0, 1<<31-1).Draw(r, "frame"),
			Timestamp: instant.Instant(rapid.Int64Range(int64(first), int64(latest)).Draw(r, "time")),
		}
		name := s.filename()
		if !filenameForm.MatchString(name) || strings.ContainsAny(name, "/\\ ") {
			r.Errorf("filename: got %q, want the form of a filename without slashes and blanks", name)
		}
		if flat, fanned := Flat.path(name), FanOut.path(name); flat != "annotations/"+name || fanned != "annotations/"+name[:2]+"/"+name {
			r.Errorf("paths of %s: got %q and %q, want one flat and one fanned out", name, flat, fanned)
		}
	})
}

func TestParse_WhatIsWrittenIsReadTheSame(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		number := rapid.Ptr(rapid.Float64Range(-1e300, 1e300), true)
		s := &Submission{
			VideoURL: rapid.StringN(0, 20, -1).Draw(r, "url"), FrameIndex: rapid.Int().Draw(r, "frame"), TotalFrames: rapid.Int().Draw(r, "frames"),
			FPS: rapid.Float64Range(0, 1e9).Draw(r, "fps"), FrameWidth: rapid.Int().Draw(r, "width"), FrameHeight: rapid.Int().Draw(r, "height"),
			Timestamp: instant.Instant(rapid.Int64Range(-6e13, 2e14).Draw(r, "time")),
			Labels: rapid.SliceOfN(rapid.Custom(func(r *rapid.T) Label {
				return Label{rapid.String().Draw(r, "id"), rapid.String().Draw(r, "name"), rapid.Bool().Draw(r, "placed"), number.Draw(r, "x"), number.Draw(r, "y")}
			}), 1, 3).Draw(r, "labels"),
		}
		text, err := s.content()
		if err != nil || !json.Valid([]byte(text)) {
			r.Fatalf("content: got %v, %s, want JSON", err, text)
		}
		got, err := parse([]byte(text))
		if err != nil {
			r.Fatal(err)
		}
		again, err := got.content()
		if err != nil || again != text || got.filename() != s.filename() {
			r.Errorf("%v: %s became %s", err, text, again)
		}
	})
}

func TestMessage_IsTheAnnotationReceiversWithTrailers(t *testing.T) {
	row := &ent.LabelSubmission{ID: 77, Filename: "da09b2ab4d33_frame42_1705322096000.json", FrameIndex: 42, CreatedAt: noon}
	row.Edges.Video = &ent.Video{URL: "https://example.com/video.mp4"}
	row.Edges.LabelSet = &ent.LabelSet{Name: "Pfoten @ home", Version: 3}
	got := message(row)
	same(t, "message", got, `annotation: da09b2ab4d33_frame42_1705322096000.json

video_url: https://example.com/video.mp4
frame_index: 42
submitted_at: 2024-05-01T12:00:00Z

Submission-Id: 77
Label-Set: Pfoten @ home@3
`)
	if id, ok := submissionID(got); id != 77 || !ok {
		t.Errorf("the id is read as %d", id)
	}
	if set, version := labelSetOf(got); set != "Pfoten @ home" || version != 3 {
		t.Errorf("the set is read as %q, version %d", set, version)
	}
	if _, ok := submissionID("annotation: by hand\n\n Submission-Id: 3\nSubmission-Id: x"); ok {
		t.Error("an id is read where none is")
	}
	if set, version := labelSetOf("annotation: by hand"); set != DefaultSet || version != 0 {
		t.Errorf("no set is read as %q, version %d", set, version)
	}
}

func TestParseNamed_TheNameTellsATimeThatTheTextDoesNot(t *testing.T) {
	const name = "da09b2ab4d33_frame42_1705322096000.json" // 2024-01-15T12:34:56Z
	for text, want := range map[string]bool{
		"2024-01-15T13:34:56":       true, // an hour east
		"2024-01-15 13:34:56":       true,
		"2024-01-15 12:34:56+00:00": true,
		"20240115T123456Z":          true,
		"2024-01-16T02:34:56":       true,
		"2024-01-15T12:34:56Z":      true,
		"2024-02-15T13:34:56":       false,
		"2024-01-12T13:34:56":       false,
		"yesterday":                 false,
		"":                          false,
	} {
		content, err := json.Marshal(map[string]any{"timestamp": text})
		must(t, err)
		got, err := parseNamed(name, content)
		if (err == nil) != want {
			t.Errorf("parseNamed with time %q: got %v, want success %t", text, err, want)
		} else if err == nil && got.Timestamp != 1705322096000 {
			t.Errorf("%q is read as %s", text, got.Timestamp)
		}
	}
}
