package labels

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	ent "tagma/ent/generated"
)

// maxTimestampText is the largest length of TimestampText, in bytes.
const maxTimestampText = 64

// withTimestampText returns a submission's file with the text of the time from the
// labelling page, in a line after the time in UTC. If both texts are the same, the
// file has no such line. The canonical form never has the line: the same labels with
// the same moment in another zone are the same submission.
func (s *Submission) withTimestampText(content string) string {
	if s.TimestampText == "" || s.TimestampText == s.Timestamp.String() {
		return content
	}
	text, err := json.Marshal(s.TimestampText)
	if err != nil { // no string fails
		return content
	}
	line := "\n  \"timestamp\": \"" + s.Timestamp.String() + "\",\n"
	return strings.Replace(content, line, line+"  \"timestamp_text\": "+string(text)+",\n", 1)
}

// TimestampText returns the time of a submission as the labelling page wrote the
// time, with zone and digits.
func TimestampText(row *ent.LabelSubmission) (string, error) {
	var f struct {
		Timestamp     string `json:"timestamp"`
		TimestampText string `json:"timestamp_text"`
	}
	err := json.Unmarshal(bytes.TrimPrefix([]byte(row.Content), []byte("\ufeff")), &f)
	return cmp.Or(f.TimestampText, f.Timestamp), err
}
