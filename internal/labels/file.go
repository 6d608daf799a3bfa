package labels

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"

	"tagma/internal/instant"
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

// parse reads a file of the label repository, whoever wrote it.
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

// message is the annotation receiver's message of a commit, and the trailers.
func message(filename string, s *Submission, at instant.Instant, id int64, set string, version int) string {
	return fmt.Sprintf("annotation: %s\n\nvideo_url: %s\nframe_index: %d\nsubmitted_at: %s\n\n%s: %d\n%s: %s@%d\n",
		filename, s.VideoURL, s.FrameIndex, at, trailerID, id, trailerSet, set, version)
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

// labelSet is the name of the set in a commit's message, or the default.
func labelSetOf(message string) string {
	if match := setLine.FindStringSubmatch(message); match != nil {
		return match[1]
	}
	return DefaultSet
}
