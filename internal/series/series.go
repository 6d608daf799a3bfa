// Package series owns the selection of images by a pattern of the device and a
// range of time, in one of two orders. Package series builds the conditions of
// a query. It does not own the queries: packages images, annotations and
// activity do.
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

// MaxSeries is the largest number of series in one query.
const MaxSeries = 100

// Series selects the images of the devices whose name matches the pattern
// Device, taken from Start (included) to End (excluded).
type Series struct {
	Device string
	Start  instant.Instant
	End    instant.Instant
}

// Order is a sort order of images.
type Order string

// Sort orders.
const (
	DeviceTime Order = "DEVICE_TIME"
	TimeDevice Order = "TIME_DEVICE"
)

// Union selects the images that are in at least one series.
type Union struct{ members []member }

type member struct {
	device     like.Pattern
	start, end instant.Instant
}

// Parse checks the series of a query. The error is a *fault.Error with every
// problem.
func Parse(list []Series) (Union, error) {
	var problems fault.Problems
	if len(list) > MaxSeries {
		problems.Add(fault.TooLarge, []any{"series"}, "%d series: at most %d are taken at once", len(list), MaxSeries)
		return Union{}, problems.Err()
	}
	var union Union
	for i, s := range list {
		// Device names are lower case, and a pattern matches regardless of
		// case.
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

// Select adds the condition of the union to a query of images, or to a query
// that joins the table of images.
func (u Union) Select(s *sql.Selector) { s.Where(u.predicate(s.C)) }

// SelectJoined adds the condition of the union to a query that has joined
// images as t.
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

// Narrow restricts a query of images to the images of the union, from the start
// of the page on, in the order of the page.
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

// First returns a query of the first images of the union from the start of a
// page, at most limit. The query reads at most limit images of each series:
// sorting the whole union to return one page would be slow, but the images of
// one series lie in an index in the order of the page. Filter adds a further
// condition. The columns must identify an image and must include the columns of
// the order.
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
		// LIMIT takes an argument: see package selection for the reason.
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

// Places returns the order in the form that package page needs. Device and time
// identify an image, so either order is total.
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
