package selection

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// buildStatement returns the SQL for the columns of a rowSet and of the joined edge,
// and the arguments of the SQL.
func (x *execution) buildStatement(rows *rowSet) (string, []any, error) {
	if rows.arguments != nil {
		if text := rows.sql.Load(); text != nil {
			return *text, rows.arguments, nil
		}
	}
	typ := rows.plan.typ
	s := sql.Dialect(x.db.Dialect).Select().From(sql.Table(typ.Table))
	selectList := rows.plan.selectList
	for _, column := range rows.columns[len(rows.plan.columns):] {
		selectList = x.appendToSelectList(selectList, typ, column)
	}
	if rows.joinedEdge != nil {
		selectList += ", " + rows.joinedEdge.children.selectList
	}
	if selectList == "" {
		selectList = "1" // the answer needs no more than the number of rows
	}
	if !rows.narrowJoins && slices.ContainsFunc(rows.columns, isJoinedColumn) {
		typ.Join(s)
	}
	s.SelectExpr(sql.Raw(selectList))
	rows.narrow(s)
	if e := rows.joinedEdge; e != nil {
		join, err := e.edge.Join(e.field.ArgumentMap(x.variables))
		if err != nil {
			return "", nil, err
		}
		join(s)
	}
	text, arguments := s.Query()
	if rows.maxRows < unlimited {
		// The limit is an argument. With a number in the text, PostgreSQL's generic
		// plan would sort all rows of a long range.
		arguments = append(arguments, rows.maxRows+1)
		if x.db.Dialect == dialect.Postgres {
			text += " LIMIT $" + strconv.Itoa(len(arguments))
		} else {
			text += " LIMIT ?"
		}
	}
	if rows.arguments != nil {
		if !reflect.DeepEqual(arguments, rows.arguments) {
			return "", nil, errArguments
		}
		rows.sql.Store(&text)
	}
	return text, arguments, s.Err()
}

var errArguments = errors.New("selection: RootQuery.Arguments are not the arguments of the query's SQL")

// appendToSelectList returns a list of columns in SQL with one more column.
func (e *Engine) appendToSelectList(list string, typ *Type, column string) string {
	if list != "" {
		list += ", "
	}
	if expression, ok := typ.Expressions[column]; ok {
		return list + expression
	}
	table, name, ok := strings.Cut(column, ".")
	if !ok {
		table, name = typ.Table, column
	}
	return list + sql.Dialect(e.db.Dialect).Table(table).C(name)
}

// isJoinedColumn reports whether a column belongs to a joined table.
func isJoinedColumn(column string) bool { return strings.Contains(column, ".") }
