package selection

import (
	"slices"
	"strconv"

	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
)

// Rows that are written are put together here, each with those that it leads to.

// order is the rows in the answer's order, or nil if that is theirs.
func (w *written) order(q Query) []int {
	if w.places == nil && !q.Page.Plan.Backwards {
		return nil
	}
	order := make([]int, w.count)
	for n := range order {
		order[n] = n
	}
	if w.places != nil {
		slices.SortStableFunc(order, func(a, b int) int { return w.places[a] - w.places[b] })
	}
	if q.Page.Plan.Backwards {
		slices.Reverse(order)
	}
	return order
}

func (w *written) appendConnection(b []byte, of parts, q Query, order []int, total int) []byte {
	first, last := w.first, w.last
	if q.Page.Plan.Backwards {
		first, last = last, first
	}
	for _, part := range of.list {
		b = append(b, part.before...)
		switch part.field {
		case "nodes", "edges":
			b = w.appendRows(b, part.view, order)
		case "pageInfo":
			b = appendInfo(b, part.info, q.Page.Plan.Info(w.more, first, last))
		case "totalCount":
			b = strconv.AppendInt(b, int64(total), 10)
		}
	}
	return append(b, of.tail...)
}

func appendInfo(b []byte, fields []Selected, info page.Info) []byte {
	text := func(b []byte, cursor *string) []byte {
		if cursor == nil {
			return append(b, "null"...)
		}
		return rawjson.AppendText(b, *cursor)
	}
	b, _ = AppendObject(b, fields, func(b []byte, name string) ([]byte, error) {
		switch name {
		case "hasNextPage":
			return strconv.AppendBool(b, info.HasNextPage), nil
		case "hasPreviousPage":
			return strconv.AppendBool(b, info.HasPreviousPage), nil
		case "startCursor":
			return text(b, info.StartCursor), nil
		default:
			return text(b, info.EndCursor), nil
		}
	})
	return b
}

// appendRows appends rows as a list, in the order, or if that is nil in their
// own.
func (w *written) appendRows(b []byte, view int, order []int) []byte {
	b = append(b, '[')
	if order == nil && len(w.rows.views[view].edges) == 0 {
		if w.count > 0 {
			b = append(b, (*w.views[view].b)[1:]...)
		}
		return append(b, ']')
	}
	for n := range w.count {
		if n > 0 {
			b = append(b, ',')
		}
		row := n
		if order != nil {
			row = order[n]
		}
		b = w.appendRow(b, view, row)
	}
	return append(b, ']')
}

// appendRow appends a row, with what belongs into its holes.
func (w *written) appendRow(b []byte, view, row int) []byte {
	l, edges := &w.views[view], w.rows.views[view].edges
	from := 1 // after the comma
	if row > 0 {
		from += l.ends[row-1]
	}
	for n, s := range edges {
		hole := l.holes[row*len(edges)+n]
		b = append(b, (*l.b)[from:hole]...)
		b = w.appendEdge(b, s, row)
		from = hole
	}
	return append(b, (*l.b)[from:l.ends[row]]...)
}

func (w *written) appendEdge(b []byte, s step, row int) []byte {
	led := &w.led[s.n]
	at, e := w.start(s.n, row), w.rows.edges[s.n]
	if e.known.Pages != nil {
		return led.appendPage(b, e.connections[s.view], w.leads[s.n][row], at)
	}
	if !e.many {
		if at < 0 {
			return append(b, "null"...)
		}
		return led.there.appendRow(b, s.view, at)
	}
	b = append(b, '[')
	for next := at; next >= 0; next = led.next[next] {
		if next != at {
			b = append(b, ',')
		}
		b = led.there.appendRow(b, s.view, next)
	}
	return append(b, ']')
}

// appendPage appends the page of a value, whose rows begin at one, or none if
// that is -1.
func (l *led) appendPage(b []byte, of parts, value any, at int) []byte {
	var rows []int
	for next := at; next >= 0; next = l.next[next] {
		rows = append(rows, next)
	}
	for _, part := range of.list {
		b = append(b, part.before...)
		switch part.field {
		case "nodes", "edges":
			b = append(b, '[')
			for n, row := range rows {
				if n > 0 {
					b = append(b, ',')
				}
				b = l.there.appendRow(b, part.view, row)
			}
			b = append(b, ']')
		case "pageInfo":
			var first, last page.Key
			if len(rows) > 0 {
				first, last = l.there.keys[rows[0]], l.there.keys[rows[len(rows)-1]]
			}
			b = appendInfo(b, part.info, l.plan.Info(l.there.further[value], first, last))
		case "totalCount":
			text, _ := value.(string)
			b = strconv.AppendInt(b, int64(l.totals[text]), 10)
		}
	}
	return append(b, of.tail...)
}
