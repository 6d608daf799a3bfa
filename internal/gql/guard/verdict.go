package guard

import (
	"fmt"
	"math"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/fault"
)

// mostNotes is how many things of a kind one answer lists.
const mostNotes = 20

// note is one thing that is wrong with an operation, and where.
type note struct {
	fault.Problem
	path ast.Path
	at   *ast.Position
}

type notes []note

func (n notes) full() bool { return len(n) >= mostNotes }

// refuse notes that the caller may not ask for the field, which is for others.
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

// misuse notes that an argument of the field cannot be what it is.
func (w *walk) misuse(f *ast.Field, argument, format string, args ...any) {
	n := w.here(f)
	n.Code, n.Message = fault.BadInput, fmt.Sprintf(format, args...)
	n.Path = append(n.Path, argument)
	w.beyond = append(w.beyond, n)
}

// exceeds notes that the operation as a whole reaches beyond a limit, if so.
func (w *walk) exceeds(reached int64, what string, limit int, remedy string) {
	if reached <= int64(limit) {
		return
	}
	least := ""
	if w.ended || reached == math.MaxInt64 {
		least = "at least " // counting stopped there
	}
	w.beyond = append(w.beyond, note{Problem: fault.Problem{
		Code:    fault.TooLarge,
		Path:    []string{},
		Message: fmt.Sprintf("the operation has %s%d %s, and the limit is %d: %s", least, reached, what, limit, remedy),
	}})
}

// here is a note on the field at hand.
func (w *walk) here(f *ast.Field) note {
	n := note{at: f.Position}
	n.Path = slices.Clone(w.path)
	for _, key := range w.path {
		n.path = append(n.path, ast.PathName(key))
	}
	return n
}

// verdict is nil, or one error with all that is wrong: first what the caller
// may not ask for, then what is too much. Its code, message and path are those
// of the first problem; its locations are those of the problems, in order. The
// operation stands for a problem that has no place of its own.
//
// gqlgen takes no more than one error here. It passes the server's presenter,
// which finds the *fault.Error inside; the extensions are for one that does not
// look.
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
