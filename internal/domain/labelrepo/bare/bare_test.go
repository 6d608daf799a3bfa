package bare

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const branch = "refs/heads/main"

func open(t *testing.T, dir string) *Repo {
	t.Helper()
	r, err := Open(dir, "main", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// git runs the real git in the repository.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// chain adds n commits with a growing tree to p and returns the last commit.
func chain(p *Pack, parent Hash, n int, text string) Hash {
	var tree []byte
	var previous Hash
	for i := range n {
		blob := p.Add(Blob, fmt.Appendf(nil, "%s %d\n", text, i))
		line := fmt.Appendf(nil, "100644 %06d.json\x00%s", i, blob[:])
		at := len(tree)
		tree = append(tree, line...)
		previous = p.AddDelta(Tree, previous, bytes.Clone(tree), Edit{Offset: at, Added: len(line)})
		commit := "tree " + previous.String() + "\n"
		if !parent.IsZero() {
			commit += "parent " + parent.String() + "\n"
		}
		commit += "author A <a@example.org> 1600000000 +0000\ncommitter C <c@example.org> 1600000000 +0000\n\n" + text + "\n"
		parent = p.Add(Commit, []byte(commit))
	}
	return parent
}

func newPack(t *testing.T, r *Repo) *Pack {
	t.Helper()
	p, err := r.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Discard)
	return p
}

func publish(r *Repo, p *Pack) error { return errors.Join(p.Seal(), r.Publish(p)) }

func TestPack_GitReadsWhatWasWrittenAndSoDoWe(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	p := newPack(t, r)
	tip := chain(p, Hash{}, 200, "first")
	if err := publish(r, p); err != nil {
		t.Fatal(err)
	}
	if err := r.MoveRef(branch, Hash{}, tip); err != nil {
		t.Fatal(err)
	}
	if out := git(t, dir, "fsck", "--strict", "--full"); strings.Contains(out, "dangling") {
		t.Errorf("git fsck: got %s, want no dangling objects", out)
	}
	if got := strings.Count(git(t, dir, "log", "--format=%H", "main"), "\n"); got != 200 {
		t.Errorf("git log shows %d commits, want 200", got)
	}
	for _, e := range p.entries {
		kind, content, err := r.Read(e.hash)
		if err != nil || HashObject(kind, content) != e.hash {
			t.Fatalf("read %s: got %s, %v, want the same hash", e.hash, HashObject(kind, content), err)
		}
	}
	if size := p.Content().Size(); size > 100_000 {
		t.Errorf("200 versions of one tree: got a pack of %d bytes, want at most 100000", size)
	}
}

func TestPack_GitReadsAnIndexWithPlacesBeyondTwoGigabytes(t *testing.T) {
	var entries []entry
	var want []string
	for n, offset := range []int64{12, 1<<31 - 1, 1 << 31, 5 << 31} {
		e := entry{hash: HashObject(Blob, []byte{byte(n)}), crc: uint32(n), offset: offset}
		entries = append(entries, e)
		want = append(want, fmt.Sprintf("%d %s (%08x)", offset, e.hash, n))
	}
	var index bytes.Buffer
	if err := writeIndex(&index, entries, Hash{1}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "show-index")
	cmd.Stdin = &index
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range want {
		if !strings.Contains(string(out), line+"\n") {
			t.Errorf("git show-index: got\n%swant the line %s", out, line)
		}
	}
}

func TestRead_WhatGitRepackedIsReadThroughItsDeltas(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	p := newPack(t, r)
	tip := chain(p, Hash{}, 300, "text")
	if err := errors.Join(publish(r, p), r.MoveRef(branch, Hash{}, tip)); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "gc", "--aggressive", "--prune=now")
	if got, err := r.Ref(branch); err != nil || got != tip {
		t.Fatalf("after git gc: got the branch at %s, %v, want %s", got, err, tip)
	}
	fresh := func() *Repo { // without the packs in memory
		r.Close()
		return open(t, dir)
	}()
	for _, e := range p.entries {
		if _, _, err := fresh.Read(e.hash); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRead_ALooseObjectOfAnotherGitIsFound(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	cmd := exec.Command("git", "-C", dir, "hash-object", "-w", "--stdin")
	cmd.Stdin = strings.NewReader("hello\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	kind, content, err := r.Read(HashObject(Blob, []byte("hello\n")))
	if err != nil || kind != Blob || string(content) != "hello\n" {
		t.Errorf("object %s: got %v %q, %v, want a blob with hello", strings.TrimSpace(string(out)), kind, content, err)
	}
}

func TestRead_AFlippedBitIsNeverReadAsContent(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	p := newPack(t, r)
	chain(p, Hash{}, 30, "text")
	if err := publish(r, p); err != nil {
		t.Fatal(err)
	}
	r.Close()
	packs, _ := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
	whole, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(packs[0], 0o600); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		at, bit := random.IntN(len(whole)), byte(1)<<random.IntN(8)
		whole[at] ^= bit
		if err := os.WriteFile(packs[0], whole, 0o600); err != nil {
			t.Fatal(err)
		}
		whole[at] ^= bit
		r, err := Open(dir, "main", false)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d: got %v from Open, want no error or ErrDamaged", at, err)
			}
			continue
		}
		for _, e := range p.entries {
			kind, content, err := r.Read(e.hash)
			if err == nil && HashObject(kind, content) != e.hash || err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d: read %s: got %s, %v, want the same hash or ErrDamaged", at, e.hash, HashObject(kind, content), err)
			}
		}
		r.Close()
	}
}

func TestIngest_APackOfAnotherGitGetsTheIndexThatGitWouldMake(t *testing.T) {
	for name, args := range map[string][]string{
		"deltas by place": {"--delta-base-offset", "--depth=50", "--window=50"},
		"deltas by name":  {"--depth=50", "--window=50"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := t.TempDir(), t.TempDir()
			r := open(t, from)
			p := newPack(t, r)
			tip := chain(p, Hash{}, 300, "text")
			if err := errors.Join(publish(r, p), r.MoveRef(branch, Hash{}, tip)); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("git", append([]string{"-C", from, "pack-objects", "--revs", "--stdout", "--quiet", "--no-reuse-delta"}, args...)...)
			cmd.Stdin = strings.NewReader("main\n")
			packed, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			copied := open(t, to)
			if err := errors.Join(copied.Ingest(bytes.NewReader(packed)), copied.MoveRef(branch, Hash{}, tip)); err != nil {
				t.Fatal(err)
			}
			git(t, to, "fsck", "--strict", "--full")
			packs, _ := filepath.Glob(filepath.Join(to, "objects/pack/*.pack"))
			ours, err := os.ReadFile(indexPathOf(packs[0]))
			if err != nil {
				t.Fatal(err)
			}
			git(t, to, "index-pack", "-o", filepath.Join(to, "theirs.idx"), packs[0])
			theirs, err := os.ReadFile(filepath.Join(to, "theirs.idx"))
			if err != nil || !bytes.Equal(ours, theirs) {
				t.Errorf("got an index of %d bytes, want the %d bytes that git writes: %v", len(ours), len(theirs), err)
			}
			for _, cut := range []int{0, 11, 40, len(packed) / 2, len(packed) - 1} {
				if err := copied.Ingest(bytes.NewReader(packed[:cut])); !errors.Is(err, ErrDamaged) {
					t.Errorf("pack cut at byte %d: got %v, want ErrDamaged", cut, err)
				}
			}
		})
	}
}

func TestTidy_ManySmallPacksBecomeFewAndNothingIsLost(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	var tip Hash
	var hashes []Hash
	for i := range 100 {
		p := newPack(t, r)
		next := chain(p, tip, 5, fmt.Sprint("batch ", i))
		if err := errors.Join(publish(r, p), r.MoveRef(branch, tip, next), r.MergePacks()); err != nil {
			t.Fatal(err)
		}
		tip = next
		for _, e := range p.entries {
			hashes = append(hashes, e.hash)
		}
	}
	if packs, _ := filepath.Glob(filepath.Join(dir, "objects/pack/*")); len(packs) > 4*mergeCount {
		t.Errorf("after 100 batches: got %d files of packs, want at most %d", len(packs), 4*mergeCount)
	}
	if out := git(t, dir, "fsck", "--strict", "--full"); strings.Contains(out, "dangling") {
		t.Errorf("git fsck: got %s, want no dangling objects", out)
	}
	for _, h := range hashes {
		if _, _, err := r.Read(h); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMoveRef_OnlyFromWhereTheCallerBelievesItToBe(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	p := newPack(t, r)
	one := chain(p, Hash{}, 1, "one")
	two := chain(p, one, 1, "two")
	if err := publish(r, p); err != nil {
		t.Fatal(err)
	}
	if err := r.MoveRef(branch, one, two); !errors.Is(err, ErrMoved) {
		t.Errorf("from a wrong value: got %v, want ErrMoved", err)
	}
	if err := r.MoveRef(branch, Hash{}, one); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "update-ref", branch, two.String())
	if err := r.MoveRef(branch, one, one); !errors.Is(err, ErrMoved) {
		t.Errorf("after another git moved the branch: got %v, want ErrMoved", err)
	}
	lock := filepath.Join(dir, branch+".lock")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.MoveRef(branch, two, one); !errors.Is(err, ErrMoved) {
		t.Errorf("while another git holds the lock: got %v, want ErrMoved", err)
	}
	if got, err := r.Ref(branch); got != two || err != nil {
		t.Errorf("got the branch at %s, %v, want %s", got, err, two)
	}
}

func TestOpen_SweepsWhatAKilledProcessLeft(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	p := newPack(t, r)
	tip := chain(p, Hash{}, 1, "one")
	if err := errors.Join(publish(r, p), r.MoveRef(branch, Hash{}, tip)); err != nil {
		t.Fatal(err)
	}
	r.Close()

	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string) {
		if err := os.WriteFile(at(name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(temporaryPrefix + "ref")
	if err := os.Link(at(temporaryPrefix+"ref"), at(branch+".lock")); err != nil { // a lock of this package
		t.Fatal(err)
	}
	write("objects/pack/" + temporaryPrefix + "pack")
	write("objects/pack/pack-0000000000000000000000000000000000000000.idx")
	write("refs/heads/old.lock")
	if err := os.Chtimes(at("refs/heads/old.lock"), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	write("refs/heads/live.lock") // a recent lock of another git

	r = open(t, dir)
	for name, stays := range map[string]bool{
		temporaryPrefix + "ref":                    false,
		branch + ".lock":                           false,
		"objects/pack/" + temporaryPrefix + "pack": false,
		"objects/pack/pack-0000000000000000000000000000000000000000.idx": false,
		"refs/heads/old.lock":  false,
		"refs/heads/live.lock": true,
	} {
		if _, err := os.Stat(at(name)); (err == nil) != stays {
			t.Errorf("%s: got exists %v, want %v", name, err == nil, stays)
		}
	}
	if got, err := r.Ref(branch); got != tip || err != nil {
		t.Errorf("got the branch at %s, %v, want %s", got, err, tip)
	}
}

func TestOpen_AFolderOfSomethingElseIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, "main", false); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v, want ErrForeign", err)
	}
}

func TestOpen_ARepositoryOfSomebodyIsNotTakenForADisposableOne(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "--bare", "--quiet")
	if _, err := Open(dir, "main", true); !errors.Is(err, ErrForeign) {
		t.Errorf("as a disposable repository: got %v, want ErrForeign", err)
	}
	open(t, dir) // not disposable
}

func TestOpen_ASecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(dir, "main", false); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
}

func TestIngest_AMutatedPackDoesNoHarm(t *testing.T) {
	r := open(t, t.TempDir())
	p := newPack(t, r)
	chain(p, Hash{}, 3, "text")
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(io.NewSectionReader(p.Content(), 0, p.Content().Size()-hashSize))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pack")
	random := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		mutant := bytes.Clone(whole)
		for range 1 + random.IntN(3) {
			mutant[random.IntN(len(mutant))] = byte(random.Uint32())
		}
		sum := sha1.Sum(mutant) // a valid checksum, so the entries are read
		if err := os.WriteFile(path, append(mutant, sum[:]...), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		entries, _, err := r.indexPack(f)
		f.Close()
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("pack %x: got %v, want no error or ErrDamaged", mutant, err)
		}
		if err == nil && len(entries) != p.Len() {
			t.Fatalf("got %d entries and no error, want %d entries", len(entries), p.Len())
		}
	}
}

func TestApplyDelta_ASizeThatTheDeltaOnlyClaimsTakesNoMemory(t *testing.T) {
	base := bytes.Repeat([]byte("abc"), 100)
	delta := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(base))), maxObject)
	delta = append(delta, 1, 'x')
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := applyDelta(base, delta)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrDamaged) || used > 1<<20 {
		t.Errorf("got %v and %d bytes allocated, want %v and at most a MiB", err, used, ErrDamaged)
	}
}

func FuzzApplyDelta(f *testing.F) {
	base := bytes.Repeat([]byte("abc"), 100)
	f.Add(base, encodeDelta(base[:200], Edit{Offset: 100, Removed: 100, Added: 0}))
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		_, _ = applyDelta(base, delta) // must not panic
	})
}
