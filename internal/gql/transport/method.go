package transport

import (
	"net/http"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/fault"
)

// OtherMethods takes what is neither GET nor POST: it tells OPTIONS which
// methods there are, and turns the rest away with status 405.
type OtherMethods struct{ Options Options }

var _ graphql.Transport = OtherMethods{}

// Supports says yes to any method but GET and POST.
func (t OtherMethods) Supports(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodPost
}

// Do answers r.
func (t OtherMethods) Do(w http.ResponseWriter, r *http.Request, _ graphql.GraphExecutor) {
	w.Header().Set("Allow", "GET, POST, OPTIONS")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	t.Options.WriteError(w, r, http.StatusMethodNotAllowed, fault.BadInput, "the method must be GET or POST")
}
