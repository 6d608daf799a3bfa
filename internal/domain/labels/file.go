package labels

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	FrameIndex  int             `json:"frame_index"`
	TotalFrames int             `json:"total_frames"`
	FPS         float64         `json:"fps"`
	FrameWidth  int             `json:"frame_width"`
	FrameHeight int             `json:"frame_height"`
	Timestamp   instant.Instant `json:"timestamp"`
	Labels      []Label         `json:"labels"`
}

// content is the file of a submission.
func (s *Submission) content() (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it is read by people
	e.SetIndent("", "  ")
	err := e.Encode(file{s.VideoURL, s.FrameIndex, s.TotalFrames, s.FPS, s.FrameWidth, s.FrameHeight, s.Timestamp, s.Labels})
	return b.String(), err
}

// parse reads a file of the label repository.
func parse(content []byte) (*Submission, error) {
	var f file
	if err := json.Unmarshal(content, &f); err != nil {
		return nil, err
	}
	return &Submission{
		VideoURL: f.VideoURL, FrameIndex: f.FrameIndex, TotalFrames: f.TotalFrames, FPS: f.FPS,
		FrameWidth: f.FrameWidth, FrameHeight: f.FrameHeight, Timestamp: f.Timestamp, Labels: f.Labels,
	}, nil
}

// canonical is a file as Tagma writes it, whoever wrote it, so that two that say
// the same are equal. One that cannot be read is as it is.
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

// parseNamed reads a file of that name, whoever wrote it. The annotation
// receiver also took times without a zone, which it read in its own, and other
// forms of ISO 8601: then the name tells the moment.
func parseNamed(name string, content []byte) (*Submission, error) {
	var f struct {
		file
		Timestamp string `json:"timestamp"`
	}
	if err := json.Unmarshal(content, &f); err != nil {
		return nil, err
	}
	at, err := instant.Parse(f.Timestamp)
	if err != nil {
		at, err = timeOfName(name, f.Timestamp, err)
	}
	return &Submission{
		VideoURL: f.VideoURL, FrameIndex: f.FrameIndex, TotalFrames: f.TotalFrames, FPS: f.FPS,
		FrameWidth: f.FrameWidth, FrameHeight: f.FrameHeight, Timestamp: at, Labels: f.Labels,
	}, err
}

// timeOfName is the moment in a file's name, if the text is of that day: no
// zone is further away than a day.
func timeOfName(name, text string, why error) (instant.Instant, error) {
	_, digits, _ := strings.Cut(strings.TrimSuffix(name, ".json"), "_frame")
	_, digits, _ = strings.Cut(digits, "_")
	milliseconds, err := strconv.ParseInt(digits, 10, 64)
	day, noDay := time.Parse("2006-01-02", text[:min(len(text), len("2006-01-02"))])
	if noDay != nil {
		day, noDay = time.Parse("20060102", text[:min(len(text), len("20060102"))])
	}
	at := instant.Instant(milliseconds)
	if off := at.Sub(instant.Of(day)); err != nil || noDay != nil || off < -24*time.Hour || off > 48*time.Hour {
		return 0, why
	}
	return at, nil
}

// videoHash names a video in file names: SHA-256 of its URL, hex.
func videoHash(videoURL string) string {
	sum := sha256.Sum256([]byte(videoURL))
	return hex.EncodeToString(sum[:])
}

// filename is the annotation receiver's: the first 12 digits of the video's
// hash, the frame, and the time in milliseconds since 1970.
func (s *Submission) filename() string {
	return fmt.Sprintf("%s_frame%d_%d.json", videoHash(s.VideoURL)[:12], s.FrameIndex, int64(s.Timestamp))
}

var filenameForm = regexp.MustCompile(`^[0-9a-f]{12}_frame\d{1,10}_-?\d{1,15}\.json$`)

// Layout is how files lie in the repository's folder.
type Layout string

// The layouts.
const (
	// FanOut puts a file into a folder by the first two digits of its name, so
	// that a commit rewrites a short list of files and not one of all.
	FanOut Layout = "fanout"
	// Flat puts all files into one folder, as the annotation receiver did.
	Flat Layout = "flat"
)

// Folder is where the files are in the repository.
const Folder = "annotations/"

// path is where a file is in the repository.
func (l Layout) path(filename string) string {
	if l == Flat {
		return Folder + filename
	}
	return Folder + filename[:2] + "/" + filename
}

// Trailers of a commit, by which a submission is told from what others pushed.
const (
	trailerID  = "Submission-Id"
	trailerSet = "Label-Set"
)

// message is the annotation receiver's message of a commit, and the trailers,
// for a submission with its video and label set.
func message(row *ent.LabelSubmission) string {
	video, set := row.Edges.Video, row.Edges.LabelSet
	return fmt.Sprintf("annotation: %s\n\nvideo_url: %s\nframe_index: %d\nsubmitted_at: %s\n\n%s: %d\n%s: %s@%d\n",
		row.Filename, video.URL, row.FrameIndex, row.CreatedAt, trailerID, row.ID, trailerSet, set.Name, set.Version)
}

var (
	idLine  = regexp.MustCompile(`(?m)^` + trailerID + `: (\d+)$`)
	setLine = regexp.MustCompile(`(?m)^` + trailerSet + `: (.+)@(\d+)$`)
)

// submissionID is the id in a commit's message.
func submissionID(message string) (int64, bool) {
	match := idLine.FindStringSubmatch(message)
	if match == nil {
		return 0, false
	}
	id, err := strconv.ParseInt(match[1], 10, 64)
	return id, err == nil
}

// labelSetOf is the label set that a commit's message names, or the default
// in no version.
func labelSetOf(message string) (name string, version int) {
	match := setLine.FindStringSubmatch(message)
	if match == nil {
		return DefaultSet, 0
	}
	version, _ = strconv.Atoi(match[2])
	return match[1], version
}
