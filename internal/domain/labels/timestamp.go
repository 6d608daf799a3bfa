package labels

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	ent "tagma/ent/generated"
)

// maxTimestampText bounds the time as the labelling page wrote it, in bytes.
const maxTimestampText = 64

// withTimestampText returns the file of a submission with the time as the labelling
// page wrote it, after the time in UTC. A file whose time has the same text has no
// such line. The line is no part of the canonical form: the same labels with the same
// moment in another zone are the same submission.
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

// TimestampText returns the time of a submission as the labelling page wrote it, with
// its zone and digits.
func TimestampText(row *ent.LabelSubmission) (string, error) {
	var f struct {
		Timestamp     string `json:"timestamp"`
		TimestampText string `json:"timestamp_text"`
	}
	err := json.Unmarshal(bytes.TrimPrefix([]byte(row.Content), []byte("\ufeff")), &f)
	return cmp.Or(f.TimestampText, f.Timestamp), err
}
