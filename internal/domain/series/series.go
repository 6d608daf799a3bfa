// Package series owns the selection of images by a pattern of the device and an
// interval of time, in one of two orders. Package series returns conditions and orders
// of queries. It does not own the queries: packages images, annotations and activity
// do.
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

// MaxSeries is the largest number of series in one query.
const MaxSeries = 100

// Series selects the images of the devices whose name matches the pattern Device, taken
// from Start (inclusive) to End (exclusive).
type Series struct {
	Device string
	Start  instant.Instant
	End    instant.Instant
}

// Order is an order of images.
type Order string

// Orders of images.
const (
	DeviceTime Order = "DEVICE_TIME"
	TimeDevice Order = "TIME_DEVICE"
)

// Union selects the images in at least one series.
type Union struct{ parts []part }

// part is one validated series.
type part struct {
	device     like.Pattern
	start, end instant.Instant
}

// Parse returns the union of series. The error is a *fault.Error with every problem.
func Parse(list []Series) (Union, error) {
	var problems fault.Problems
	if len(list) > MaxSeries {
		problems.Add(fault.TooLarge, []any{"series"}, "%d series: at most %d are taken at once", len(list), MaxSeries)
		return Union{}, problems.Err()
	}
	var union Union
	for i, s := range list {
		// The names of devices are in lower case.
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

// Select adds the condition to a query of images.
func (u Union) Select(s *sql.Selector) { s.Where(u.predicate(s.C)) }

// SelectJoined adds the condition to a query that joins the table t of images.
func (u Union) SelectJoined(s *sql.Selector, t *sql.SelectTable) { s.Where(u.predicate(t.C)) }

// predicate returns the condition that an image is in the union. Column returns the
// qualified name of a column of images.
func (u Union) predicate(column func(string) string) *sql.Predicate {
	if len(u.parts) == 0 {
		return sql.False()
	}
	conditions := make([]*sql.Predicate, len(u.parts))
	for i, p := range u.parts {
		conditions[i] = p.predicate(column)
	}
	return sql.Or(conditions...)
}

// predicate returns the condition that an image is in the series.
func (p part) predicate(column func(string) string) *sql.Predicate {
	during := sql.And(sql.GTE(column(image.FieldTakenAt), int64(p.start)), sql.LT(column(image.FieldTakenAt), int64(p.end)))
	if p.device.All() {
		return during
	}
	return sql.And(p.device.Match(column(image.FieldDeviceID)), during)
}

// narrow restricts a query of images to the series, to the page and all rows after the
// page, and sorts the query.
func (p part) narrow(s *sql.Selector, wanted page.Wanted) {
	if s.Dialect() == dialect.SQLite && p.device.All() && wanted.Columns[0].Name == image.FieldDeviceID {
		p.byDevice(s, wanted)
		return
	}
	s.Where(p.predicate(s.C))
	wanted.Narrow(s)
}

// byDevice does the same as narrow on SQLite, for a series of all devices that is
// sorted by device. The query reads one device after another, and for each device a
// range of the index over device and time. Without the join, SQLite would use an index
// either for the order or for the time, depending on its statistics.
func (p part) byDevice(s *sql.Selector, wanted page.Wanted) {
	devices := sql.Dialect(s.Dialect()).Table(device.Table).As("d")
	name, taken, id := s.C(image.FieldDeviceID), s.C(image.FieldTakenAt), devices.C(device.FieldID)
	// The plus prevents SQLite from looking up the device of each image instead.
	s.Join(devices).OnP(sql.P(func(b *sql.Builder) { b.Ident(name).WriteString(" = +").Ident(id) }))
	// bound adds a bound of the time: limit for most devices, and the time of the
	// cursor plus step for the device of the cursor.
	bound := func(operator string, limit int64, cursor page.Key, step int64) {
		if cursor == nil {
			s.Where(sql.P(func(b *sql.Builder) { b.Ident(taken).WriteString(" " + operator + " ").Arg(limit) }))
			return
		}
		cursorTime := cursor[1].(int64)
		if cursorTime < math.MaxInt64 { // an invented cursor may hold the largest number
			cursorTime += step
		}
		if operator == ">=" {
			cursorTime = max(cursorTime, limit)
		} else {
			cursorTime = min(cursorTime, limit)
		}
		s.Where(sql.P(func(b *sql.Builder) {
			b.Ident(id).WriteString(" " + operator[:1] + "= ").Arg(cursor[0]).WriteString(" AND ").
				Ident(taken).WriteString(" " + operator + " CASE WHEN ").Ident(id).WriteString(" = ").Arg(cursor[0]).
				WriteString(" THEN ").Arg(cursorTime).WriteString(" ELSE ").Arg(limit).WriteString(" END")
		}))
	}
	// If a cursor has more columns than device and time, the image of the cursor is
	// part of the result.
	afterStep, beforeStep := int64(1), int64(0)
	if after := wanted.Plan.After; len(after) > len(wanted.Columns) {
		afterStep = 0
	}
	if before := wanted.Plan.Before; len(before) > len(wanted.Columns) {
		beforeStep = 1
	}
	bound(">=", int64(p.start), wanted.Plan.After, afterStep)
	bound("<", int64(p.end), wanted.Plan.Before, beforeStep)
	direction := sql.Asc
	if wanted.Plan.Backwards {
		direction = sql.Desc
	}
	s.OrderBy(direction(id), direction(taken))
}

// Narrow restricts a query of images to the union, to the page and all rows after the
// page, and sorts the query.
func (u Union) Narrow(s *sql.Selector, wanted page.Wanted) {
	if len(u.parts) == 1 {
		u.parts[0].narrow(s, wanted)
		return
	}
	first := u.First(s.Dialect(), wanted, wanted.Plan.Length+1, func(*sql.Selector) {}, image.FieldID, image.FieldDeviceID, image.FieldTakenAt)
	s.Where(sql.In(s.C(image.FieldID), sql.Dialect(s.Dialect()).Select(image.FieldID).From(first.As(image.Table))))
	wanted.Order(s)
}

// First returns a query of the first images of the union from the start of the page on,
// at most limit images, with the given columns. Condition is a further condition on
// images. Columns must identify an image and include the columns of the order.
//
// The query reads the first images of each series, because an index holds each series
// in the order of the page. To find the first images of the whole union, a database
// would have to sort the union.
func (u Union) First(dialectName string, wanted page.Wanted, limit int, condition func(*sql.Selector), columns ...string) *sql.Selector {
	from := func(query func(*sql.Builder)) *sql.Selector {
		return sql.Dialect(dialectName).Select(columns...).FromExpr(sql.ExprFunc(func(b *sql.Builder) {
			b.WriteByte('(')
			query(b)
			b.WriteString(") AS ").Ident(image.Table)
		}))
	}
	first := func(query *sql.Selector) *sql.Selector {
		// The number is an argument, so that one prepared statement serves all lengths.
		return from(func(b *sql.Builder) { b.Join(query).WriteString(" LIMIT ").Arg(limit) })
	}
	var queries []*sql.Selector
	for _, p := range u.parts {
		query := sql.Dialect(dialectName).Select().From(sql.Table(image.Table))
		for _, column := range columns {
			query.AppendSelectAs(query.C(column), column)
		}
		p.narrow(query, wanted)
		condition(query)
		queries = append(queries, first(query))
	}
	switch len(queries) {
	case 0:
		return sql.Dialect(dialectName).Select(columns...).From(sql.Table(image.Table)).Where(sql.False())
	case 1:
		return queries[0]
	}
	for _, query := range queries[1:] {
		queries[0].Union(query)
	}
	merged := from(func(b *sql.Builder) { b.Join(queries[0]) }).As(image.Table)
	wanted.Order(merged)
	return first(merged)
}

// PageOrder returns the order for pages. Device and time identify an image, so both
// orders are total.
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
