package selection

import (
	"slices"
	"strconv"

	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
)

// This file assembles the answer: the encoded rows are copied, and the encoded
// children into the slots of their parents.

// answerOrder returns the indexes of the rows in the order of the answer. Nil is the
// order of the rows.
func (r *rowSet) answerOrder(q RootQuery) []int {
	if r.positions == nil && !q.Page.Plan.Backwards {
		return nil
	}
	order := make([]int, r.count)
	for n := range order {
		order[n] = n
	}
	if r.positions != nil {
		slices.SortStableFunc(order, func(a, b int) int { return r.positions[a] - r.positions[b] })
	}
	if q.Page.Plan.Backwards {
		slices.Reverse(order)
	}
	return order
}

func (r *rowSet) appendConnection(b []byte, c connectionEncoder, q RootQuery, order []int, totalCount int) []byte {
	first, last := r.firstKey, r.lastKey
	if q.Page.Plan.Backwards {
		first, last = last, first
	}
	for _, field := range c.fields {
		b = append(b, field.prefix...)
		switch field.name {
		case "nodes", "edges":
			b = r.appendRows(b, field.encoder, order)
		case "pageInfo":
			b = appendPageInfo(b, field.pageInfo, q.Page.Plan.Info(r.hasMore, first, last))
		case "totalCount":
			b = strconv.AppendInt(b, int64(totalCount), 10)
		}
	}
	return append(b, c.suffix...)
}

func appendPageInfo(b []byte, fields []SelectedField, info page.Info) []byte {
	appendCursor := func(b []byte, cursor *string) []byte {
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
			return appendCursor(b, info.StartCursor), nil
		default:
			return appendCursor(b, info.EndCursor), nil
		}
	})
	return b
}

// appendRows appends all rows as a list, in the given order. A nil order is the
// order of the rows.
func (r *rowSet) appendRows(b []byte, encoder int, order []int) []byte {
	b = append(b, '[')
	if order == nil && len(r.plan.encoders[encoder].edgeSteps) == 0 {
		if r.count > 0 {
			b = append(b, (*r.buffers[encoder].json)[1:]...)
		}
		return append(b, ']')
	}
	for n := range r.count {
		if n > 0 {
			b = append(b, ',')
		}
		row := n
		if order != nil {
			row = order[n]
		}
		b = r.appendRow(b, encoder, row)
	}
	return append(b, ']')
}

// appendRow appends a row with the children in the slots.
func (r *rowSet) appendRow(b []byte, encoder, row int) []byte {
	buffer, edgeSteps := &r.buffers[encoder], r.plan.encoders[encoder].edgeSteps
	start := 1 // after the comma
	if row > 0 {
		start += buffer.ends[row-1]
	}
	for n, s := range edgeSteps {
		slot := buffer.slots[row*len(edgeSteps)+n]
		b = append(b, (*buffer.json)[start:slot]...)
		b = r.appendChildren(b, s, row)
		start = slot
	}
	return append(b, (*buffer.json)[start:buffer.ends[row]]...)
}

// appendChildren appends the children of a row by an edge.
func (r *rowSet) appendChildren(b []byte, s step, row int) []byte {
	children, e := &r.children[s.index], r.plan.edges[s.index]
	first := r.firstChild(s.index, row)
	if e.edge.Pages != nil {
		return children.appendPage(b, e.connections[s.encoder], r.parentKeys[s.index][row], first)
	}
	if !e.isList {
		if first < 0 {
			return append(b, "null"...)
		}
		return children.rows.appendRow(b, s.encoder, first)
	}
	return children.appendList(b, s.encoder, first)
}

// appendList appends the linked list of children that begins at row first. It
// appends an empty list if first is -1.
func (c *childIndex) appendList(b []byte, encoder, first int) []byte {
	b = append(b, '[')
	for row := first; row >= 0; row = c.next[row] {
		if row != first {
			b = append(b, ',')
		}
		b = c.rows.appendRow(b, encoder, row)
	}
	return append(b, ']')
}

// appendPage appends the connection of the parent with the key, whose children
// begin at row first. The connection is empty if first is -1.
func (c *childIndex) appendPage(b []byte, encoder connectionEncoder, key any, first int) []byte {
	for _, field := range encoder.fields {
		b = append(b, field.prefix...)
		switch field.name {
		case "nodes", "edges":
			b = c.appendList(b, field.encoder, first)
		case "pageInfo":
			var firstKey, lastKey page.Key
			if first >= 0 {
				firstKey = c.rows.keys[first]
			}
			for row := first; row >= 0; row = c.next[row] {
				lastKey = c.rows.keys[row]
			}
			b = appendPageInfo(b, field.pageInfo, c.plan.Info(c.rows.hasMoreByKey[key], firstKey, lastKey))
		case "totalCount":
			text, _ := key.(string)
			b = strconv.AppendInt(b, int64(c.totalCounts[text]), 10)
		}
	}
	return append(b, encoder.suffix...)
}
