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

// preflightMaxAge is the longest time for a browser to cache the answer to a
// preflight. Chromium caches for two hours at most, no browser for more than a day.
const preflightMaxAge = 2 * time.Hour

// CrossOrigin returns a handler that allows only pages of the given origins to use
// next from a browser (https://fetch.spec.whatwg.org/#http-cors-protocol). The
// handler answers preflights before authentication.
//
// A browser sends no credentials by itself: the page sets the header with the
// token. So CORS credentials are not allowed, and a page of another origin has only
// the rights of an anonymous caller until the page gets a token.
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

// CheckOrigin returns an error unless origin has exactly the form sent by browsers:
// a scheme, a host in lower case, and a port if the port is not the default of the
// scheme.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Contains(origin, "*") ||
		origin != strings.ToLower(u.Scheme+"://"+u.Host) {
		return fmt.Errorf("%q is no origin: write it as browsers do, such as https://lab.example.org or http://localhost:5173, without a path or *", origin)
	}
	if own := map[string]string{"http": "80", "https": "443"}[u.Scheme]; u.Port() == own || strings.HasSuffix(u.Host, ":") {
		return fmt.Errorf("%q is no origin: browsers leave out the port %s of %s", origin, own, u.Scheme)
	}
	return nil
}
