// Package annotations owns what was seen in images: how annotations come in,
// are checked, kept and found, and the two forms in which they go out, the
// schema's objects and the Sticky Pi API's document.
//
// It does not own the geometry of an outline (package contour), nor the images
// (package images).
package annotations

import (
	"context"
	"maps"
	"slices"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/annotation"
	"tagma/ent/generated/image"
	"tagma/ent/generated/predicate"
	"tagma/internal/batch"
	"tagma/internal/database"
	"tagma/internal/fault"
	"tagma/internal/images"
	"tagma/internal/instant"
	"tagma/internal/like"
	"tagma/internal/page"
	"tagma/internal/rawjson"
	"tagma/internal/series"
)

// Annotations is the annotations of one server. It is safe for concurrent use.
type Annotations struct {
	db     *database.DB
	images *images.Images
	clock  instant.Clock
	limits page.Limits

	onAdded func(ids ...int64)
}

// New is the annotations in db, of those images.
func New(db *database.DB, images *images.Images, clock instant.Clock, limits page.Limits) *Annotations {
	return &Annotations{db: db, images: images, clock: clock, limits: limits}
}

// OnAdded says who is told of annotations that were added. It is called before
// anything else.
func (a *Annotations) OnAdded(tell func(ids ...int64)) { a.onAdded = tell }

// Filter selects annotations by what made them. Nil selects all; its fields
// are patterns of package like.
type Filter struct{ Name, Version *string }

// Condition checks a filter and makes a condition on annotations of it. Its
// error is a *fault.Error.
func (f *Filter) Condition() (predicate.Annotation, error) {
	var parts []predicate.Annotation
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
		parts = append(parts, func(s *sql.Selector) { s.Where(parsed.Match(s.C(column))) })
	}
	if f != nil {
		add("name", annotation.FieldAlgorithmName, f.Name)
		add("version", annotation.FieldAlgorithmVersion, f.Version)
	}
	return func(s *sql.Selector) {
		for _, part := range parts {
			part(s)
		}
	}, problems.Err()
}

// listed is the columns of an annotation that are cheap to read. Its objects
// are fetched when they are asked for: see Objects.
var listed = slices.DeleteFunc(slices.Clone(annotation.Columns), func(column string) bool { //nolint:gochecknoglobals // a table
	return column == annotation.FieldObjects
})

func together(all []*ent.Annotation) []*ent.Annotation {
	group := batch.NewGroup(all)
	for _, a := range all {
		a.Group = group
	}
	return all
}

// WantOfImages narrows a query of the annotations to those of the images with
// these ids, by age.
func WantOfImages(ids []int64, filter *Filter) (predicate.Annotation, error) {
	condition, err := filter.Condition()
	return func(s *sql.Selector) {
		database.AmongNumbers(annotation.FieldImageID, ids)(s)
		condition(s)
		s.OrderBy(s.C(annotation.FieldID))
	}, err
}

// JoinToImage joins to a query of one image its annotations, by age. The image
// stays if it has none.
func JoinToImage(filter *Filter) (func(*sql.Selector), error) {
	condition, err := filter.Condition()
	return func(s *sql.Selector) {
		wanted := sql.Dialect(s.Dialect()).Select().From(sql.Table(annotation.Table))
		condition(wanted)
		wanted.As(annotation.Table)
		s.LeftJoin(wanted).On(s.C(image.FieldID), wanted.C(annotation.FieldImageID))
		s.OrderBy(wanted.C(annotation.FieldID))
	}, err
}

// OfImages gives the annotations of each image, by age, by the image's id.
func (a *Annotations) OfImages(ctx context.Context, all []*ent.Image, filter *Filter) (map[int64][]*ent.Annotation, error) {
	ids := make([]int64, len(all))
	for n, i := range all {
		ids[n] = i.ID
	}
	wanted, err := WantOfImages(ids, filter)
	if err != nil {
		return nil, err
	}
	found, err := a.db.Annotation.Query().Where(wanted).Select(listed...).All(ctx)
	of := make(map[int64][]*ent.Annotation, len(all))
	for _, one := range together(found) {
		of[one.ImageID] = append(of[one.ImageID], one)
	}
	return of, err
}

// Join joins the images to a query of the annotations.
func Join(s *sql.Selector) { join(s) }

func join(s *sql.Selector) *sql.SelectTable {
	of := sql.Table(image.Table).As(image.Table)
	s.Join(of).On(s.C(annotation.FieldImageID), of.C(image.FieldID))
	return of
}

// WantKeys narrows a query of the annotations to those of the images with
// these keys, by age, and joins the images. Places are where in an answer those
// of each image stand, counted from 0.
func WantKeys(keys []images.Key, filter *Filter) (narrow predicate.Annotation, places map[images.Key]int, err error) {
	_, places, err = images.WantKeys("images", keys)
	if err != nil {
		return nil, nil, err
	}
	condition, err := filter.Condition()
	there := slices.Collect(maps.Keys(places))
	return func(s *sql.Selector) {
		of := join(s)
		images.AmongJoined(of, there)(s)
		condition(s)
		s.OrderBy(s.C(annotation.FieldID))
	}, places, err
}

// ByKeys gives the annotations of the images with these keys, in the keys'
// order and then by age.
func (a *Annotations) ByKeys(ctx context.Context, keys []images.Key, filter *Filter) ([]*ent.Annotation, error) {
	there, err := a.images.ByKeys(ctx, "images", keys)
	if err != nil {
		return nil, err
	}
	of, err := a.OfImages(ctx, there, filter)
	var all []*ent.Annotation
	for _, i := range there {
		all = append(all, of[i.ID]...)
	}
	return together(all), err
}

// ByIDs gives the annotations with these ids that are there.
func (a *Annotations) ByIDs(ctx context.Context, ids []int64) (map[int64]*ent.Annotation, error) {
	all, err := a.db.Annotation.Query().Where(database.AmongNumbers(annotation.FieldID, ids)).Select(listed...).All(ctx)
	found := make(map[int64]*ent.Annotation, len(all))
	for _, one := range together(all) {
		found[one.ID] = one
	}
	return found, err
}

// Followed gives the annotations with these ids that are there, each with its
// image.
func (a *Annotations) Followed(ctx context.Context, ids []int64) (map[int64]*ent.Annotation, error) {
	found, err := a.ByIDs(ctx, ids)
	if err != nil {
		return nil, err
	}
	var on []int64
	for _, one := range found {
		on = append(on, one.ImageID)
	}
	of, err := a.images.ByIDs(ctx, on)
	for _, one := range found {
		if one.Edges.Image = of[one.ImageID]; one.Edges.Image == nil { // deleted meanwhile
			delete(found, one.ID)
		}
	}
	return found, err
}

// Objects gives the objects of annotations as they are kept, by the
// annotation's id.
func (a *Annotations) Objects(ctx context.Context, all []*ent.Annotation) (map[int64]rawjson.Value, error) {
	ids := make([]int64, len(all))
	for n, one := range all {
		ids[n] = one.ID
	}
	rows, err := a.db.Annotation.Query().Where(database.AmongNumbers(annotation.FieldID, ids)).
		Select(annotation.FieldID, annotation.FieldObjects).All(ctx)
	found := make(map[int64]rawjson.Value, len(rows))
	for _, row := range rows {
		found[row.ID] = row.Objects
	}
	return found, err
}

// placed is an annotation with the key of its image, by which a series is
// ordered.
type placed struct {
	*ent.Annotation
	device string
	taken  instant.Instant
}

// byPlace is the order of annotations in a series: their images' and, within
// an image, by age.
var byPlace = page.Order[placed]{ //nolint:gochecknoglobals // a table
	Columns: []page.Column{
		{Table: image.Table, Name: image.FieldDeviceID, Text: true},
		{Table: image.Table, Name: image.FieldTakenAt},
		{Table: annotation.Table, Name: annotation.FieldID},
	},
	Key: func(p placed) page.Key { return page.Key{p.device, int64(p.taken), p.ID} },
}

// WantSeries is the page that Series gives, and what narrows a query of the
// annotations to it, for a reader that fetches them by itself. It joins the
// images, of which it has the columns of their keys and the MD5.
func (a *Annotations) WantSeries(all []series.Series, filter *Filter, request page.Request) (page.Wanted, predicate.Annotation, error) {
	union, err := series.Parse(all)
	if err != nil {
		return page.Wanted{}, nil, err
	}
	condition, err := filter.Condition()
	if err != nil {
		return page.Wanted{}, nil, err
	}
	wanted, err := byPlace.Want(a.limits, request, func(ctx context.Context) (int, error) {
		return a.db.Annotation.Query().Where(condition, func(s *sql.Selector) { union.SelectJoined(s, join(s)) }).Count(ctx)
	})
	return wanted, func(s *sql.Selector) {
		// No index has the columns of two tables. So the images are chosen first,
		// from that on where the page begins: it may have nothing more on it, but
		// each after it has an annotation at least.
		of := union.First(s.Dialect(), wanted.Leading(series.DeviceTime.Places().Columns), wanted.Plan.Length+2, annotated(condition),
			image.FieldID, image.FieldDeviceID, image.FieldTakenAt, image.FieldMd5)
		of.As(image.Table)
		s.Join(of).On(s.C(annotation.FieldImageID), of.C(image.FieldID))
		condition(s)
		wanted.Narrow(s)
	}, err
}

// annotated is the condition on images that they have an annotation which meets
// a condition.
func annotated(condition predicate.Annotation) func(*sql.Selector) {
	return func(s *sql.Selector) {
		on := sql.Dialect(s.Dialect()).SelectExpr(sql.Raw("1")).From(sql.Table(annotation.Table))
		on.Where(sql.ColumnsEQ(on.C(annotation.FieldImageID), s.C(image.FieldID)))
		condition(on)
		s.Where(sql.Exists(on))
	}
}

// Series gives a page of the annotations of the images that are in at least
// one of the series.
func (a *Annotations) Series(ctx context.Context, all []series.Series, filter *Filter, request page.Request) (*page.Page[*ent.Annotation], error) {
	wanted, narrow, err := a.WantSeries(all, filter, request)
	if err != nil {
		return nil, err
	}
	rows, err := a.place(ctx, func() *ent.AnnotationQuery { return a.db.Annotation.Query().Where(narrow, wanted.Limit) })
	if err != nil {
		return nil, err
	}
	return page.Map(byPlace.Page(wanted.Plan, rows, wanted.Count), func(p placed) *ent.Annotation { return p.Annotation }), nil
}

// place runs a query that has joined the images, and gives its rows in order
// with their images' keys. If an image is deleted between the two statements
// that this takes, it runs the query anew: a page that lacks one would look
// like the last.
func (a *Annotations) place(ctx context.Context, query func() *ent.AnnotationQuery) ([]placed, error) {
	for {
		found, err := query().Select(listed...).All(ctx)
		if err != nil {
			return nil, err
		}
		together(found)
		ids := make([]int64, len(found))
		for n, one := range found {
			ids[n] = one.ImageID
		}
		of, err := a.images.ByIDs(ctx, ids)
		if err != nil {
			return nil, err
		}
		rows := make([]placed, 0, len(found))
		for _, one := range found {
			if i := of[one.ImageID]; i != nil {
				one.Edges.Image = i
				rows = append(rows, placed{one, i.DeviceID, i.TakenAt})
			}
		}
		if len(rows) == len(found) {
			return rows, nil
		}
	}
}
