package filelink

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/internal/base/instant"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/localblob"
)

const (
	key   = "1a2b3c4d/1a2b3c4d.2020-06-20_21-33-24.jpg"
	noon  = instant.Instant(1_592_654_400_000) // 2020-06-20T12:00:00Z
	photo = "\xff\xd8\xff\xe0 a photograph, as far as this test is concerned \xff\xd9"
)

// house is a bucket with photo under key, links to it, and a clock to turn.
type house struct {
	bucket  bucket.Bucket
	signer  *Signer
	handler http.Handler
	now     instant.Instant
	log     bytes.Buffer
}

func newHouse(t *testing.T) *house {
	t.Helper()
	files, err := localblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	h := &house{bucket: files, now: noon}
	h.signer = h.newSigner(t, 'k', time.Hour)
	h.handler = Handler(files, h.signer, slog.New(slog.NewTextHandler(&h.log, nil)))
	h.store(t, key, photo)
	return h
}

func (h *house) newSigner(t *testing.T, secret byte, lifetime time.Duration) *Signer {
	t.Helper()
	s, err := NewSigner(bytes.Repeat([]byte{secret}, SecretSize), func() instant.Instant { return h.now }, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h *house) store(t *testing.T, key, text string) {
	t.Helper()
	if err := bucket.WriteAll(t.Context(), h.bucket, key, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// ask sends a request with headers, name after name and value.
func (h *house) ask(method, target string, headers ...string) *httptest.ResponseRecorder {
	parsed, err := url.ParseRequestURI(target)
	if err != nil {
		// net/http answers such a request itself.
		return &httptest.ResponseRecorder{Code: http.StatusBadRequest, Body: new(bytes.Buffer)}
	}
	r := &http.Request{Method: method, URL: parsed, RequestURI: target, Header: make(http.Header)}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

func (h *house) link(method, key string) string {
	link, _ := h.signer.Link(method, key, "")
	return link
}

func TestLink_LooksAsDocumented(t *testing.T) {
	h := newHouse(t)
	link, expires := h.signer.Link("GET", key, "")
	// The window of 55 minutes that noon lies in ends at 12:55:00.
	want := fmt.Sprintf("/files/%s?expires=%d&signature=", key, int64(expires)/1000)
	if !strings.HasPrefix(link, want) || len(link) != len(want)+43 {
		t.Errorf("the link is %q, want %q and 43 characters", link, want)
	}
	if got := h.ask("GET", link); got.Code != 200 || got.Body.String() != photo {
		t.Errorf("GET link: got %d %q, want 200 %q", got.Code, got.Body, photo)
	}
}

func TestLink_WorksForKeysOfAnyCharacters(t *testing.T) {
	h := newHouse(t)
	for _, key := range []string{"a b+c&d=e?f#g.jpg", "Größe/☺.jpg", "100%/%2F.jpg", `back\slash"quote;.jpg`} {
		h.store(t, key, key)
		got := h.ask("GET", h.link("GET", key))
		if got.Code != 200 || got.Body.String() != key {
			t.Errorf("GET %q: got %d %q, want 200 with the key", key, got.Code, got.Body)
		}
	}
}

func TestLink_HasFiveMinutesLeftAtEveryMomentAndChangesSeldom(t *testing.T) {
	h := newHouse(t)
	const day = 24 * time.Hour
	for _, lifetime := range []time.Duration{6 * time.Minute, time.Hour, 7 * time.Hour} {
		signer := h.newSigner(t, 'k', lifetime)
		moments := make([]time.Duration, 0, 20_000)
		for range 10_000 {
			moments = append(moments, time.Duration(rand.Int64N(int64(day))).Truncate(time.Millisecond))
		}
		for second := range 10_000 { // the borders, all within the first hours
			moments = append(moments, time.Duration(second)*time.Second, time.Duration(second)*time.Second-time.Millisecond)
		}
		slices.Sort(moments)
		links := make(map[string]bool)
		for _, moment := range moments {
			h.now = noon.Add(moment)
			link, expires := signer.Link("GET", key, "")
			if left := expires.Sub(h.now); left < LeastLeft || left > lifetime {
				t.Fatalf("after %v a link of %v has %v left", moment, lifetime, left)
			}
			links[link] = true
		}
		if most := int(day/(lifetime-LeastLeft)) + 2; len(links) > most {
			t.Errorf("with %v there were %d links in a day, want %d at most", lifetime, len(links), most)
		}
	}
}

func TestLink_OpensUntilItEndsAndNotAfter(t *testing.T) {
	h := newHouse(t)
	link, expires := h.signer.Link("GET", key, "")
	for offset, want := range map[time.Duration]int{-time.Millisecond: 200, 0: 403, time.Hour: 403, 1000 * time.Hour: 403} {
		h.now = expires.Add(offset)
		if got := h.ask("GET", link); got.Code != want {
			t.Errorf("%v from its end the link says %d, want %d", offset, got.Code, want)
		}
	}
}

func TestLink_IsTheSameFromEveryServerWithTheSecret(t *testing.T) {
	h := newHouse(t)
	again := h.newSigner(t, 'k', time.Hour)
	link, _ := again.Link("GET", key, "")
	if link != h.link("GET", key) {
		t.Error("two signers with one secret make two links")
	}
}

func TestNewSigner_RefusesAWeakSecretAndAShortLife(t *testing.T) {
	for _, c := range []struct {
		size     int
		lifetime time.Duration
	}{{0, time.Hour}, {31, time.Hour}, {33, time.Hour}, {32, LeastLeft}, {32, 0}, {32, -time.Hour}} {
		if _, err := NewSigner(make([]byte, c.size), instant.System, c.lifetime); err == nil {
			t.Errorf("%d bytes and %v were taken", c.size, c.lifetime)
		}
	}
}

func TestSigner_KeepsItsOwnCopyOfTheSecret(t *testing.T) {
	secret := make([]byte, SecretSize)
	s, err := NewSigner(secret, func() instant.Instant { return noon }, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := s.Link("GET", key, "")
	secret[0]++
	if after, _ := s.Link("GET", key, ""); after != before {
		t.Error("the caller's slice changed the secret")
	}
}

func TestSign_PartsDoNotRunIntoEachOther(t *testing.T) {
	s := newHouse(t).signer
	seen := make(map[string][]string)
	for _, parts := range [][]string{{"GET", "a", "1"}, {"GETa", "", "1"}, {"GE", "Ta", "1"}, {"GET", "a1", ""}, {"GET", "a", "1", ""}, {"GET", "a\n1"}, {"GETa1"}, {}} {
		signature := s.sign(parts...)
		if other, ok := seen[signature]; ok {
			t.Errorf("%q and %q have one signature", other, parts)
		}
		seen[signature] = parts
	}
}

// tampered is every way we know of to change a link into another spelling or
// another meaning.
func tampered(h *house, t *testing.T) map[string]string {
	link := h.link("GET", key)
	other := "1a2b3c4d/1a2b3c4d.2020-06-20_21-33-25.jpg"
	h.store(t, other, "another photograph")
	path, query, _ := strings.Cut(link, "?")
	expires, signature, _ := strings.Cut(query, "&")
	stranger, _ := h.newSigner(t, 'x', time.Hour).Link("GET", key, "")
	otherLink := h.link("GET", other)
	named, _ := h.signer.Link("GET", key, "good")
	_, otherQuery, _ := strings.Cut(otherLink, "?")

	all := map[string]string{
		"signed for PUT":                   h.link("PUT", key),
		"signed for DELETE":                h.link("DELETE", key),
		"signed for HEAD":                  h.link("HEAD", key),
		"signed for get":                   h.link("get", key),
		"signed by a stranger":             stranger,
		"another file's signature":         path + "?" + otherQuery,
		"another file's path":              Prefix + other + "?" + query,
		"no query":                         path,
		"an empty query":                   path + "?",
		"no signature":                     path + "?" + expires,
		"no expiry":                        path + "?" + signature,
		"an empty signature":               path + "?" + expires + "&signature=",
		"an empty expiry":                  path + "?expires=&" + signature,
		"the other order":                  path + "?" + signature + "&" + expires,
		"the expiry twice":                 path + "?" + expires + "&" + expires + "&" + signature,
		"a later expiry first":             path + "?expires=99999999999&" + expires + "&" + signature,
		"a later expiry last":              link + "&expires=99999999999",
		"the signature twice":              link + "&" + signature,
		"a bad signature last":             link + "&signature=AAAA",
		"a parameter more":                 link + "&download=1",
		"a name that it had not":           strings.Replace(link, "&", "&name=evil.html&", 1),
		"another name":                     strings.Replace(named, "name=good", "name=evil", 1),
		"a name taken away":                strings.Replace(named, "&name=good", "", 1),
		"a name spelt otherwise":           strings.Replace(named, "name=g", "name=%67", 1),
		"a parameter more, first":          path + "?x=1&" + query,
		"an ampersand more":                link + "&",
		"a semicolon":                      path + "?" + expires + ";" + signature,
		"escaped parameter names":          strings.Replace(link, "expires", "%65xpires", 1),
		"an escaped digit":                 strings.Replace(link, "expires=1", "expires=%31", 1),
		"a plus before the expiry":         strings.Replace(link, "expires=", "expires=+", 1),
		"a plus, escaped":                  strings.Replace(link, "expires=", "expires=%2B", 1),
		"a zero before the expiry":         strings.Replace(link, "expires=", "expires=0", 1),
		"a minus before the expiry":        strings.Replace(link, "expires=", "expires=-", 1),
		"hexadecimal expiry":               path + "?expires=0x5EEDFB04&" + signature,
		"an expiry beyond 64 bits":         path + "?expires=99999999999999999999&" + signature,
		"an expiry with a fraction":        strings.Replace(link, "&", ".0&", 1),
		"padding after the signature":      link + "=",
		"padding, escaped":                 link + "%3D",
		"a line end after the signature":   link + "%0A",
		"a null after the signature":       link + "%00",
		"an overlong signature":            link + strings.Repeat("A", 100_000),
		"an overlong expiry":               path + "?expires=" + strings.Repeat("0", 100_000) + "1&" + signature,
		"an overlong path":                 path + strings.Repeat("A", 100_000) + "?" + query,
		"an escaped slash":                 strings.Replace(path, "4d/1a", "4d%2F1a", 1) + "?" + query,
		"an escaped letter":                strings.Replace(path, "1a2b", "%31a2b", 1) + "?" + query,
		"an escaped dot":                   strings.Replace(path, ".jpg", "%2Ejpg", 1) + "?" + query,
		"a slash twice":                    strings.Replace(path, "4d/1a", "4d//1a", 1) + "?" + query,
		"a dot as a folder":                strings.Replace(path, "4d/1a", "4d/./1a", 1) + "?" + query,
		"up and down again":                strings.Replace(path, "4d/1a", "4d/../1a2b3c4d/1a", 1) + "?" + query,
		"a slash at the end":               path + "/?" + query,
		"a null at the end":                path + "%00?" + query,
		"a space at the end":               path + "%20?" + query,
		"capitals":                         strings.Replace(path, ".jpg", ".JPG", 1) + "?" + query,
		"a backslash":                      strings.Replace(path, "4d/1a", `4d\1a`, 1) + "?" + query,
		"without the prefix":               strings.TrimPrefix(link, "/files"),
		"the prefix in capitals":           strings.Replace(link, "/files", "/FILES", 1),
		"the prefix escaped":               strings.Replace(link, "/files", "/%66iles", 1),
		"two slashes first":                "/" + link,
		"the question mark escaped":        strings.Replace(link, "?", "%3F", 1),
		"a fragment":                       link + "#x",
		"the prefix alone":                 Prefix,
		"the query of a link on no file":   Prefix + "?" + query,
		"a key that climbs out":            Prefix + "../../etc/passwd?" + query,
		"a key that climbs out, escaped":   Prefix + "%2e%2e/%2e%2e/etc/passwd?" + query,
		"the key's beginning":              Prefix + "1a2b3c4d?" + query,
		"the signature's own bytes in hex": path + "?" + expires + "&signature=" + fmt.Sprintf("%x", signature),
	}
	for i := range len(link) {
		for _, bit := range []byte{0x01, 0x20} {
			changed := []byte(link)
			changed[i] ^= bit
			all[fmt.Sprintf("byte %d with bit %#x changed", i, bit)] = string(changed)
		}
		all[fmt.Sprintf("byte %d missing", i)] = link[:i] + link[i+1:]
		all[fmt.Sprintf("byte %d twice", i)] = link[:i+1] + link[i:]
	}
	return all
}

func TestHandler_RefusesEveryLinkThatIsNotByteForByteOneOfOurs(t *testing.T) {
	h := newHouse(t)
	good := h.link("GET", key)
	forbidden, malformed := 0, 0
	for what, link := range tampered(h, t) {
		for _, method := range []string{"GET", "HEAD"} {
			got := h.ask(method, link)
			switch {
			case link == good:
				t.Errorf("%s: the link is the good one", what)
			case got.Code == http.StatusForbidden:
				forbidden++
				if body := got.Body.String(); body != "this link is not valid, or no longer; ask for a new one\n" {
					t.Errorf("%s: it says %q", what, body)
				}
			case got.Code == http.StatusBadRequest:
				malformed++
			default:
				t.Errorf("%s: %s %s is answered with %d", what, method, link, got.Code)
			}
		}
	}
	if forbidden < 600 {
		t.Errorf("only %d requests were tried", forbidden)
	}
	t.Logf("%d requests were forbidden, %d were no HTTP", forbidden, malformed)
	if got := h.ask("GET", good); got.Code != 200 {
		t.Errorf("and the good link says %d", got.Code)
	}
}
