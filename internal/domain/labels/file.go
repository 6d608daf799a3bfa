package labels

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	ent "tagma/ent/generated"
	"tagma/internal/base/instant"
)

// file is a submission's file in the label repository: JSON with the fields of
// the annotation receiver, in this order, in UTF-8, indented by two spaces.
type file struct {
	VideoURL    string          `json:"video_url"`
	FrameIndex  integer         `json:"frame_index"`
	TotalFrames integer         `json:"total_frames"`
	FPS         float64         `json:"fps"`
	FrameWidth  integer         `json:"frame_width"`
	FrameHeight integer         `json:"frame_height"`
	Timestamp   instant.Instant `json:"timestamp"`
	Labels      []Label         `json:"labels"`
}

// integer is a whole number. Tagma writes 9, but other programs, such as pandas and
// R, write 9.0 or 9e0.
type integer int

// UnmarshalJSON implements json.Unmarshaler. A null changes nothing.
func (i *integer) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	if n, err := strconv.Atoi(string(text)); err == nil {
		*i = integer(n)
		return nil
	}
	const exact = 1 << 53 // float64 holds every whole number up to here
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || v != math.Trunc(v) || math.Abs(v) > exact {
		return &json.UnmarshalTypeError{Value: string(text), Type: reflect.TypeFor[int]()}
	}
	*i = integer(v)
	return nil
}

// submission returns the submission in a file, with the time at.
func (f *file) submission(at instant.Instant) *Submission {
	return &Submission{
		VideoURL: f.VideoURL, FrameIndex: int(f.FrameIndex), TotalFrames: int(f.TotalFrames), FPS: f.FPS,
		FrameWidth: int(f.FrameWidth), FrameHeight: int(f.FrameHeight), Timestamp: at, Labels: f.Labels,
	}
}

// unmarshal decodes a file of the label repository, with or without a byte order
// mark. The returned error names the field.
func unmarshal(content []byte, v any) error {
	err := json.Unmarshal(bytes.TrimPrefix(content, []byte("\ufeff")), v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s is %s, which is not %s", cmp.Or(wrong.Field, "the file"), wrong.Value, jsonKind(wrong.Type))
	}
	return err
}

// jsonKind returns the JSON type for a Go type, with an article.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int:
		return "a whole number"
	case reflect.Float64, reflect.Pointer:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a string"
	}
	return "an object"
}

// content returns the text of a submission's file.
func (s *Submission) content() (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // people read the file
	e.SetIndent("", "  ")
	err := e.Encode(file{s.VideoURL, integer(s.FrameIndex), integer(s.TotalFrames), s.FPS, integer(s.FrameWidth), integer(s.FrameHeight), s.Timestamp, s.Labels})
	return b.String(), err
}

// parse returns the submission in a file by Tagma.
func parse(content []byte) (*Submission, error) {
	var f file
	if err := unmarshal(content, &f); err != nil {
		return nil, err
	}
	return f.submission(f.Timestamp), nil
}

// canonical returns a file as Tagma writes the same submission, so files with the
// same meaning are equal. If the file cannot be parsed, canonical returns the file
// unchanged.
func canonical(content string) string {
	s, err := parse([]byte(content))
	if err != nil {
		return content
	}
	again, err := s.content()
	if err != nil {
		return content
	}
	return again
}

// parseNamed returns the submission in a file of any program, such as the annotation
// receiver. The receiver accepted other forms of ISO 8601, and times without a zone,
// which the receiver read in its own zone. For such a timestamp, parseNamed returns
// the time in the file's name.
func parseNamed(name string, content []byte) (*Submission, error) {
	var f struct {
		file
		Timestamp string `json:"timestamp"`
	}
	if err := unmarshal(content, &f); err != nil {
		return nil, err
	}
	at, err := instant.Parse(f.Timestamp)
	if err != nil {
		at, err = instantInFilename(name, f.Timestamp, err)
	}
	return f.submission(at), err
}

// instantInFilename returns the time in a file's name. The time must be on the day in
// text or at most a day away, because no zone is further from UTC. Otherwise
// instantInFilename returns parseErr.
func instantInFilename(name, text string, parseErr error) (instant.Instant, error) {
	_, digits, _ := strings.Cut(strings.TrimSuffix(name, ".json"), "_frame")
	_, digits, _ = strings.Cut(digits, "_")
	milliseconds, err := strconv.ParseInt(digits, 10, 64)
	day, noDay := time.Parse("2006-01-02", text[:min(len(text), len("2006-01-02"))])
	if noDay != nil {
		day, noDay = time.Parse("20060102", text[:min(len(text), len("20060102"))])
	}
	at := instant.Instant(milliseconds)
	if off := at.Sub(instant.Of(day)); err != nil || noDay != nil || off < -24*time.Hour || off > 48*time.Hour {
		return 0, parseErr
	}
	return at, nil
}

// videoHash returns the SHA-256 of a video's URL in hex. A file's name begins with
// the first digits of the hash.
func videoHash(videoURL string) string {
	sum := sha256.Sum256([]byte(videoURL))
	return hex.EncodeToString(sum[:])
}

// filename returns the name of a submission's file, in the annotation receiver's
// form: the first 12 digits of the video's hash, the frame, and the time in
// milliseconds since 1970.
func (s *Submission) filename() string {
	return fmt.Sprintf("%s_frame%d_%d.json", videoHash(s.VideoURL)[:12], s.FrameIndex, int64(s.Timestamp))
}

var filenameForm = regexp.MustCompile(`^[0-9a-f]{12}_frame\d{1,10}_-?\d{1,15}\.json$`)

// Layout is the arrangement of the files in folders.
type Layout string

// The layouts.
const (
	// FanOut puts a file into a folder by the first two digits of the file's name. A
	// commit then rewrites a short list of files, and not the list of all files.
	FanOut Layout = "fanout"
	// Flat puts all files into one folder, as the annotation receiver did.
	Flat Layout = "flat"
)

// Folder is the folder of the files in the repository.
const Folder = "annotations/"

// path returns the path of a file in the repository.
func (l Layout) path(filename string) string {
	if l == Flat {
		return Folder + filename
	}
	return Folder + filename[:2] + "/" + filename
}

// Trailers of a commit, which tell a submission from a commit of others.
const (
	trailerID  = "Submission-Id"
	trailerSet = "Label-Set"
)

// message returns the message of a submission's commit: the annotation receiver's
// message and the trailers. The edges of row must hold the video and the label set.
func message(row *ent.LabelSubmission) string {
	video, set := row.Edges.Video, row.Edges.LabelSet
	return fmt.Sprintf("annotation: %s\n\nvideo_url: %s\nframe_index: %d\nsubmitted_at: %s\n\n%s: %d\n%s: %s@%d\n",
		row.Filename, video.URL, row.FrameIndex, row.CreatedAt, trailerID, row.ID, trailerSet, set.Name, set.Version)
}

var (
	idLine  = regexp.MustCompile(`(?m)^` + trailerID + `: (\d+)$`)
	setLine = regexp.MustCompile(`(?m)^` + trailerSet + `: (.+)@(\d+)$`)
)

// submissionID returns the submission's id in a commit's message, and whether the
// message has an id.
func submissionID(message string) (int64, bool) {
	match := idLine.FindStringSubmatch(message)
	if match == nil {
		return 0, false
	}
	id, err := strconv.ParseInt(match[1], 10, 64)
	return id, err == nil
}

// labelSetOf returns the name and the version of the label set in a commit's message.
// For a message without a label set, labelSetOf returns the default set and version
// 0.
func labelSetOf(message string) (name string, version int) {
	match := setLine.FindStringSubmatch(message)
	if match == nil {
		return DefaultSet, 0
	}
	version, _ = strconv.Atoi(match[2])
	return match[1], version
}
