package guard

import (
	"fmt"
	"math"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/fault"
)

// mostNotes is the largest number of problems of a kind in one error.
const mostNotes = 20

// note is one problem of an operation, with its position.
type note struct {
	fault.Problem
	path ast.Path
	at   *ast.Position
}

type notes []note

func (n notes) full() bool { return len(n) >= mostNotes }

// refuse notes that the caller may not query the field.
func (w *walk) refuse(f *ast.Field, to []Audience) {
	n := w.here(f)
	switch {
	case w.caller == nil:
		n.Code = fault.Unauthenticated
		n.Message = fmt.Sprintf("%s is for %s: sign in, and send the header Authorization: Bearer <token>", coordinate(f), joined(to))
	case w.caller.Device != "":
		n.Code = fault.Forbidden
		n.Message = fmt.Sprintf("%s is for %s, and this token is that of the device %s", coordinate(f), joined(to), w.caller.Device)
	default:
		n.Code = fault.Forbidden
		n.Message = fmt.Sprintf("%s is for %s, and your role is %s", coordinate(f), joined(to), w.caller.Role)
	}
	w.refused = append(w.refused, n)
}

// misuse notes that an argument of the field has an invalid value.
func (w *walk) misuse(f *ast.Field, argument, format string, args ...any) {
	n := w.here(f)
	n.Code, n.Message = fault.BadInput, fmt.Sprintf(format, args...)
	n.Path = append(n.Path, argument)
	w.beyond = append(w.beyond, n)
}

// exceeds notes that the operation exceeds a limit, if it does.
func (w *walk) exceeds(reached int64, what string, limit int, remedy string) {
	if reached <= int64(limit) {
		return
	}
	least := ""
	if w.ended || reached == math.MaxInt64 {
		least = "at least " // the walk stopped counting
	}
	w.beyond = append(w.beyond, note{Problem: fault.Problem{
		Code:    fault.TooLarge,
		Path:    []string{},
		Message: fmt.Sprintf("the operation has %s%d %s, and the limit is %d: %s", least, reached, what, limit, remedy),
	}})
}

// here returns a note with the position of the current field.
func (w *walk) here(f *ast.Field) note {
	n := note{at: f.Position}
	n.Path = slices.Clone(w.path)
	for _, key := range w.path {
		n.path = append(n.path, ast.PathName(key))
	}
	return n
}

// verdict returns nil, or one error with all problems: first the fields that the
// caller may not query, then the exceeded limits. The error has the code, the
// message and the path of the first problem, and the locations of all problems in
// order. A problem without a position has the location of the operation.
//
// gqlgen accepts only one error here. The server's error presenter finds the
// *fault.Error inside. The extensions serve presenters that do not.
func (w *walk) verdict(op *ast.OperationDefinition) *gqlerror.Error {
	all := slices.Concat(w.refused, w.beyond)
	if len(all) == 0 {
		return nil
	}
	err := &fault.Error{Code: all[0].Code, Message: all[0].Message}
	if more := len(all) - 1; more > 0 {
		err.Message += fmt.Sprintf(" (and %d more)", more)
	}
	var locations []gqlerror.Location
	for _, n := range all {
		err.Problems = append(err.Problems, n.Problem)
		at := n.at
		if at == nil {
			at = op.Position
		}
		locations = append(locations, gqlerror.Location{Line: at.Line, Column: at.Column})
	}
	return &gqlerror.Error{
		Err:        err,
		Message:    err.Message,
		Path:       all[0].path,
		Locations:  locations,
		Extensions: map[string]any{"code": string(err.Code), "problems": err.Problems},
	}
}
