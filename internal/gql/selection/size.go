package selection

// This file computes the size of an answer before the answer is assembled. A row
// that is read once may appear in the answer many times, if edges lead back and
// forth. So each row's size is computed once, and added per appearance.

// size is the number of objects and bytes of an answer, or of a part.
type size struct{ objects, bytes int64 }

// maxSize is more than any limit, and small enough that sums do not overflow.
const maxSize = 1 << 50

func (s *size) add(other size) {
	s.objects = min(s.objects+other.objects, maxSize)
	s.bytes = min(s.bytes+other.bytes, maxSize)
}

// spareBytes is room for the JSON around the answer in gqlgen's buffer, so that
// the buffer does not grow for the last brace.
const spareBytes = 64

// chargeRow charges a row. It returns an error beyond a limit.
func (x *execution) chargeRow(s size) error {
	x.charged.add(s)
	if err := x.meter.Objects(s.objects); err != nil {
		return err
	}
	if err := x.meter.Bytes(s.bytes); err != nil {
		return err
	}
	return x.meter.Hold(2 * s.bytes) // a growing buffer is in memory twice for a moment
}

// chargeAnswer charges the difference between the answer and the rows that were
// charged. It returns an error beyond a limit.
func (x *execution) chargeAnswer(answer size) error {
	if err := x.meter.Objects(max(0, answer.objects-x.charged.objects)); err != nil {
		return err
	}
	if err := x.meter.Bytes(max(0, answer.bytes-x.charged.bytes)); err != nil {
		return err
	}
	return x.meter.Hold(answer.bytes)
}

// rowSizes returns the size of each row with the children.
func (r *rowSet) rowSizes(encoder int) []size {
	if r.sizes[encoder] != nil {
		return r.sizes[encoder]
	}
	buffer, sizes, start := &r.buffers[encoder], make([]size, r.count), 0
	for row := range sizes {
		sizes[row] = size{int64(buffer.objects[row]), int64(buffer.ends[row] - start - 1)} // without the comma
		start = buffer.ends[row]
	}
	for _, s := range r.plan.encoders[encoder].edgeSteps {
		for row := range sizes {
			sizes[row].add(r.sizeOfChildren(s, row))
		}
	}
	r.sizes[encoder] = sizes
	return sizes
}

// sizeOfChildren returns the size of the children of a row by an edge.
func (r *rowSet) sizeOfChildren(s step, row int) size {
	e, children, first := r.plan.edges[s.index], &r.children[s.index], r.firstChild(s.index, row)
	switch {
	case e.edge.Pages != nil:
		return children.sizeOfPage(e.connections[s.encoder], first)
	case e.isList:
		return children.sizeOfList(s.encoder, first)
	case first < 0:
		return size{0, int64(len("null"))}
	}
	return children.rows.rowSizes(s.encoder)[first]
}

// firstChild returns the first child of a row by an edge, or -1.
func (r *rowSet) firstChild(edge, row int) int {
	if r.firstChildren[edge] == nil {
		firstChildren := make([]int, r.count)
		for n, key := range r.parentKeys[edge] {
			firstChildren[n] = -1
			if first, ok := r.children[edge].first[key]; ok && key != nil {
				firstChildren[n] = first
			}
		}
		r.firstChildren[edge] = firstChildren
	}
	return r.firstChildren[edge][row]
}

// sizeOfList returns the size of the list of children that begins at row first,
// or of an empty list if first is -1.
func (c *childIndex) sizeOfList(encoder, first int) size {
	total := size{0, int64(len("[]"))}
	for row := first; row >= 0; row = c.next[row] {
		total.add(size{0, 1}) // the comma
		total.add(c.rows.rowSizes(encoder)[row])
	}
	return total
}

func (c *childIndex) sizeOfPage(encoder connectionEncoder, first int) size {
	total := encoder.sizeWithoutRows()
	for _, field := range encoder.fields {
		if field.name == "nodes" || field.name == "edges" {
			total.add(c.sizeOfList(field.encoder, first))
		}
	}
	return total
}

// sizeOfRows returns the size of all rows as a list.
func (r *rowSet) sizeOfRows(encoder int) size {
	total := size{0, int64(len("[]"))}
	for _, row := range r.rowSizes(encoder) {
		total.add(size{0, 1}) // the comma
		total.add(row)
	}
	return total
}

func (r *rowSet) sizeOfConnection(encoder connectionEncoder) size {
	total := encoder.sizeWithoutRows()
	for _, field := range encoder.fields {
		if field.name == "nodes" || field.name == "edges" {
			total.add(r.sizeOfRows(field.encoder))
		}
	}
	return total
}

// maxInfoBytes is about the length of the values of a PageInfo, or of a number.
const maxInfoBytes = 400

// sizeWithoutRows returns an upper bound for the size of a connection without the
// rows.
func (c connectionEncoder) sizeWithoutRows() size {
	total := size{int64(c.objects()), int64(len(c.suffix))}
	for _, field := range c.fields {
		total.bytes += int64(len(field.prefix))
		if field.name == "pageInfo" || field.name == "totalCount" {
			total.bytes += maxInfoBytes
		}
		for _, selected := range field.pageInfo {
			total.bytes += int64(len(selected.key))
		}
	}
	return total
}
