package selection

// A row that is read once may stand in the answer many times, where edges lead
// there and back. So the answer's size is reckoned before it is written: once for
// each row, whatever leads to the row.

// size is objects and bytes of an answer.
type size struct{ objects, bytes int64 }

// enormous is more than any limit, and so little that sums of it stay numbers.
const enormous = 1 << 50

func (s *size) add(o size) {
	s.objects = min(s.objects+o.objects, enormous)
	s.bytes = min(s.bytes+o.bytes, enormous)
}

// spare is for what stands around the answer in gqlgen's buffer, so that the
// buffer does not grow for a last brace.
const spare = 64

// took charges a row as it is read.
func (x *execution) took(s size) error {
	x.charged.add(s)
	if err := x.meter.Objects(s.objects); err != nil {
		return err
	}
	if err := x.meter.Bytes(s.bytes); err != nil {
		return err
	}
	return x.meter.Hold(2 * s.bytes) // a buffer that grows is there twice for a moment
}

// charge charges the rest of the answer, of which every row was charged once.
func (x *execution) charge(all size) error {
	if err := x.meter.Objects(max(0, all.objects-x.charged.objects)); err != nil {
		return err
	}
	if err := x.meter.Bytes(max(0, all.bytes-x.charged.bytes)); err != nil {
		return err
	}
	return x.meter.Hold(all.bytes)
}

// sizesOf returns the size of each row in a view, with all that the row leads to.
func (w *written) sizesOf(view int) []size {
	if w.sizes[view] != nil {
		return w.sizes[view]
	}
	l, sizes, from := &w.views[view], make([]size, w.count), 0
	for row := range sizes {
		sizes[row] = size{int64(l.objects[row]), int64(l.ends[row] - from - 1)} // without the comma
		from = l.ends[row]
	}
	for _, s := range w.rows.views[view].edges {
		for row := range sizes {
			sizes[row].add(w.sizeOfEdge(s, row))
		}
	}
	w.sizes[view] = sizes
	return sizes
}

// sizeOfEdge returns the size of what a row leads to.
func (w *written) sizeOfEdge(s step, row int) size {
	e, led, at := w.rows.edges[s.n], &w.led[s.n], w.start(s.n, row)
	switch {
	case e.known.Pages != nil:
		return led.sizeOfPage(e.connections[s.view], at)
	case e.many:
		return led.sizeOfChain(s.view, at)
	case at < 0:
		return size{0, int64(len("null"))}
	}
	return led.there.sizesOf(s.view)[at]
}

// start returns the first of the rows that an edge leads to from a row, or -1.
func (w *written) start(edge, row int) int {
	if w.starts[edge] == nil {
		starts := make([]int, w.count)
		for n, value := range w.leads[edge] {
			starts[n] = -1
			if first, ok := w.led[edge].first[value]; ok && value != nil {
				starts[n] = first
			}
		}
		w.starts[edge] = starts
	}
	return w.starts[edge][row]
}

// sizeOfChain returns the size of a list of rows, which begin at one, or of an
// empty list if that is -1.
func (l *led) sizeOfChain(view, at int) size {
	all := size{0, int64(len("[]"))}
	for ; at >= 0; at = l.next[at] {
		all.add(size{0, 1}) // the comma
		all.add(l.there.sizesOf(view)[at])
	}
	return all
}

func (l *led) sizeOfPage(of parts, at int) size {
	all := of.size()
	for _, part := range of.list {
		if part.field == "nodes" || part.field == "edges" {
			all.add(l.sizeOfChain(part.view, at))
		}
	}
	return all
}

// sizeOfRows returns the size of all rows as a list.
func (w *written) sizeOfRows(view int) size {
	all := size{0, int64(len("[]"))}
	for _, one := range w.sizesOf(view) {
		all.add(size{0, 1}) // the comma
		all.add(one)
	}
	return all
}

func (w *written) sizeOfConnection(of parts) size {
	all := of.size()
	for _, part := range of.list {
		if part.field == "nodes" || part.field == "edges" {
			all.add(w.sizeOfRows(part.view))
		}
	}
	return all
}

// longestInfo is about how long the values of a PageInfo, or a number, are.
const longestInfo = 400

// size returns the size of a connection without its rows, and no less.
func (p parts) size() size {
	all := size{int64(p.objects()), int64(len(p.tail))}
	for _, part := range p.list {
		all.bytes += int64(len(part.before))
		if part.field == "pageInfo" || part.field == "totalCount" {
			all.bytes += longestInfo
		}
		for _, field := range part.info {
			all.bytes += int64(len(field.key))
		}
	}
	return all
}
