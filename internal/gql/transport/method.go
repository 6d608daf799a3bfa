package transport

import (
	"net/http"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/fault"
)

// otherMethods answers all methods but GET and POST: OPTIONS with the methods that
// the server supports, any other method with status 405.
type otherMethods struct{ options *Options }

// Supports reports whether the method of r is neither GET nor POST.
func (otherMethods) Supports(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodPost
}

// Do answers r.
func (t otherMethods) Do(w http.ResponseWriter, r *http.Request, _ graphql.GraphExecutor) {
	w.Header().Set("Allow", "GET, POST, OPTIONS")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	newExchange(t.options, w, r).refuse(newRefusal(http.StatusMethodNotAllowed, fault.BadInput, "the method must be GET or POST"))
}
