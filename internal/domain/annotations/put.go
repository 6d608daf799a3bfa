package annotations

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/annotation"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/rawjson"
	"tagma/internal/domain/images"
	"tagma/internal/storage/database"
)

const (
	// MaxInput is the largest number of annotations in one list.
	MaxInput = 10_000
	// rowsAtOnce keeps an INSERT below SQLite's 32,766 parameters, and also
	// limits the INSERT's message, which lib/pq reallocates as it grows, to
	// some megabytes.
	rowsAtOnce = 250
)

// Algorithm identifies the maker of annotations.
type Algorithm struct{ Name, Version string }

// Addition is an annotation to add.
type Addition struct {
	Image     images.Key
	MD5       string
	Algorithm Algorithm
	Objects   []NewObject
}

// Result is the result for one annotation: the annotation, or the problems.
type Result struct {
	Annotation *ent.Annotation
	Problems   []fault.Problem
}

// draft is an annotation during Put.
type draft struct {
	*Addition
	key          images.Key
	image        *ent.Image // nil if the image does not exist
	objects      rawjson.Value
	problems     fault.Problems
	existing     *ent.Annotation // equal annotation in the database
	earlierDraft *draft          // equal annotation earlier in the input
}

// Put adds annotations in one transaction. If atomic is set, Put adds all or
// none, and the error reports every problem of every annotation. Otherwise Put
// adds the annotations without problems, and each Result holds its own
// problems.
//
// An annotation that exists already, with equal objects, is no problem, so that
// a retry is harmless. A different annotation of the same image, algorithm and
// version is a problem.
func (s *Service) Put(ctx context.Context, input []Addition, atomic bool) ([]Result, error) {
	if len(input) > MaxInput {
		return nil, fault.New(fault.TooLarge, "input has %d items: at most %d are taken at once", len(input), MaxInput)
	}
	var drafts []*draft
	var rowByDraft map[*draft]*ent.Annotation
	err := database.RetryConflict(ctx, func() (err error) { // another request may add the same annotation
		if drafts, err = s.makeDrafts(ctx, input); err != nil {
			return err
		}
		if atomic {
			var problems fault.Problems
			for _, d := range drafts {
				problems.Append(d.problems)
			}
			if err := problems.Err(); err != nil {
				return err
			}
		}
		rowByDraft, err = s.insertNew(ctx, drafts)
		if database.IsForeignKey(err) {
			return s.explainForeignKey(ctx, drafts, err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if s.onAdded != nil && len(rowByDraft) > 0 {
		ids := make([]int64, 0, len(rowByDraft))
		for _, row := range rowByDraft {
			ids = append(ids, row.ID)
		}
		s.onAdded(ids...)
	}
	return results(drafts, rowByDraft), nil
}

// explainForeignKey returns database.ErrConflict if another request has deleted
// an image of the drafts. Otherwise explainForeignKey returns err: another foreign key
// was violated, and a second try would fail in the same way. The error of SQLite does
// not name the foreign key.
func (s *Service) explainForeignKey(ctx context.Context, drafts []*draft, err error) error {
	imageIDs := map[int64]bool{}
	for _, d := range drafts {
		if d.image != nil {
			imageIDs[d.image.ID] = true
		}
	}
	rows, queryErr := s.images.ByIDs(ctx, slices.Collect(maps.Keys(imageIDs)))
	if queryErr != nil {
		return errors.Join(err, queryErr)
	}
	if len(rows) < len(imageIDs) {
		return database.ErrConflict
	}
	return err
}

// makeDrafts validates annotations against the rules, the images and each
// other.
func (s *Service) makeDrafts(ctx context.Context, input []Addition) ([]*draft, error) {
	drafts := make([]*draft, len(input))
	keys := make([]images.Key, 0, len(input))
	for n := range input {
		d := &draft{Addition: &input[n]}
		drafts[n] = d
		key := d.Image.Validate(&d.problems, "input", n, "image")
		if len(d.problems.List()) > 0 {
			continue
		}
		d.key = key
		keys = append(keys, key)
	}
	imageRows, err := s.images.ByKeys(ctx, "input", keys)
	if err != nil {
		return nil, err
	}
	imageByKey := make(map[images.Key]*ent.Image, len(imageRows))
	for _, i := range imageRows {
		imageByKey[images.KeyOf(i)] = i
	}
	for n, d := range drafts {
		d.image = imageByKey[d.key]
		d.validate(n)
	}
	return drafts, s.compare(ctx, drafts, imageRows)
}

// validate validates an annotation by itself and against its image, and adds all
// problems.
func (d *draft) validate(n int) {
	path := func(names ...any) []any { return append([]any{"input", n}, names...) }
	var imageSize size
	switch {
	case d.image != nil:
		imageSize = size{d.image.Width, d.image.Height}
		if !strings.EqualFold(d.MD5, d.image.Md5) {
			d.problems.Add(fault.Conflict, path("md5"), "%.40q is not the image's, which is %s: it was made on another file", d.MD5, d.image.Md5)
		}
	case d.key != images.Key{}:
		d.problems.Add(fault.NotFound, path("image"), "device %s has no image of %s: upload it first", d.key.Device, d.key.TakenAt)
	}
	validateText(&d.problems, path("algorithm", "name"), d.Algorithm.Name, maxNameLength)
	validateText(&d.problems, path("algorithm", "version"), d.Algorithm.Version, maxNameLength)
	if len(d.Objects) > MaxObjects {
		d.problems.Add(fault.TooLarge, path("objects"), "has %d objects: at most %d are taken", len(d.Objects), MaxObjects)
		return
	}
	d.objects = encodeObjects(d.Objects, imageSize, &d.problems, path("objects"))
}

// identity is the unique key of an annotation.
type identity struct {
	image int64
	Algorithm
}

func (d *draft) identity() identity { return identity{d.image.ID, d.Algorithm} }

// compare finds annotations that exist already or are repeated in the input,
// and adds a problem for each difference.
func (s *Service) compare(ctx context.Context, drafts []*draft, imageRows []*ent.Image) error {
	existingRows, err := s.queryExisting(ctx, drafts, imageRows)
	if err != nil {
		return err
	}
	existingByIdentity := map[identity]*ent.Annotation{}
	for _, row := range existingRows {
		existingByIdentity[identity{row.ImageID, Algorithm{row.AlgorithmName, row.AlgorithmVersion}}] = row
	}
	firstByIdentity := map[identity]*draft{}
	var candidates []*ent.Annotation
	for _, d := range drafts {
		if d.image == nil {
			continue
		}
		id := d.identity()
		if d.existing = existingByIdentity[id]; d.existing != nil {
			candidates = append(candidates, d.existing)
		}
		if d.earlierDraft = firstByIdentity[id]; d.earlierDraft == nil && len(d.problems.List()) == 0 {
			firstByIdentity[id] = d
		}
	}
	storedObjects, err := s.Objects(ctx, candidates)
	if err != nil {
		return err
	}
	for n, d := range drafts {
		if d.existing != nil && !sameObjects(storedObjects[d.existing.ID], d.objects) || d.earlierDraft != nil && !bytes.Equal(d.earlierDraft.objects, d.objects) {
			d.problems.Add(fault.Conflict, []any{"input", n, "algorithm"},
				"the image has another annotation by %.80q, version %.80q: what an algorithm's version saw does not change; give a new version", d.Algorithm.Name, d.Algorithm.Version)
		}
	}
	return nil
}

// sameObjects reports whether stored objects equal encoded objects. Boxes and areas
// follow from the contours, and older servers rounded both differently.
func sameObjects(stored, encoded rawjson.Value) bool {
	if bytes.Equal(stored, encoded) {
		return true
	}
	a, errA := Decode(stored, nil)
	b, errB := Decode(encoded, nil)
	return errA == nil && errB == nil && slices.EqualFunc(a, b, func(a, b Object) bool {
		a.BoundingBox, a.Area = b.BoundingBox, b.Area
		return reflect.DeepEqual(a, b)
	})
}

// queryExisting returns the existing annotations of the images by the drafts'
// algorithms.
func (s *Service) queryExisting(ctx context.Context, drafts []*draft, imageRows []*ent.Image) ([]*ent.Annotation, error) {
	names, versions := map[string]bool{}, map[string]bool{}
	for _, d := range drafts {
		if isText(d.Algorithm.Name) && isText(d.Algorithm.Version) { // no database stores other texts
			names[d.Algorithm.Name], versions[d.Algorithm.Version] = true, true
		}
	}
	return s.db.Annotation.Query().Where(
		database.AmongNumbers(annotation.FieldImageID, ent.Images(imageRows).IDs()),
		database.AmongTexts(annotation.FieldAlgorithmName, slices.Collect(maps.Keys(names))),
		database.AmongTexts(annotation.FieldAlgorithmVersion, slices.Collect(maps.Keys(versions))),
	).Select(listColumns...).All(ctx)
}

// insertNew inserts the new drafts without problems in one transaction.
func (s *Service) insertNew(ctx context.Context, drafts []*draft) (map[*draft]*ent.Annotation, error) {
	var newDrafts []*draft
	for _, d := range drafts {
		if len(d.problems.List()) == 0 && d.existing == nil && d.earlierDraft == nil {
			newDrafts = append(newDrafts, d)
		}
	}
	rowByDraft := make(map[*draft]*ent.Annotation, len(newDrafts))
	if len(newDrafts) == 0 {
		return rowByDraft, nil
	}
	var userID *int64
	if c := caller.From(ctx); c != nil {
		userID = &c.UserID
	}
	now := s.clock()
	err := s.db.InTx(ctx, func(tx *ent.Tx) error {
		ids, err := s.insertDrafts(ctx, tx, newDrafts, now, userID)
		if err != nil {
			return err
		}
		for n, d := range newDrafts {
			rowByDraft[d] = &ent.Annotation{
				ID: ids[n], ImageID: d.image.ID, ObjectCount: len(d.Objects), CreatedAt: now, CreatedByID: userID,
				AlgorithmName: d.Algorithm.Name, AlgorithmVersion: d.Algorithm.Version,
			}
		}
		return nil
	})
	return rowByDraft, err
}

// insertDrafts inserts drafts, and returns the ids of the rows in the same
// order.
func (s *Service) insertDrafts(ctx context.Context, tx *ent.Tx, drafts []*draft, now instant.Instant, userID *int64) ([]int64, error) {
	if s.db.Dialect == dialect.Postgres && len(drafts) > rowsAtOnce {
		return s.copyIn(ctx, tx, drafts, now, userID)
	}
	ids := make([]int64, 0, len(drafts))
	for chunk := range slices.Chunk(drafts, rowsAtOnce) {
		idByIdentity, err := s.insert(ctx, tx, chunk, now, userID)
		if err != nil {
			return nil, err
		}
		for _, d := range chunk {
			ids = append(ids, idByIdentity[d.identity()])
		}
	}
	return ids, nil
}

// copyIn inserts drafts by COPY, which takes two thirds of the time of an
// INSERT. COPY returns no ids, so copyIn allocates the ids first.
func (s *Service) copyIn(ctx context.Context, tx *ent.Tx, drafts []*draft, now instant.Instant, userID *int64) ([]int64, error) {
	rows, err := tx.QueryContext(ctx, `SELECT nextval(pg_get_serial_sequence('annotations', 'id')) FROM generate_series(1, $1)`, len(drafts))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	if err := errors.Join(sql.ScanSlice(rows, &ids), rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	var creator driver.Value
	if userID != nil {
		creator = *userID
	}
	_, err = tx.ExecContext(ctx, "COPY annotations (id, "+strings.Join(insertColumns, ", ")+") FROM STDIN",
		database.CopyIn(func(yield func([]driver.Value) bool) {
			row := make([]driver.Value, 1+len(insertColumns))
			for n, d := range drafts {
				row = append(row[:0], ids[n], d.image.ID, d.Algorithm.Name, d.Algorithm.Version, int64(len(d.Objects)), string(d.objects), int64(now), creator)
				if !yield(row) {
					return
				}
			}
		}))
	return ids, err
}

// insertColumns are the inserted columns: all but the id.
var insertColumns = []string{
	annotation.FieldImageID, annotation.FieldAlgorithmName, annotation.FieldAlgorithmVersion,
	annotation.FieldObjectCount, annotation.FieldObjects, annotation.FieldCreatedAt, annotation.FieldCreatedByID,
}

// insert inserts drafts in one statement and returns the ids of the rows. insert
// does not use ent, which would decode and encode the objects of each draft.
func (s *Service) insert(ctx context.Context, tx *ent.Tx, drafts []*draft, now instant.Instant, userID *int64) (map[identity]int64, error) {
	builder := sql.Dialect(s.db.Dialect).Insert(annotation.Table).Columns(insertColumns...).
		Returning(annotation.FieldID, annotation.FieldImageID, annotation.FieldAlgorithmName, annotation.FieldAlgorithmVersion)
	for _, d := range drafts {
		builder.Values(d.image.ID, d.Algorithm.Name, d.Algorithm.Version, len(d.Objects), string(d.objects), int64(now), userID)
	}
	statement, arguments := builder.Query()
	rows, err := tx.QueryContext(ctx, statement, arguments...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	ids := make(map[identity]int64, len(drafts))
	for rows.Next() {
		var id int64
		var key identity
		if err := rows.Scan(&id, &key.image, &key.Name, &key.Version); err != nil {
			return nil, err
		}
		ids[key] = id
	}
	return ids, rows.Err()
}

func results(drafts []*draft, rowByDraft map[*draft]*ent.Annotation) []Result {
	list := make([]Result, len(drafts))
	rows := map[*ent.Annotation]bool{}
	for n, d := range drafts {
		list[n].Problems = d.problems.List()
		if len(list[n].Problems) > 0 {
			continue
		}
		row := d.existing
		switch {
		case row != nil:
		case d.earlierDraft != nil:
			row = rowByDraft[d.earlierDraft]
		default:
			row = rowByDraft[d]
		}
		list[n].Annotation = row
		rows[row] = true
	}
	ent.Annotations(slices.Collect(maps.Keys(rows))).Siblings()
	return list
}
