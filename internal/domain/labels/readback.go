package labels

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/ent/generated/labelset"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo"
)

// readSize is the number of files in one call of ingest.
const readSize = 500

// readUpToID names the checkpoint that holds the commit up to which the repository
// was read.
const readUpToID = "labels"

// readBack ingests the commits since the last readBack. Such a commit holds a
// submission of this database without an answer to the push, or is foreign (see
// origin). A file is recorded once, even if the commit is read twice, as after a
// crash.
func (o *Outbox) readBack(ctx context.Context) error {
	from, err := o.loadReadUpTo(ctx)
	tip := o.repo.Tip()
	if from != o.readUpTo || from != tip {
		o.dropNext() // the repository may have some of the batch already
	}
	o.readUpTo = from
	switch {
	case err != nil || from == tip:
		return err
	case tip == "":
		return o.requeueAll(ctx)
	}
	_, err = o.readFrom(ctx, from)
	if errors.Is(err, labelrepo.ErrRewritten) {
		o.log.WarnContext(ctx, "the history of the label repository was rewritten: it is read from its beginning")
		_, err = o.readFrom(ctx, "")
	}
	if err != nil {
		return err
	}
	o.readUpTo = tip
	return o.labels.setCheckpoint(ctx, readUpToID, tip)
}

// Tally counts the files in a history. A file counts once for each commit that
// changed the file.
type Tally struct {
	Read       int
	Recorded   int // new in the database
	PassedOver int // not a submission
}

// ErrNoSet is returned by Import for a database without the default label set. Import
// would pass over every file that names no other set, and never read the file again.
var ErrNoSet = errors.New("the database has no label set " + DefaultSet + " yet: start the server on it once, which makes the set")

// Import reads the whole history of the repository into the database, and returns the
// numbers of files.
func (o *Outbox) Import(ctx context.Context) (Tally, error) {
	set, err := o.labels.Set(ctx, DefaultSet)
	if err != nil {
		return Tally{}, err
	}
	if set == nil {
		return Tally{}, ErrNoSet
	}
	if _, err := o.repo.Refresh(ctx); err != nil {
		return Tally{}, err
	}
	tip := o.repo.Tip()
	tally, err := o.readFrom(ctx, "")
	if err == nil && tip != "" {
		err = o.labels.setCheckpoint(ctx, readUpToID, tip)
	}
	return tally, err
}

// reading is one pass through the history, or through the new part of the history.
type reading struct {
	Tally
	whole bool           // whether the pass began with the first commit: then a known submission may have another commit
	met   map[int64]bool // whether the pass has met the commit of a submission, by the submission's id
}

// isArrival reports whether the commit sha is the submission's own commit. The caller
// has compared the id and the content of the commit with row. Another commit with the
// same id and content brings an old revision back: git cherry-pick and git commit -C
// copy the message of the old commit.
func (p *reading) isArrival(row *ent.LabelSubmission, sha string) bool {
	known := row.CommitSha != nil && *row.CommitSha == sha
	if !known && (p.met[row.ID] || !p.whole && row.CommitSha != nil) {
		return false
	}
	p.met[row.ID] = true
	return true
}

// readFrom ingests the files that changed since the commit from. If from is empty,
// readFrom ingests the whole history.
func (o *Outbox) readFrom(ctx context.Context, from string) (Tally, error) {
	pass := &reading{whole: from == "", met: map[int64]bool{}}
	part := make([]labelrepo.File, 0, readSize)
	for f, err := range o.repo.Changes(ctx, from, Folder) {
		if err != nil {
			return pass.Tally, o.repo.EmptyCacheIfDamaged(ctx, err)
		}
		if part = append(part, f); len(part) == readSize {
			if err := o.ingest(ctx, part, pass); err != nil {
				return pass.Tally, err
			}
			part = part[:0]
		}
	}
	return pass.Tally, o.ingest(ctx, part, pass)
}

// requeueAll queues all pushed submissions again, because the repository is empty:
// the repository is new, or the old repository was lost.
func (o *Outbox) requeueAll(ctx context.Context) error {
	o.log.WarnContext(ctx, "the label repository is empty: it is made again from the database")
	return o.labels.db.InTx(ctx, func(tx *ent.Tx) error {
		err := tx.LabelSubmission.Update().Where(labelsubmission.StatusEQ(labelsubmission.StatusPUSHED)).
			SetStatus(labelsubmission.StatusQUEUED).ClearCommitSha().ClearPushedAt().Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Checkpoint.Delete().Where(checkpoint.ID(readUpToID)).Exec(ctx)
		return err
	})
}

// ingest records the commits of this database's submissions, and the files of foreign
// commits. Each element of files is the state of a file after one commit.
func (o *Outbox) ingest(ctx context.Context, files []labelrepo.File, pass *reading) error {
	var ids []int64
	for _, f := range files {
		if id, ok := submissionID(f.Message); ok {
			ids = append(ids, id)
		}
	}
	ours, err := o.labels.SubmissionsByID(ctx, ids)
	if err != nil {
		return err
	}
	var arrived []*ent.LabelSubmission
	var commits []labelrepo.Result
	for _, f := range files {
		pass.Read++
		id, ok := submissionID(f.Message)
		isOurs := ok && ours[id] != nil && ours[id].Content == string(f.Content)
		if isOurs && pass.isArrival(ours[id], f.SHA) {
			if ours[id].CommitSha == nil || *ours[id].CommitSha != f.SHA { // else it is known
				arrived, commits = append(arrived, ours[id]), append(commits, labelrepo.Result{SHA: f.SHA})
			}
			continue
		}
		if err := o.ingestForeign(ctx, f, isOurs, &pass.Tally); err != nil {
			return err
		}
	}
	if len(arrived) == 0 {
		return nil
	}
	return o.done(ctx, arrived, commits)
}

// ingestForeign records a file of a foreign commit, unless the file is recorded
// already: a history may be read again. ingestForeign passes over other files, and
// logs a link, a submodule, and an invalid file with the name of a submission. isOld
// says that the content is an old revision of a submission in this database.
func (o *Outbox) ingestForeign(ctx context.Context, f labelrepo.File, isOld bool, tally *Tally) error {
	name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
	passOver := func(why any) error {
		o.log.WarnContext(ctx, "a file in the label repository is passed over", "path", f.Path, "commit", f.SHA, "why", why)
		tally.PassedOver++
		return nil
	}
	switch {
	case f.Removed:
		return nil
	case f.Kind == labelrepo.Link:
		return passOver("it is a symbolic link: commit the file itself")
	case f.Kind == labelrepo.Submodule:
		return passOver("it is a submodule: commit its files to this repository")
	case !filenameForm.MatchString(name):
		tally.PassedOver++
		return nil
	}
	set, err := o.labels.setOfCommit(ctx, f.Message)
	if err != nil {
		return err
	}
	s, err := parseValid(name, f.Content, set)
	if err != nil {
		return passOver(err)
	}
	from := origin{
		author:   strings.ReplaceAll(f.Author.Name+" <"+f.Author.Email+">", "\x00", ""), // which PostgreSQL does not take
		at:       min(f.AuthorTime, latest),
		commit:   f.SHA,
		content:  string(f.Content),
		pushedAt: min(f.CommitTime, latest),
	}
	known, read, err := o.labels.isRecorded(ctx, name, from)
	if known || err != nil {
		return err
	}
	if read || isOld {
		// The content is recorded already. Either the history was rewritten and the
		// commit has a new id, or somebody brought an old revision back. An old
		// revision becomes a new revision if the branch still has the content.
		current, err := o.repo.HasFile(f.Path, f.Content)
		if err != nil {
			return o.repo.EmptyCacheIfDamaged(ctx, err)
		}
		if !current {
			return nil
		}
	}
	receipt, err := o.labels.recordForeign(ctx, s, set, from)
	if err == nil && receipt.Outcome == Accepted {
		tally.Recorded++
		o.labels.notify(receipt.Submission.ID)
	}
	return err
}

// isRecorded returns two results. known says that the commit of a file is recorded.
// read says that a revision of the file with the same content and time is recorded.
func (l *Service) isRecorded(ctx context.Context, filename string, from origin) (known, read bool, err error) {
	rows, err := l.db.LabelSubmission.Query().Where(labelsubmission.Filename(filename), labelsubmission.Content(from.content)).
		Select(labelsubmission.FieldCommitSha, labelsubmission.FieldCreatedAt).All(ctx)
	for _, row := range rows {
		known = known || row.CommitSha != nil && *row.CommitSha == from.commit
		read = read || row.CreatedAt == from.at
	}
	return known, read, err
}

// recordForeign records a submission of a foreign commit, unless the last revision
// has the same content.
func (l *Service) recordForeign(ctx context.Context, s *Submission, set *ent.LabelSet, from origin) (*Receipt, error) {
	e, err := newEntry(ctx, s, set.ID, from)
	if err == nil {
		e.lookup, err = l.lookUp(ctx, lookupKey{video: s.VideoURL, filename: s.filename()})
	}
	if err != nil {
		return nil, err
	}
	return l.record(e, false)
}

// latest is the last moment of the contract's DateTime. Git can write later moments.
const latest = instant.Instant(253402300799999) // 9999-12-31T23:59:59.999Z

// setOfCommit returns the label set in a commit's message, or nil for an unknown
// name. If the database does not have the version in the message, setOfCommit returns
// the last version.
func (l *Service) setOfCommit(ctx context.Context, message string) (*ent.LabelSet, error) {
	name, version := labelSetOf(message)
	set, err := l.db.LabelSet.Query().Where(labelset.Name(name), labelset.Version(version)).Only(ctx)
	if ent.IsNotFound(err) {
		return l.Set(ctx, name)
	}
	return set, err
}

// maxFileSize is the largest size of an ingested file, in bytes. A submission has a
// few kB.
const maxFileSize = 1 << 20

// parseValid returns the submission in a file of a foreign commit, or an error with
// the reason why the file is no valid submission.
func parseValid(name string, content []byte, set *ent.LabelSet) (*Submission, error) {
	switch {
	case bytes.HasPrefix(content, []byte("version https://git-lfs.github.com/spec/")):
		return nil, errors.New("it is a pointer of Git LFS: take the path out of .gitattributes and commit the file itself")
	case len(content) > maxFileSize:
		return nil, errors.New("it is longer than 1 MiB")
	case bytes.HasPrefix(content, []byte("\xff\xfe")), bytes.HasPrefix(content, []byte("\xfe\xff")):
		return nil, errors.New("it is UTF-16: save it as UTF-8")
	case !utf8.Valid(content):
		return nil, errors.New("it is not UTF-8")
	}
	s, err := parseNamed(name, content)
	if err != nil {
		return nil, err
	}
	if s.filename() != name {
		return nil, errors.New("its name is not that of its content: " + s.filename())
	}
	if s.TotalFrames > math.MaxInt32 || s.FrameWidth > math.MaxInt32 || s.FrameHeight > math.MaxInt32 {
		return nil, errors.New("it has a number of more than 32 bits")
	}
	if set == nil {
		return nil, errors.New("its label set is not known")
	}
	definitions, err := Definitions(set)
	if err != nil {
		return nil, err
	}
	var problems fault.Problems
	s.validate(&problems, definitions)
	return s, problems.Err()
}

// loadReadUpTo returns the commit up to which the repository was read. For a
// repository with recorded damage, the returned error is ErrDamaged.
func (o *Outbox) loadReadUpTo(ctx context.Context) (string, error) {
	values, err := o.labels.checkpoints(ctx, readUpToID, damageID)
	if damage := values[damageID]; err == nil && damage != "" {
		err = damageError(damage)
	}
	return values[readUpToID], err
}

// setCheckpoint writes the value of a checkpoint.
func (l *Service) setCheckpoint(ctx context.Context, id, value string) error {
	return l.db.Write(ctx, func() error {
		return l.db.Checkpoint.Create().SetID(id).SetValue(value).
			OnConflict(sql.ConflictColumns(checkpoint.FieldID)).UpdateNewValues().Exec(ctx)
	})
}
