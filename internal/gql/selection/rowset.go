package selection

import (
	"errors"
	"slices"

	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
)

// rowSet holds the encoded rows of one statement.
type rowSet struct {
	stmtPlan
	execution     *execution
	columns       []string // of the plan, then of the cursor and of the position
	keyIndexes    []int    // in columns, of the cursor
	positionIndex []int    // in columns, of the position
	fieldEncoders []FieldEncoder
	listObjects   int // objects in the lists of the present row

	count     int
	hasMore   bool        // whether there are more rows than maxRows
	buffers   []rowBuffer // per encoder
	positions []int       // per row

	firstKey, lastKey page.Key
	keys              []page.Key // per row, if everyKey

	parentKeys    [][]any      // per edge and row, the key of the children
	childKeys     []any        // per row, the key of the parent
	countByKey    map[any]int  // rows per parent, if paged
	hasMoreByKey  map[any]bool // whether a parent has more rows than pageLength
	children      []childIndex // per edge
	firstChildren [][]int      // per edge and row; computed by firstChild
	sizes         [][]size     // per encoder and row; computed by rowSizes
}

// rowBuffer holds the rows in the form of an encoder, each after a comma,
// with an empty slot per edge for the children.
type rowBuffer struct {
	json    *[]byte
	ends    []int // per row
	slots   []int // per row and edge step
	objects []int // per row, without children
}

func (x *execution) newRowSet(s stmtPlan) (*rowSet, error) {
	edges, encoders := len(s.plan.edges), len(s.plan.encoders)
	r := &rowSet{
		stmtPlan: s, execution: x, buffers: make([]rowBuffer, encoders),
		parentKeys: make([][]any, edges), children: make([]childIndex, edges),
		firstChildren: make([][]int, edges), sizes: make([][]size, encoders),
	}
	if s.paged {
		r.countByKey, r.hasMoreByKey = map[any]int{}, map[any]bool{}
	}
	for n := range r.buffers {
		r.buffers[n].json = x.newBuffer()
	}
	all := rowPlan{columns: slices.Clone(s.plan.columns)}
	r.keyIndexes, r.positionIndex = all.addColumns(s.keyColumns), all.addColumns(s.positionColumns)
	r.columns = all.columns
	if s.empty {
		return r, nil
	}
	var err error
	r.fieldEncoders, err = x.bindFields(s.plan, func(objects int) { r.listObjects += objects })
	return r, err
}

// add encodes a row. It returns errMoreRows for a row beyond maxRows.
func (r *rowSet) add(cells []cell) error {
	if r.count == r.maxRows {
		return errMoreRows
	}
	if r.paged {
		key := retained(cells[r.childKey].value)
		if r.countByKey[key] == r.pageLength {
			r.hasMoreByKey[key] = true
			return nil
		}
		r.countByKey[key]++
	}
	r.addKeys(cells)
	if r.position != nil {
		position, err := r.position(Row{cells, r.positionIndex})
		if err != nil {
			return err
		}
		r.positions = append(r.positions, position)
	}
	for n := range r.buffers {
		encoder, buffer := r.plan.encoders[n], &r.buffers[n]
		start := len(*buffer.json)
		r.listObjects = 0
		if err := r.encode(buffer, encoder, cells); err != nil {
			return err
		}
		objects := encoder.objects + r.listObjects
		buffer.objects = append(buffer.objects, objects)
		if err := r.execution.chargeRow(size{int64(objects), int64(len(*buffer.json) - start)}); err != nil {
			return err
		}
	}
	r.count++
	return nil
}

// addKeys stores the cursor key of a row, the keys of the children, and the key of
// the parent.
func (r *rowSet) addKeys(cells []cell) {
	if len(r.keyIndexes) > 0 {
		r.lastKey = r.lastKey[:0]
		for _, column := range r.keyIndexes {
			r.lastKey = append(r.lastKey, retained(cells[column].value))
		}
		if r.count == 0 {
			r.firstKey = slices.Clone(r.lastKey)
		}
		if r.everyKey {
			r.keys = append(r.keys, slices.Clone(r.lastKey))
		}
	}
	for n, edge := range r.plan.edges {
		r.parentKeys[n] = append(r.parentKeys[n], retained(cells[edge.parentKey].value))
	}
	if r.childKey >= 0 {
		r.childKeys = append(r.childKeys, retained(cells[r.childKey].value))
	}
}

var errNull = errors.New("selection: a column of a non-null field is null")

// encode appends a row to a buffer.
func (r *rowSet) encode(buffer *rowBuffer, encoder *rowEncoder, cells []cell) (err error) {
	b := append(*buffer.json, ',')
	for n := range encoder.steps {
		s := &encoder.steps[n]
		b = append(b, s.prefix...)
		switch s.kind {
		case columnStep:
			value := cells[s.index].value
			if value != nil {
				b, err = s.encode(b, s.typ, value)
			} else if b = append(b, "null"...); !s.nullable {
				err = errNull
			}
		case boundStep:
			b, err = r.fieldEncoders[s.index](b, Row{cells, r.plan.boundFields[s.index].columns})
		case edgeStep:
			buffer.slots = append(buffer.slots, len(b))
		case cursorStep:
			b = rawjson.AppendText(b, r.lastKey.Cursor())
		}
		if err != nil {
			return err
		}
	}
	*buffer.json = append(b, encoder.suffix...)
	buffer.ends = append(buffer.ends, len(*buffer.json))
	return nil
}
