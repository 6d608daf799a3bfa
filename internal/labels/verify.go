package labels

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelsubmission"
)

// Report compares the database with the repository.
type Report struct {
	Same        int // files that both have, alike
	Waiting     int // files on their way
	Failed      int // submissions that the repository did not take
	Differences []string
}

// kept is what the database says of a file.
type kept struct {
	id      int64
	status  labelsubmission.Status
	content [sha256.Size]byte
}

// Verify compares the database with the tip of the repository, both ways.
func (o *Outbox) Verify(ctx context.Context) (*Report, error) {
	if _, err := o.repo.Refresh(ctx); err != nil {
		return nil, err
	}
	report := &Report{}
	files, err := o.kept(ctx, report)
	if err != nil {
		return nil, err
	}
	differ := func(format string, args ...any) {
		report.Differences = append(report.Differences, fmt.Sprintf(format, args...))
	}
	for f, err := range o.repo.Files(ctx, Folder) {
		if err != nil {
			return nil, err
		}
		name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
		ours, known := files[name]
		delete(files, name)
		switch {
		case !known:
			differ("only in the repository: %s (commit %s)", f.Path, f.SHA)
		case ours.content == sha256.Sum256(f.Content):
			report.Same++
		case ours.status == labelsubmission.StatusPUSHED:
			differ("not the same in both: %s (submission %d, commit %s)", f.Path, ours.id, f.SHA)
		default:
			report.Waiting++
		}
	}
	for name, ours := range files {
		if ours.status == labelsubmission.StatusPUSHED {
			differ("only in the database: %s (submission %d)", name, ours.id)
		} else {
			report.Waiting++
		}
	}
	return report, nil
}

// kept gives the last revision of each file that the repository has or shall
// get.
func (o *Outbox) kept(ctx context.Context, report *Report) (map[string]kept, error) {
	files := map[string]kept{}
	const part = 1000
	for last := int64(0); ; {
		rows, err := o.labels.db.LabelSubmission.Query().Where(labelsubmission.IDGT(last)).
			Order(ent.Asc(labelsubmission.FieldID)).Limit(part).All(ctx)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			last = row.ID
			if row.Status == labelsubmission.StatusFAILED {
				report.Failed++
				continue
			}
			files[row.Filename] = kept{row.ID, row.Status, sha256.Sum256([]byte(row.Content))}
		}
		if len(rows) < part {
			return files, nil
		}
	}
}
