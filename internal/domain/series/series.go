// Package series owns how images are selected: by a pattern of the device and
// a range of time, in one of two orders. It turns that into conditions of a
// query; the queries themselves belong to packages images, annotations and
// activity.
package series

import (
	"math"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/device"
	"tagma/ent/generated/image"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/like"
	"tagma/internal/base/page"
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
type Union struct{ parts []part }

type part struct {
	device     like.Pattern
	start, end instant.Instant
}

// Parse checks the series of a query. Its error is a *fault.Error with every
// problem.
func Parse(all []Series) (Union, error) {
	var problems fault.Problems
	if len(all) > MaxSeries {
		problems.Add(fault.TooLarge, []any{"series"}, "%d series: at most %d are taken at once", len(all), MaxSeries)
		return Union{}, problems.Err()
	}
	var union Union
	for i, s := range all {
		// Names are lower case, and patterns match them whatever their case.
		pattern, err := like.Parse(strings.ToLower(s.Device))
		if err != nil {
			problems.Add(fault.BadInput, []any{"series", i, "device"}, "%s", err)
		}
		if s.End < s.Start {
			problems.Add(fault.BadInput, []any{"series", i, "end"}, "%s is before the start, %s", s.End, s.Start)
		}
		union.parts = append(union.parts, part{pattern, s.Start, s.End})
	}
	return union, problems.Err()
}

// Select adds the condition to a query of images, or to one that joins the
// table of images.
func (u Union) Select(s *sql.Selector) { s.Where(u.on(s.C)) }

// SelectJoined adds the condition to a query that has joined images as t.
func (u Union) SelectJoined(s *sql.Selector, t *sql.SelectTable) { s.Where(u.on(t.C)) }

func (u Union) on(column func(string) string) *sql.Predicate {
	if len(u.parts) == 0 {
		return sql.False()
	}
	conditions := make([]*sql.Predicate, len(u.parts))
	for i, p := range u.parts {
		conditions[i] = p.on(column)
	}
	return sql.Or(conditions...)
}

func (p part) on(column func(string) string) *sql.Predicate {
	during := sql.And(sql.GTE(column(image.FieldTakenAt), int64(p.start)), sql.LT(column(image.FieldTakenAt), int64(p.end)))
	if p.device.All() {
		return during
	}
	return sql.And(p.device.Match(column(image.FieldDeviceID)), during)
}

// narrow narrows a query of images to those of the part from the page on, in the
// page's order.
func (p part) narrow(s *sql.Selector, wanted page.Wanted) {
	if s.Dialect() == dialect.SQLite && p.device.All() && wanted.Columns[0].Name == image.FieldDeviceID {
		p.byDevice(s, wanted)
		return
	}
	s.Where(p.on(s.C))
	wanted.Narrow(s)
}

// byDevice narrows a query of SQLite's, as narrow does, to the images of all
// devices in the order of the devices. It takes one device after the other, and of
// each device a range of the index over device and time. From one index alone,
// SQLite would have to choose between the order and the time, by statistics.
func (p part) byDevice(s *sql.Selector, wanted page.Wanted) {
	of := sql.Dialect(s.Dialect()).Table(device.Table).As("d")
	name, taken, id := s.C(image.FieldDeviceID), s.C(image.FieldTakenAt), of.C(device.FieldID)
	// The plus keeps SQLite from finding the device of each image instead.
	s.Join(of).OnP(sql.P(func(b *sql.Builder) { b.Ident(name).WriteString(" = +").Ident(id) }))
	bound := func(operator string, ordinary int64, at page.Key, step int64) {
		if at == nil {
			s.Where(sql.P(func(b *sql.Builder) { b.Ident(taken).WriteString(" " + operator + " ").Arg(ordinary) }))
			return
		}
		place := at[1].(int64)
		if place < math.MaxInt64 { // a cursor that somebody made up may be the last moment there is
			place += step
		}
		if operator == ">=" {
			place = max(place, ordinary)
		} else {
			place = min(place, ordinary)
		}
		s.Where(sql.P(func(b *sql.Builder) {
			b.Ident(id).WriteString(" " + operator[:1] + "= ").Arg(at[0]).WriteString(" AND ").
				Ident(taken).WriteString(" " + operator + " CASE WHEN ").Ident(id).WriteString(" = ").Arg(at[0]).
				WriteString(" THEN ").Arg(place).WriteString(" ELSE ").Arg(ordinary).WriteString(" END")
		}))
	}
	// A cursor that has more than device and time lets the image at its place
	// through.
	past, until := int64(1), int64(0)
	if after := wanted.Plan.After; len(after) > len(wanted.Columns) {
		past = 0
	}
	if before := wanted.Plan.Before; len(before) > len(wanted.Columns) {
		until = 1
	}
	bound(">=", int64(p.start), wanted.Plan.After, past)
	bound("<", int64(p.end), wanted.Plan.Before, until)
	direction := sql.Asc
	if wanted.Plan.Backwards {
		direction = sql.Desc
	}
	s.OrderBy(direction(id), direction(taken))
}

// Narrow narrows a query of images to those of the union from the page on.
func (u Union) Narrow(s *sql.Selector, wanted page.Wanted) {
	if len(u.parts) == 1 {
		u.parts[0].narrow(s, wanted)
		return
	}
	first := u.First(s.Dialect(), wanted, wanted.Plan.Length+1, func(*sql.Selector) {}, image.FieldID, image.FieldDeviceID, image.FieldTakenAt)
	s.Where(sql.In(s.C(image.FieldID), sql.Dialect(s.Dialect()).Select(image.FieldID).From(first.As(image.Table))))
	wanted.Order(s)
}

// First selects columns of the first images of the union from where a page
// begins, as many as that. Of each series it reads as many: all of the union
// would have to be sorted to give one page of it, but each series by itself lies
// in an index in the order of the page. Also is a further condition. The columns
// tell images apart, and have those of the order.
func (u Union) First(of string, wanted page.Wanted, most int, also func(*sql.Selector), columns ...string) *sql.Selector {
	from := func(query func(*sql.Builder)) *sql.Selector {
		return sql.Dialect(of).Select(columns...).FromExpr(sql.ExprFunc(func(b *sql.Builder) {
			b.WriteByte('(')
			query(b)
			b.WriteString(") AS ").Ident(image.Table)
		}))
	}
	first := func(query *sql.Selector) *sql.Selector {
		// The number is an argument for the reason that package selection has.
		return from(func(b *sql.Builder) { b.Join(query).WriteString(" LIMIT ").Arg(most) })
	}
	var all []*sql.Selector
	for _, p := range u.parts {
		query := sql.Dialect(of).Select().From(sql.Table(image.Table))
		for _, column := range columns {
			query.AppendSelectAs(query.C(column), column)
		}
		p.narrow(query, wanted)
		also(query)
		all = append(all, first(query))
	}
	switch len(all) {
	case 0:
		return sql.Dialect(of).Select(columns...).From(sql.Table(image.Table)).Where(sql.False())
	case 1:
		return all[0]
	}
	for _, one := range all[1:] {
		all[0].Union(one)
	}
	merged := from(func(b *sql.Builder) { b.Join(all[0]) }).As(image.Table)
	wanted.Order(merged)
	return first(merged)
}

// PageOrder is the order as pages need it. An image's device and time are its
// own, so either order is total.
func (o Order) PageOrder() page.Order[*ent.Image] {
	device := page.Column{Name: image.FieldDeviceID, Text: true}
	time := page.Column{Name: image.FieldTakenAt}
	if o == TimeDevice {
		return page.Order[*ent.Image]{
			Columns: []page.Column{time, device},
			Key:     func(i *ent.Image) page.Key { return page.Key{int64(i.TakenAt), i.DeviceID} },
		}
	}
	return page.Order[*ent.Image]{
		Columns: []page.Column{device, time},
		Key:     func(i *ent.Image) page.Key { return page.Key{i.DeviceID, int64(i.TakenAt)} },
	}
}
