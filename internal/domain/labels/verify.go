package labels

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/instant"
)

// Report is the result of comparing the database with the repository.
type Report struct {
	Same        int // files with the same content in both
	Waiting     int // files with a last revision that is not pushed yet
	Failed      int // submissions that the repository refused
	Differences []string
}

// recordedFile is a file in the database.
type recordedFile struct {
	last         revision // the last recorded revision
	pushed       revision // the last revision to reach the repository; differs from last if somebody else pushed at the same time
	inRepository bool
}

// revision is one submission of a file.
type revision struct {
	id      int64
	status  labelsubmission.Status
	at      instant.Instant   // when the revision reached the repository
	content [sha256.Size]byte // the hash of the file as Tagma writes it
}

// Verify returns the differences between the database and the tip of the repository,
// in both directions.
func (o *Outbox) Verify(ctx context.Context) (*Report, error) {
	if _, err := o.repo.Refresh(ctx); err != nil {
		return nil, err
	}
	report := &Report{}
	files, err := o.recordedFiles(ctx, report)
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
		if !filenameForm.MatchString(name) {
			continue // somebody's notes
		}
		ours := files[name]
		content := sha256.Sum256([]byte(canonical(string(f.Content))))
		switch {
		case ours == nil:
			differ("only in the repository: %s (commit %s)", f.Path, f.SHA)
			continue
		case ours.inRepository:
			differ("twice in the repository: %s (commit %s)", f.Path, f.SHA)
		case content == ours.last.content, content == ours.pushed.content:
			report.Same++
		case ours.pushed.id != 0:
			differ("not the same in both: %s (submission %d, commit %s)", f.Path, ours.pushed.id, f.SHA)
		}
		ours.inRepository = true
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		ours := files[name]
		if ours.last.status != labelsubmission.StatusPUSHED {
			report.Waiting++
		}
		if ours.pushed.id != 0 && !ours.inRepository {
			differ("only in the database: %s (submission %d)", name, ours.pushed.id)
		}
	}
	return report, nil
}

// recordedFiles returns the files of pushed and waiting submissions, by name.
// recordedFiles counts failed submissions in the report.
func (o *Outbox) recordedFiles(ctx context.Context, report *Report) (map[string]*recordedFile, error) {
	files := map[string]*recordedFile{}
	const pageSize = 1000
	for last := int64(0); ; {
		rows, err := o.labels.db.LabelSubmission.Query().Where(labelsubmission.IDGT(last)).
			Order(ent.Asc(labelsubmission.FieldID)).Limit(pageSize).All(ctx)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			last = row.ID
			if row.Status == labelsubmission.StatusFAILED {
				report.Failed++
				continue
			}
			file := files[row.Filename]
			if file == nil {
				file = &recordedFile{}
				files[row.Filename] = file
			}
			file.last = revision{id: row.ID, status: row.Status, content: sha256.Sum256([]byte(canonical(row.Content)))}
			if row.PushedAt != nil {
				file.last.at = *row.PushedAt
			}
			if row.Status == labelsubmission.StatusPUSHED && file.last.at >= file.pushed.at {
				file.pushed = file.last
			}
		}
		if len(rows) < pageSize {
			return files, nil
		}
	}
}
