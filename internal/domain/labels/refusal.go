package labels

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	ent "tagma/ent/generated"
)

// refusal is an answer of the repository that rejects the only submission of a batch.
type refusal struct {
	filename string
	words    string // the answer without commit ids and the name of the file
}

// repeatedRefusal is the error of a waiting Outbox. Submissions for two files were
// refused in the same words, and no submission was taken in between. So a rule of the
// host forbids all submissions, not only one. The Outbox tries one submission each
// minute, until the host takes a submission.
type repeatedRefusal struct{ first error }

func (r *repeatedRefusal) Error() string {
	return fmt.Sprintf("%v (more than one file was refused in these words, so one submission is tried each minute until one is taken)", r.first)
}

func (r *repeatedRefusal) Unwrap() error { return r.first }

// hashes matches the ids of commits in the words of a host. Each refusal is about
// another commit, so two refusals are compared without ids.
var hashes = regexp.MustCompile(`\b[0-9a-f]{7,64}\b`)

// refuse records that the repository rejected the only submission of a batch. The
// submission has failed. refuse returns an error if the Outbox must wait.
func (o *Outbox) refuse(ctx context.Context, row *ent.LabelSubmission, reason error) error {
	if err := o.fail(ctx, row, reason); err != nil {
		return err
	}
	words := strings.ReplaceAll(reason.Error(), row.Filename, "")
	last, now := o.refused, &refusal{row.Filename, hashes.ReplaceAllString(words, "")}
	o.refused = now
	if o.repeated == nil && last != nil && last.words == now.words && last.filename != now.filename {
		o.repeated = &repeatedRefusal{reason}
	}
	if o.repeated != nil {
		return o.repeated
	}
	return nil
}

// accept ends the wait after repeated refusals, because the repository took a
// submission.
func (o *Outbox) accept() { o.refused, o.repeated = nil, nil }

// batchSize returns the largest number of submissions in the next batch: 1 after
// repeated refusals.
func (o *Outbox) batchSize() int {
	if o.repeated != nil {
		return 1
	}
	return o.size
}

// withinBytes returns the first rows with at most maxBytes of files together, and at
// least one row.
func (o *Outbox) withinBytes(rows []*ent.LabelSubmission) []*ent.LabelSubmission {
	if o.maxBytes == 0 {
		return rows
	}
	sum := 0
	for n, row := range rows {
		if sum += len(row.Content); sum > o.maxBytes {
			return rows[:max(n, 1)]
		}
	}
	return rows
}

// bytesOf returns the total length of the files of submissions.
func bytesOf(rows []*ent.LabelSubmission) (sum int) {
	for _, row := range rows {
		sum += len(row.Content)
	}
	return sum
}
