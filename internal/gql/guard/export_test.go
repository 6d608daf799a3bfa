package guard

import (
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/caller"
)

// Look returns the counts of a walk for tests: the objects and the fields in the
// answer, and the visited selections.
func (g *Guard) Look(c *caller.Caller, doc *ast.QueryDocument, variables map[string]any) (objects, fields int64, visited int) {
	w := g.walk(c, doc, doc.Operations[0], variables)
	return w.whole.objects, w.whole.fields, w.visited
}
