// Package annotations owns the objects seen in images: validating, storing and
// querying annotations, and their two output forms, the schema's objects and
// the Sticky Pi API's document.
//
// Package annotations does not own the geometry of an outline (package
// contour), nor the images (package images).
package annotations

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/annotation"
	"tagma/ent/generated/image"
	"tagma/ent/generated/predicate"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/like"
	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
	"tagma/internal/domain/images"
	"tagma/internal/domain/series"
	"tagma/internal/storage/database"
)

// Service holds the annotations of one server. A Service is safe for
// concurrent use.
type Service struct {
	db     *database.DB
	images *images.Service
	clock  instant.Clock
	limits page.Limits

	onAdded func(ids ...int64)
}

// New returns the annotations in db of the given images.
func New(db *database.DB, images *images.Service, clock instant.Clock, limits page.Limits) *Service {
	return &Service{db: db, images: images, clock: clock, limits: limits}
}

// OnAdded sets the function that is called with the ids of new annotations.
// Call OnAdded before any other method.
func (s *Service) OnAdded(notify func(ids ...int64)) { s.onAdded = notify }

// Filter selects annotations by algorithm. A nil Filter selects all. The fields
// are patterns of package like.
type Filter struct{ Name, Version *string }

// Condition returns the filter as a condition on annotations. The error is a
// *fault.Error.
func (f *Filter) Condition() (predicate.Annotation, error) {
	var conditions []predicate.Annotation
	var problems fault.Problems
	add := func(field, column string, pattern *string) {
		if pattern == nil {
			return
		}
		parsed, err := like.Parse(*pattern)
		if err != nil {
			problems.Add(fault.BadInput, []any{"algorithm", field}, "%s", err)
			return
		}
		conditions = append(conditions, func(s *sql.Selector) { s.Where(parsed.Match(s.C(column))) })
	}
	if f != nil {
		add("name", annotation.FieldAlgorithmName, f.Name)
		add("version", annotation.FieldAlgorithmVersion, f.Version)
	}
	return func(s *sql.Selector) {
		for _, condition := range conditions {
			condition(s)
		}
	}, problems.Err()
}

// listColumns are the columns of an annotation that are cheap to read. Objects
// reads the objects on demand.
var listColumns = slices.DeleteFunc(slices.Clone(annotation.Columns), func(column string) bool { //nolint:gochecknoglobals // a table
	return column == annotation.FieldObjects
})

// NarrowToImages returns a function that restricts a query of annotations to the
// images with the given ids, the oldest annotation first.
func NarrowToImages(ids []int64, filter *Filter) (predicate.Annotation, error) {
	condition, err := filter.Condition()
	return func(s *sql.Selector) {
		database.AmongNumbers(annotation.FieldImageID, ids)(s)
		condition(s)
		s.OrderBy(s.C(annotation.FieldID))
	}, err
}

// JoinAnnotations returns a function that joins the annotations of an image to a
// query of one image, the oldest first. An image without annotations stays in
// the result.
func JoinAnnotations(filter *Filter) (func(*sql.Selector), error) {
	condition, err := filter.Condition()
	return func(s *sql.Selector) {
		matches := sql.Dialect(s.Dialect()).Select().From(sql.Table(annotation.Table))
		condition(matches)
		matches.As(annotation.Table)
		s.LeftJoin(matches).On(s.C(image.FieldID), matches.C(annotation.FieldImageID))
		s.OrderBy(matches.C(annotation.FieldID))
	}, err
}

// OfImages returns the annotations of each image, by the image's id, the oldest
// first.
func (s *Service) OfImages(ctx context.Context, parents []*ent.Image, filter *Filter) (map[int64][]*ent.Annotation, error) {
	narrow, err := NarrowToImages(ent.Images(parents).IDs(), filter)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.Annotation.Query().Where(narrow).Select(listColumns...).All(ctx)
	byImage := make(map[int64][]*ent.Annotation, len(parents))
	for _, row := range ent.Annotations(rows).Siblings() {
		byImage[row.ImageID] = append(byImage[row.ImageID], row)
	}
	return byImage, err
}

// JoinImages joins the images to a query of annotations.
func JoinImages(s *sql.Selector) { joinImages(s) }

func joinImages(s *sql.Selector) *sql.SelectTable {
	imageTable := sql.Table(image.Table).As(image.Table)
	s.Join(imageTable).On(s.C(annotation.FieldImageID), imageTable.C(image.FieldID))
	return imageTable
}

// NarrowToKeys returns a function that restricts a query of annotations to the
// images with the given keys, joins the images, and sorts by age. Places maps
// each key to the position of its image in the answer, from 0.
func NarrowToKeys(keys []images.Key, filter *Filter) (narrow predicate.Annotation, places map[images.Key]int, err error) {
	_, places, err = images.NarrowToKeys("images", keys)
	if err != nil {
		return nil, nil, err
	}
	condition, err := filter.Condition()
	uniqueKeys := slices.Collect(maps.Keys(places))
	return func(s *sql.Selector) {
		imageTable := joinImages(s)
		images.JoinedHasAnyKey(imageTable, uniqueKeys)(s)
		condition(s)
		s.OrderBy(s.C(annotation.FieldID))
	}, places, err
}

// ByKeys returns the annotations of the images with the given keys, each with its image,
// in the order of the keys and then by age.
func (s *Service) ByKeys(ctx context.Context, keys []images.Key, filter *Filter) ([]*ent.Annotation, error) {
	narrow, places, err := NarrowToKeys(keys, filter)
	if err != nil || len(places) == 0 {
		return nil, err
	}
	rows, err := s.db.Annotation.Query().Where(narrow).Select(listColumns...).All(ctx)
	if err != nil {
		return nil, err
	}
	rows, err = s.withImages(ctx, rows)
	slices.SortStableFunc(rows, func(a, b *ent.Annotation) int {
		return cmp.Compare(places[images.KeyOf(a.Edges.Image)], places[images.KeyOf(b.Edges.Image)])
	})
	return ent.Annotations(rows).Siblings(), err
}

// ByIDs returns the existing annotations with the given ids, by id.
func (s *Service) ByIDs(ctx context.Context, ids []int64) (map[int64]*ent.Annotation, error) {
	rows, err := s.db.Annotation.Query().Where(database.AmongNumbers(annotation.FieldID, ids)).Select(listColumns...).All(ctx)
	return ent.Annotations(rows).Siblings().ByID(), err
}

// ByIDsWithImages returns the existing annotations with the given ids, by id, each
// with its image.
func (s *Service) ByIDsWithImages(ctx context.Context, ids []int64) (map[int64]*ent.Annotation, error) {
	byID, err := s.ByIDs(ctx, ids)
	if err != nil {
		return nil, err
	}
	rows, err := s.withImages(ctx, slices.Collect(maps.Values(byID)))
	return ent.Annotations(rows).ByID(), err
}

// withImages sets the image of each annotation, and returns the annotations in their
// order, without those whose image was deleted meanwhile.
func (s *Service) withImages(ctx context.Context, rows []*ent.Annotation) ([]*ent.Annotation, error) {
	if len(rows) == 0 {
		return rows, nil
	}
	imageIDs := map[int64]bool{}
	for _, row := range rows {
		imageIDs[row.ImageID] = true
	}
	imagesByID, err := s.images.ByIDs(ctx, slices.Collect(maps.Keys(imageIDs)))
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		row.Edges.Image = imagesByID[row.ImageID]
	}
	return slices.DeleteFunc(rows, func(row *ent.Annotation) bool { return row.Edges.Image == nil }), nil
}

// Objects returns the stored objects of annotations, by the annotation's id.
func (s *Service) Objects(ctx context.Context, list []*ent.Annotation) (map[int64]rawjson.Value, error) {
	rows, err := s.db.Annotation.Query().Where(database.AmongNumbers(annotation.FieldID, ent.Annotations(list).IDs())).
		Select(annotation.FieldID, annotation.FieldObjects).All(ctx)
	byID := make(map[int64]rawjson.Value, len(rows))
	for _, row := range rows {
		byID[row.ID] = row.Objects
	}
	return byID, err
}

// keyedAnnotation is an annotation with the key of its image. The key of the
// image is the sort key of a series.
type keyedAnnotation struct {
	*ent.Annotation
	device  string
	takenAt int64 // milliseconds since 1970, UTC
}

// seriesOrder sorts annotations by device and time of the image, and within an
// image by age.
var seriesOrder = page.Order[keyedAnnotation]{ //nolint:gochecknoglobals // a table
	Columns: []page.Column{
		{Table: image.Table, Name: image.FieldDeviceID, IsText: true},
		{Table: image.Table, Name: image.FieldTakenAt},
		{Table: annotation.Table, Name: annotation.FieldID},
	},
	Key: func(p keyedAnnotation) page.Key { return page.Key{p.device, p.takenAt, p.ID} },
}

// NarrowToSeries returns the page of Series, and a function that restricts a query
// of annotations to the page, for a reader that runs the query itself. The
// function joins the images with the columns of their keys and the MD5.
func (s *Service) NarrowToSeries(list []series.Series, filter *Filter, request page.Request) (page.Keyset, predicate.Annotation, error) {
	union, err := series.Parse(list)
	if err != nil {
		return page.Keyset{}, nil, err
	}
	condition, err := filter.Condition()
	if err != nil {
		return page.Keyset{}, nil, err
	}
	keyset, err := seriesOrder.Keyset(s.limits, request, func(ctx context.Context) (int, error) {
		return s.db.Annotation.Query().Where(condition, func(s *sql.Selector) { union.SelectJoined(s, joinImages(s)) }).Count(ctx)
	})
	return keyset, func(s *sql.Selector) {
		// No index spans two tables. So the query selects the images first,
		// from the start of the page on. The first image may have no further
		// annotation on the page; each later image has at least one.
		imageQuery := union.First(s.Dialect(), keyset.Prefix(series.DeviceTime.PageOrder().Columns), keyset.Plan.Length+2, hasAnnotation(condition),
			image.FieldID, image.FieldDeviceID, image.FieldTakenAt, image.FieldMd5)
		imageQuery.As(image.Table)
		s.Join(imageQuery).On(s.C(annotation.FieldImageID), imageQuery.C(image.FieldID))
		condition(s)
		keyset.Apply(s)
	}, err
}

// hasAnnotation returns the condition that an image has an annotation that
// meets the given condition.
func hasAnnotation(condition predicate.Annotation) func(*sql.Selector) {
	return func(s *sql.Selector) {
		annotationQuery := sql.Dialect(s.Dialect()).SelectExpr(sql.Raw("1")).From(sql.Table(annotation.Table))
		annotationQuery.Where(sql.ColumnsEQ(annotationQuery.C(annotation.FieldImageID), s.C(image.FieldID)))
		condition(annotationQuery)
		s.Where(sql.Exists(annotationQuery))
	}
}

// Series returns a page of the annotations of the images in at least one of the
// series.
func (s *Service) Series(ctx context.Context, list []series.Series, filter *Filter, request page.Request) (*page.Page[*ent.Annotation], error) {
	keyset, narrow, err := s.NarrowToSeries(list, filter, request)
	if err != nil {
		return nil, err
	}
	rows, err := queryKeyed(ctx, s.db.Annotation.Query().Where(narrow, keyset.Limit))
	if err != nil {
		return nil, err
	}
	return page.Map(seriesOrder.Page(keyset.Plan, rows, keyset.Count), func(p keyedAnnotation) *ent.Annotation { return p.Annotation }), nil
}

// queryKeyed runs a query that joins the images, and returns the rows in order
// with the keys of their images. One statement reads both. With two statements, an
// image could be deleted in between, and a page without the annotations of the image
// would look like the last page.
func queryKeyed(ctx context.Context, query *ent.AnnotationQuery) ([]keyedAnnotation, error) {
	query.Modify(func(s *sql.Selector) {
		imageTable := sql.Table(image.Table)
		s.AppendSelect(imageTable.C(image.FieldDeviceID), imageTable.C(image.FieldTakenAt))
	})
	rows, err := query.Select(listColumns...).All(ctx)
	if err != nil {
		return nil, err
	}
	keyedRows := make([]keyedAnnotation, len(rows))
	for n, row := range ent.Annotations(rows).Siblings() {
		device, deviceErr := database.ColumnValue[string](row, image.FieldDeviceID)
		takenAt, takenAtErr := database.ColumnValue[int64](row, image.FieldTakenAt)
		if err := errors.Join(deviceErr, takenAtErr); err != nil {
			return nil, err
		}
		keyedRows[n] = keyedAnnotation{row, device, takenAt}
	}
	return keyedRows, nil
}
