package selection

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"sync/atomic"

	"entgo.io/ent/dialect/sql"
	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/cost"
	"tagma/internal/base/fault"
	"tagma/internal/base/page"
)

// execution answers one field of one request. Rows are encoded as they are read,
// with a slot for each edge. Then the children of all rows are read in one
// statement per edge, and copied into the slots.
type execution struct {
	*Engine
	ctx       context.Context
	variables map[string]any
	buffers   []*[]byte // from the pool, until release

	meter   *cost.Meter
	charged size // of the rows read so far
}

// maxPooledBuffer is the capacity in bytes of the largest buffer that goes back
// to the pool.
const maxPooledBuffer = 512 << 10

func (x *execution) newBuffer() *[]byte {
	b := x.bufferPool.Get().(*[]byte)
	*b = (*b)[:0]
	x.buffers = append(x.buffers, b)
	return b
}

func (x *execution) release() {
	for _, b := range x.buffers {
		if cap(*b) <= maxPooledBuffer {
			x.bufferPool.Put(b)
		}
	}
	x.buffers = nil
}

// answer is the JSON of a field, assembled on demand.
type answer struct {
	execution *execution
	length    int64 // at most this many bytes
	append    func(b []byte) []byte
}

// MarshalGQL writes the answer. Call it once: the buffers of the rows go back to
// the pool. MarshalGQL writes into gqlgen's buffer in place: no second copy of
// the answer is in memory.
func (a *answer) MarshalGQL(w io.Writer) {
	if buffer, ok := w.(*bytes.Buffer); ok {
		buffer.Grow(int(a.length))
		_, _ = buffer.Write(a.append(buffer.AvailableBuffer()))
	} else {
		_, _ = w.Write(a.append(make([]byte, 0, a.length)))
	}
	a.execution.release()
}

// stmtPlan describes the rows of a statement.
type stmtPlan struct {
	plan        *rowPlan
	joinedEdge  *edgePlan // an edge with children in the same statement, and at most one parent row; or nil
	narrow      func(*sql.Selector)
	narrowJoins bool
	empty       bool // send no statement
	maxRows     int  // rows to encode; the statement reads one more
	static      *StaticRows

	keyColumns []string // of the cursor, if the answer needs cursors
	everyKey   bool     // whether the answer needs the cursor of every row, not only of the first and the last
	childKey   int      // index of the column with the parent's key, or -1
	paged      bool     // whether each parent has at most pageLength rows
	pageLength int

	position        func(Row) (int, error)
	positionColumns []string

	arguments []any                   // if set, the arguments of sql
	sql       *atomic.Pointer[string] // shared by all requests of a plan
}

const unlimited = int(^uint(0) >> 1)

// run reads the rows of a root field and all their children.
func (x *execution) run(p *plan, q RootQuery) (graphql.Marshaler, error) {
	rows, err := x.readRows(rootStatement(p, q))
	if err == nil && q.MaxRows > 0 && rows.hasMore {
		err = fault.New(fault.TooLarge, "there are more than %d rows", q.MaxRows) // the resolver's error says what to do
	}
	if err != nil {
		return nil, err
	}
	if p.kind == one && rows.count == 0 {
		x.release()
		return graphql.Null, nil
	}
	totalCount := 0
	if p.kind == connection && p.connection.selects("totalCount") {
		if totalCount, err = q.Page.Count(x.ctx); err != nil {
			return nil, err
		}
	}
	order := rows.answerOrder(q)
	a := &answer{execution: x}
	var total size
	switch p.kind {
	case one:
		total = rows.rowSizes(0)[0]
		a.append = func(b []byte) []byte { return rows.appendRow(b, 0, 0) }
	case list:
		total = rows.sizeOfRows(0)
		a.append = func(b []byte) []byte { return rows.appendRows(b, 0, order) }
	case connection:
		total = rows.sizeOfConnection(p.connection)
		a.append = func(b []byte) []byte { return rows.appendConnection(b, p.connection, q, order, totalCount) }
	}
	a.length = total.bytes + spareBytes
	return a, x.chargeAnswer(total)
}

func rootStatement(p *plan, q RootQuery) stmtPlan {
	s := stmtPlan{
		plan: p.rows, joinedEdge: p.joinedEdge, narrow: q.Narrow, narrowJoins: q.NarrowJoins, empty: q.Empty, maxRows: unlimited,
		childKey: -1, position: q.Position, positionColumns: q.PositionColumns, static: q.Static,
	}
	if p.kind == one && (p.joinedEdge == nil || len(p.joinedEdge.field.Arguments) == 0) {
		s.arguments, s.sql = q.Arguments, &p.sql
	}
	if q.MaxRows > 0 {
		s.maxRows = q.MaxRows
	}
	if p.kind == connection {
		s.maxRows = q.Page.Plan.Length
		if p.connection.selects("edges", "pageInfo") {
			s.keyColumns = keyColumns(p.rows.typ, q.Page.Columns)
		}
	}
	return s
}

// readRows reads and encodes the rows of a statement and all their children.
func (x *execution) readRows(s stmtPlan) (*rowSet, error) {
	rows, err := x.newRowSet(s)
	if err != nil {
		return nil, err
	}
	switch {
	case s.empty:
	case s.static != nil:
		err = s.static.scan(rows.columns, rows.add)
	case s.joinedEdge != nil:
		err = x.readJoined(rows)
	default:
		err = x.scan(rows, rows.columns, rows.add)
	}
	if err != nil && !errors.Is(err, errMoreRows) {
		return nil, err
	}
	rows.hasMore = err != nil
	return rows, x.readEdges(rows)
}

// readJoined reads one parent row and the children of its joined edge in a single
// statement. The parent's columns repeat in every row of the result.
func (x *execution) readJoined(parent *rowSet) error {
	e, ownColumns := parent.joinedEdge, len(parent.columns)
	children, err := x.newRowSet(stmtPlan{plan: e.children, maxRows: unlimited, childKey: e.childKey})
	if err != nil {
		return err
	}
	err = x.scan(parent, slices.Concat(parent.columns, e.children.columns), func(cells []cell) error {
		if parent.count == 0 {
			if err := parent.add(cells[:ownColumns]); err != nil {
				return err
			}
		}
		if cells[ownColumns+e.childKey].value == nil {
			return nil
		}
		return children.add(cells[ownColumns:])
	})
	if err != nil {
		return err
	}
	parent.children[slices.Index(parent.plan.edges, e)] = indexChildren(children)
	return x.readEdges(children)
}

// errMoreRows ends a scan at the first row beyond maxRows.
var errMoreRows = errors.New("selection: there are more rows")

// scan sends the statement of a rowSet, and calls add with the cells of each row
// of the result, in the order of the columns.
func (x *execution) scan(rows *rowSet, columns []string, add func([]cell) error) error {
	statement, arguments, err := x.buildStatement(rows)
	if err != nil {
		return err
	}
	result, err := x.db.SQL.QueryContext(x.ctx, statement, arguments...)
	if err != nil {
		return err
	}
	defer result.Close()
	cells, dest := make([]cell, len(columns)), make([]any, len(columns))
	for n := range cells {
		dest[n] = &cells[n]
	}
	for result.Next() {
		if err := result.Scan(dest...); err != nil {
			return err
		}
		if err := add(cells); err != nil {
			return err
		}
	}
	return errors.Join(result.Err(), result.Close())
}

// scan calls add with the cells of each static row, in the order of the columns.
func (s *StaticRows) scan(columns []string, add func([]cell) error) error {
	cells := make([]cell, len(columns))
	for row := range s.Count {
		for n, column := range columns {
			cells[n].value = s.Value(row, column)
		}
		if err := add(cells); err != nil {
			return err
		}
	}
	return nil
}

func (x *execution) bindFields(plan *rowPlan, countObjects func(objects int)) ([]FieldEncoder, error) {
	encoders := make([]FieldEncoder, len(plan.boundFields))
	for n, bound := range plan.boundFields {
		var err error
		encoders[n], err = bound.definition.Bind(BindRequest{
			Context: x.ctx, Arguments: bound.field.ArgumentMap(x.variables), Fields: bound.fields, CountObjects: countObjects,
		})
		if err != nil {
			return nil, err
		}
	}
	return encoders, nil
}

// errDeleted is the error of a parent with a child that was deleted between two
// statements.
var errDeleted = fault.New(fault.NotFound, "a row was deleted meanwhile")

// readEdges reads the children of all rows.
func (x *execution) readEdges(rows *rowSet) error {
	for n, e := range rows.plan.edges {
		if e == rows.joinedEdge {
			continue
		}
		if keys := uniqueKeys(rows.parentKeys[n]); len(keys) > 0 {
			var err error
			if rows.children[n], err = x.readEdge(e, keys); err != nil {
				return err
			}
		}
		if e.isList || e.nullable || e.edge.Pages != nil {
			continue
		}
		for _, key := range rows.parentKeys[n] {
			if _, ok := rows.children[n].first[key]; !ok {
				return errDeleted
			}
		}
	}
	return nil
}

// readEdge reads the children of the parents with the keys.
func (x *execution) readEdge(e *edgePlan, keys []any) (index childIndex, err error) {
	s := stmtPlan{plan: e.children, narrowJoins: e.edge.NarrowJoins, maxRows: unlimited, childKey: e.childKey}
	arguments := e.field.ArgumentMap(x.variables)
	var pages Pages
	if e.edge.Pages == nil {
		s.narrow, err = e.edge.Narrow(keys, arguments)
	} else if pages, err = e.edge.Pages(keys, arguments); err == nil {
		s.narrow, s.paged, s.pageLength = pages.Narrow, true, pages.Plan.Length
		for _, c := range e.connections {
			if c.selects("edges", "pageInfo") {
				s.keyColumns, s.everyKey = keyColumns(e.children.typ, pages.Order), true
			}
		}
	}
	if err != nil {
		return index, err
	}
	children, err := x.readRows(s)
	if err != nil {
		return index, err
	}
	index = indexChildren(children)
	index.plan = pages.Plan
	if slices.ContainsFunc(e.connections, func(c connectionEncoder) bool { return c.selects("totalCount") }) {
		index.totalCounts, err = pages.CountByKey(x.ctx)
	}
	return index, err
}

// hasEdgesWithEqualArguments reports whether two edges of the same rows have equal
// arguments in different spellings, as two variables with the same value. The
// resolvers would batch both edges in a statement. The engine would send two.
func (x *execution) hasEdgesWithEqualArguments(plan *rowPlan) bool {
	for n, e := range plan.edges {
		for _, other := range plan.edges[:n] {
			if other.field.Name == e.field.Name &&
				reflect.DeepEqual(withoutNulls(other.field.ArgumentMap(x.variables)), withoutNulls(e.field.ArgumentMap(x.variables))) {
				return true
			}
		}
		if x.hasEdgesWithEqualArguments(e.children) {
			return true
		}
	}
	return false
}

// withoutNulls returns the arguments without null values. Null and absent mean the
// same here.
func withoutNulls(arguments map[string]any) map[string]any {
	nonNull := make(map[string]any, len(arguments))
	for name, value := range arguments {
		if input, ok := value.(map[string]any); ok {
			value = withoutNulls(input)
		}
		if value != nil {
			nonNull[name] = value
		}
	}
	return nonNull
}

// uniqueKeys returns the values without nulls and repetitions.
func uniqueKeys(values []any) []any {
	seen := make(map[any]struct{}, len(values))
	var keys []any
	for _, value := range values {
		if _, ok := seen[value]; !ok && value != nil {
			seen[value] = struct{}{}
			keys = append(keys, value)
		}
	}
	return keys
}

// childIndex is a linked list of child rows per parent key: first[key] is the
// first row, next[row] the following row or -1.
type childIndex struct {
	rows  *rowSet
	first map[any]int
	next  []int

	plan        page.Plan      // of a connection
	totalCounts map[string]int // of a connection, by parent key, if the answer needs totalCount
}

func indexChildren(children *rowSet) childIndex {
	index := childIndex{rows: children, first: make(map[any]int, children.count), next: make([]int, children.count)}
	for row := children.count - 1; row >= 0; row-- {
		key := children.childKeys[row]
		index.next[row] = -1
		if following, ok := index.first[key]; ok {
			index.next[row] = following
		}
		index.first[key] = row
	}
	return index
}
