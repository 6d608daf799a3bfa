// Package web owns the pages that Tagma shows to people: today one, the
// playground, which is GraphiQL with a sign-in bar and examples. It is built in
// playground/ and embedded here, so that it works where there is no internet.
//
// It does not own the API: the page speaks to /graphql on the same origin.
package web

import (
	"embed"
	"net/http"
	"path"
)

//go:embed playground/dist
var dist embed.FS

// policy lets the page speak to its own origin and to nothing else. Monaco, the
// editor in GraphiQL, writes its colours into style elements, hence
// 'unsafe-inline' for styles.
const policy = "default-src 'self'; " +
	"script-src 'self'; " +
	"style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data: blob:; " +
	"object-src 'none'; " +
	"base-uri 'none'; " +
	"form-action 'self'; " +
	"frame-ancestors 'none'"

// contentTypes has every kind of file in dist. It is not left to package mime,
// whose answers depend on the machine.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".ttf":  "font/ttf",
	".txt":  "text/plain; charset=utf-8",
}

// Playground serves the page at / and what it is made of under
// /playground/assets/. It answers 404 for every other path.
func Playground() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, "index.html", "no-cache")
	})
	// The page names its parts by their hashes: it must be fresh, they never
	// change.
	mux.HandleFunc("GET /playground/assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, "assets/"+r.PathValue("name"), "public, max-age=31536000, immutable")
	})
	return mux
}

// serve answers with one file of dist, or with 404.
func serve(w http.ResponseWriter, r *http.Request, name, caching string) {
	header := w.Header()
	header.Set("Content-Type", contentTypes[path.Ext(name)])
	header.Set("Cache-Control", caching)
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	http.ServeFileFS(w, r, dist, "playground/dist/"+name)
}
