package httpd

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rs/cors"
)

// preflightsKept is how long a browser may go by the answer to a preflight. No
// browser keeps one for longer than a day, and Chromium for two hours.
const preflightMaxAge = 2 * time.Hour

// CrossOrigin lets pages of the given origins, and of no others, use next from a
// browser (https://fetch.spec.whatwg.org/#http-cors-protocol). A preflight is
// answered here, before anybody asks who is calling.
//
// Nothing that a browser sends by itself proves who is asking: the token stands
// in a header that the page sets. So credentials are not allowed, and a page of
// another origin could at most ask what anybody may.
func CrossOrigin(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowOriginFunc: func(origin string) bool { return slices.Contains(origins, origin) },
		AllowedMethods:  []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut},
		AllowedHeaders: []string{
			"Accept", "Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Range",
			"GraphQL-Require-Preflight", "Apollo-Require-Preflight", "X-Apollo-Operation-Name",
			"ApolloGraphQL-Client-Name", "ApolloGraphQL-Client-Version",
		},
		ExposedHeaders: []string{
			"X-Request-Id", "Retry-After", "Idempotency-Replayed", "WWW-Authenticate",
			"Accept-Ranges", "Content-Disposition", "Content-Range", "ETag",
		},
		MaxAge: int(preflightMaxAge.Seconds()),
	}).Handler(next)
}

// CheckOrigin says what is wrong with an origin of the list, which must be
// exactly what browsers send: a scheme, a host in lower case, and a port where
// it is not the scheme's own.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Contains(origin, "*") ||
		origin != strings.ToLower(u.Scheme+"://"+u.Host) {
		return fmt.Errorf("%q is no origin: write it as browsers do, such as https://lab.example.org or http://localhost:5173, without a path or *", origin)
	}
	if defaultPort := map[string]string{"http": "80", "https": "443"}[u.Scheme]; u.Port() == defaultPort || strings.HasSuffix(u.Host, ":") {
		return fmt.Errorf("%q is no origin: browsers leave out the port %s of %s", origin, defaultPort, u.Scheme)
	}
	return nil
}
