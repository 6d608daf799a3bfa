// Package series owns how images are selected: by a pattern of the device and
// a range of time, in one of two orders. It turns that into conditions of a
// query; the queries themselves belong to packages images, annotations and
// activity.
package series

import (
	"strings"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/image"
	"tagma/internal/fault"
	"tagma/internal/instant"
	"tagma/internal/like"
	"tagma/internal/page"
)

// MaxSeries bounds the series of one query.
const MaxSeries = 100

// Series is the images of the devices whose name matches a pattern, taken
// from Start (included) to End (excluded).
type Series struct {
	Device string
	Start  instant.Instant
	End    instant.Instant
}

// Order is an order of images.
type Order string

// The orders.
const (
	DeviceTime Order = "DEVICE_TIME"
	TimeDevice Order = "TIME_DEVICE"
)

// Union is the images that are in at least one series.
type Union struct{ members []member }

type member struct {
	device     like.Pattern
	start, end instant.Instant
}

// Parse checks the series of a query. Its error is a *fault.Error with every
// problem.
func Parse(list []Series) (Union, error) {
	var problems fault.Problems
	if len(list) > MaxSeries {
		problems.Add(fault.TooLarge, []any{"series"}, "%d series: at most %d are taken at once", len(list), MaxSeries)
		return Union{}, problems.Err()
	}
	var union Union
	for i, s := range list {
		// Names are lower case, and patterns match them whatever their case.
		pattern, err := like.Parse(strings.ToLower(s.Device))
		if err != nil {
			problems.Add(fault.BadInput, []any{"series", i, "device"}, "%s", err)
		}
		if s.End < s.Start {
			problems.Add(fault.BadInput, []any{"series", i, "end"}, "%s is before the start, %s", s.End, s.Start)
		}
		union.members = append(union.members, member{pattern, s.Start, s.End})
	}
	return union, problems.Err()
}

// Select adds the condition to a query of images, or to one that joins the
// table of images.
func (u Union) Select(s *sql.Selector) { s.Where(u.predicate(s.C)) }

// SelectJoined adds the condition to a query that has joined images as t.
func (u Union) SelectJoined(s *sql.Selector, t *sql.SelectTable) { s.Where(u.predicate(t.C)) }

func (u Union) predicate(column func(string) string) *sql.Predicate {
	if len(u.members) == 0 {
		return sql.False()
	}
	conditions := make([]*sql.Predicate, len(u.members))
	for i, p := range u.members {
		conditions[i] = p.predicate(column)
	}
	return sql.Or(conditions...)
}

func (p member) predicate(column func(string) string) *sql.Predicate {
	inRange := sql.And(sql.GTE(column(image.FieldTakenAt), int64(p.start)), sql.LT(column(image.FieldTakenAt), int64(p.end)))
	if p.device.All() {
		return inRange
	}
	return sql.And(p.device.Match(column(image.FieldDeviceID)), inRange)
}

// Narrow narrows a query of images to those of the union from the page on.
func (u Union) Narrow(s *sql.Selector, keyset page.Wanted) {
	if len(u.members) < 2 {
		u.Select(s)
		keyset.Narrow(s)
		return
	}
	first := u.First(s.Dialect(), keyset, keyset.Plan.Length+1, func(*sql.Selector) {}, image.FieldID, image.FieldDeviceID, image.FieldTakenAt)
	s.Where(sql.In(s.C(image.FieldID), sql.Dialect(s.Dialect()).Select(image.FieldID).From(first.As(image.Table))))
	keyset.Order(s)
}

// First selects columns of the first images of the union from where a page
// begins, as many as that. Of each series it reads as many: all of the union
// would have to be sorted to give one page of it, but each series by itself lies
// in an index in the order of the page. Also is a further condition. The columns
// tell images apart, and have those of the order.
func (u Union) First(dialect string, keyset page.Wanted, limit int, filter func(*sql.Selector), columns ...string) *sql.Selector {
	subquery := func(query func(*sql.Builder)) *sql.Selector {
		return sql.Dialect(dialect).Select(columns...).FromExpr(sql.ExprFunc(func(b *sql.Builder) {
			b.WriteByte('(')
			query(b)
			b.WriteString(") AS ").Ident(image.Table)
		}))
	}
	limitQuery := func(images *sql.Selector) *sql.Selector {
		keyset.Order(images)
		// The number is an argument for the reason that package selection has.
		return subquery(func(b *sql.Builder) { b.Join(images).WriteString(" LIMIT ").Arg(limit) })
	}
	var queries []*sql.Selector
	for _, p := range u.members {
		images := sql.Dialect(dialect).Select(columns...).From(sql.Table(image.Table))
		images.Where(p.predicate(images.C))
		filter(images)
		keyset.From(images)
		queries = append(queries, limitQuery(images))
	}
	switch len(queries) {
	case 0:
		return sql.Dialect(dialect).Select(columns...).From(sql.Table(image.Table)).Where(sql.False())
	case 1:
		return queries[0]
	}
	for _, query := range queries[1:] {
		queries[0].Union(query)
	}
	return limitQuery(subquery(func(b *sql.Builder) { b.Join(queries[0]) }).As(image.Table))
}

// Places is the order as pages need it. An image's device and time are its
// own, so either order is total.
func (o Order) Places() page.Order[*ent.Image] {
	device := page.Column{Name: image.FieldDeviceID, Text: true}
	takenAt := page.Column{Name: image.FieldTakenAt}
	if o == TimeDevice {
		return page.Order[*ent.Image]{
			Columns: []page.Column{takenAt, device},
			Key:     func(i *ent.Image) page.Key { return page.Key{int64(i.TakenAt), i.DeviceID} },
		}
	}
	return page.Order[*ent.Image]{
		Columns: []page.Column{device, takenAt},
		Key:     func(i *ent.Image) page.Key { return page.Key{i.DeviceID, int64(i.TakenAt)} },
	}
}
