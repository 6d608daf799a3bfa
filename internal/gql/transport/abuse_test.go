package transport_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"

	"tagma/internal/gql/transport"
)

// seeds are well-formed uploads for the mutations to start from.
var seeds = []string{
	form(operations(one), fileMap(`{"0":["variables.file"]}`), file("0", "Alpha")),
	form(operations(many), fileMap(`{"0":["variables.files.0"],"1":["variables.files.1"]}`), file("0", "Bravo"), file("1", "Charlie")),
	form(operations(tagged), fileMap(`{"0":["variables.input.0.file"]}`), file("0", strings.Repeat("x", 9000))),
	form(operations(`{"query":"{ hello }"}`), fileMap(`{}`)),
}

func TestUpload_FourHundredMutatedFormsNeitherBreakNorLeak(t *testing.T) {
	dir := t.TempDir()
	servers := []http.Handler{abused(dir, nil), abused(dir, transport.NewMemory(20_000))}
	statuses := map[int]int{}
	before := descriptors(t)
	for i := range 400 {
		random := rand.New(rand.NewPCG(uint64(i), 0))
		body := seeds[i%len(seeds)]
		for range 1 + random.IntN(3) {
			body = mutate(random, body)
		}
		statuses[survives(t, servers[i/len(seeds)%2], dir, body)]++
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors open before, %d after", before, after)
	}
	t.Logf("answers by status: %v", statuses)
	// All of one kind would mean that the mutations miss what they are for.
	if statuses[200] == 0 || statuses[400] == 0 || statuses[413] == 0 {
		t.Errorf("the mutations are one-sided: %v", statuses)
	}
}

func FuzzUpload(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	dir := f.TempDir()
	disk, memory := abused(dir, nil), abused(dir, transport.NewMemory(20_000))
	f.Fuzz(func(t *testing.T, body string) {
		survives(t, disk, dir, body)
		survives(t, memory, dir, body)
	})
}

func abused(dir string, memory *transport.Memory) http.Handler {
	limits := transport.Limits{JSONBytes: 1000, MapBytes: 500, Files: 5, FileBytes: 10_000, TotalBytes: 20_000}
	return newServer(transport.Options{TempDir: dir, Memory: memory, Limits: limits}, describe)
}

// survives answers body and gives the status, which is never that of a defect.
func survives(t *testing.T, server http.Handler, dir, body string) int {
	t.Helper()
	w := httptest.NewRecorder()
	server.ServeHTTP(w, upload(strings.NewReader(body), "Accept", response))
	if w.Code >= 500 {
		t.Errorf("%d %s for %q", w.Code, w.Body, body)
	}
	if n := left(t, dir); n != 0 {
		t.Fatalf("%d files or descriptors left by %q", n, body)
	}
	return w.Code
}

// mutate spoils body in one of the ways in which clients, networks and
// attackers do.
func mutate(random *rand.Rand, body string) string {
	if body == "" {
		return body
	}
	from := random.IntN(len(body))
	to := from + random.IntN(min(200, len(body)-from))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	switch random.IntN(8) {
	case 0: // a byte
		return body[:from] + string(rune(random.IntN(256))) + body[from+1:]
	case 1: // a gap
		return body[:from] + body[to:]
	case 2: // a repetition
		return body[:to] + body[from:]
	case 3: // an early end
		return body[:from]
	case 4: // another path
		return strings.Replace(body, `variables.`, pick(`variables`, `variables..`, `variables.0.`, `query.`, `0.variables.`, `variables.files.-1.`, `variables.\u0000.`), 1)
	case 5: // other JSON
		return strings.Replace(body, pick(`null`, `[`, `{`, `"query"`, `"0"`), pick(`[null]`, `{}`, `1e999`, `"x"`, `[[[[`, ``, `null`), 1)
	case 6: // parts in another order
		parts := strings.Split(strings.TrimSuffix(body, "--edge--\r\n"), "--edge\r\n")
		random.Shuffle(len(parts)-1, func(i, j int) { parts[i+1], parts[j+1] = parts[j+1], parts[i+1] })
		return strings.Join(parts, "--edge\r\n") + "--edge--\r\n"
	default: // too much
		return body[:from] + strings.Repeat(pick("x", " ", "\r\n", "[", "--edge\r\n"), 1+random.IntN(12_000)) + body[from:]
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

func TestUpload_ABigChunkedFileStaysOffTheHeap(t *testing.T) {
	const size = 64 << 20
	dir := t.TempDir()
	var before, after runtime.MemStats
	options := transport.Options{TempDir: dir, Limits: transport.Limits{FileBytes: size}}
	server := newServer(options, func(ctx context.Context, variables map[string]any) ([]byte, error) {
		defer runtime.ReadMemStats(&after)
		return describe(ctx, variables)
	})
	start, end, _ := strings.Cut(form(operations(one), fileMap(`{"0":["variables.file"]}`), file("0", "CONTENT")), "CONTENT")
	body := io.MultiReader(strings.NewReader(start), io.LimitReader(pattern{}, size), strings.NewReader(end))

	runtime.ReadMemStats(&before)
	a := do(t, server, upload(body))
	if a.status != 200 || !bytes.Contains(a.body, fmt.Appendf(nil, " %d ", size)) {
		t.Fatalf("upload of %d bytes: got %d %s, want 200 and this size", size, a.status, a.body)
	}
	// All that client and server ever allocated, so no collection can flatter it.
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d KiB allocated for a file of %d MiB", allocated>>10, size>>20)
	if allocated > 8<<20 {
		t.Errorf("%d bytes allocated", allocated)
	}
	if n := left(t, dir); n != 0 {
		t.Errorf("%d files or descriptors left", n)
	}
}

// pattern is an endless file that looks like the edges of a form here and there.
type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], "abcdefgh\r\n--edg")
	}
	return len(p), nil
}
