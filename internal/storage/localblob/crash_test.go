//go:build unix

package localblob

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tagma/internal/storage/bucket"
)

// The tests here run this test binary once more as another process, which
// does one thing to the bucket in a folder and may be killed.
const (
	childEnv = "LOCALBLOB_TEST_CHILD"
	dirEnv   = "LOCALBLOB_TEST_DIR"
	runEnv   = "LOCALBLOB_TEST_RUN"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "write for ever":
		writeForEver(os.Getenv(dirEnv), os.Getenv(runEnv))
	case "fill the disk":
		fillTheDisk(os.Getenv(dirEnv))
	default:
		os.Exit(m.Run())
	}
}

func child(ctx context.Context, does, dir string, run int) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+does, dirEnv+"="+dir, fmt.Sprintf("%s=%d", runEnv, run))
	cmd.Stderr = os.Stderr
	return cmd
}

// content returns what the test stores under key, the n-th time: a line with n, and
// up to 100 kB that follow from the two.
func content(key string, n int) []byte {
	r := rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%s %d", key, n)))
	b := make([]byte, r.Uint64()%100_000)
	r.Read(b)
	return append(fmt.Appendln(nil, n), b...)
}

// writeForEver writes files until it is killed: new ones, and four that it
// replaces again and again. It prints what was acknowledged.
func writeForEver(dir, run string) {
	b, err := Open(dir)
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("new/%s/%d/%d.jpg", run, worker, n)
				write, body := b.Create, content(key, 0)
				if n%2 == 1 {
					key = fmt.Sprintf("replaced/%s/%d", run, worker)
					write, body = b.Write, content(key, n)
				}
				if err := write(context.Background(), key, bytes.NewReader(body)); err != nil {
					panic(err)
				}
				fmt.Println(key, n) // one write to the pipe
			}
		})
	}
	wg.Wait()
}

func TestCrash_AProcessThatIsKilledLosesNoAcknowledgedBlobAndLeavesNoPartOfOne(t *testing.T) {
	const kills = 30
	b, dir := newBucket(t)
	acknowledged, listed := 0, 0
	for run := range kills {
		acks := writeAndKill(t, dir, run)
		acknowledged += len(acks)
		listed += verify(t, b, run, acks)
	}
	if t.Failed() {
		return
	}
	left := 0
	for _, name := range files(t, dir) {
		if strings.HasPrefix(filepath.Base(name), temporaryPrefix) {
			left++
		}
	}
	removed, err := Sweep(t.Context(), dir, time.Now().Add(2*leftoverAge))
	if err != nil || removed != left {
		t.Errorf("the sweep removed %d of %d temporary files, %v", removed, left, err)
	}
	t.Logf("%d kills: %d writes acknowledged, %d blobs checked, %d temporary files swept", kills, acknowledged, listed, left)
}

// writeAndKill is what the child acknowledged, and the number of its last write
// to each key, until it was killed at a random moment.
func writeAndKill(t *testing.T, dir string, run int) map[string]int {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	cmd := child(ctx, "write for ever", dir, run)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acks := make(map[string]int)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if len(acks) == 0 {
			time.AfterFunc(time.Duration(rand.IntN(200_000))*time.Microsecond, kill)
		}
		key, n, _ := strings.Cut(lines.Text(), " ")
		number, err := strconv.Atoi(n)
		if err != nil {
			t.Fatalf("the child printed %q", lines.Text())
		}
		acks[key] = number
	}
	err = cmd.Wait()
	if killed, ok := errors.AsType[*exec.ExitError](err); !ok || killed.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v", err)
	}
	return acks
}

// verify reads every blob of a run, in a bucket that was open all the time, and
// says how many there were.
func verify(t *testing.T, b *Bucket, run int, acks map[string]int) int {
	t.Helper()
	count := 0
	for _, prefix := range []string{"new", "replaced"} {
		for _, key := range keys(t, b, fmt.Sprintf("%s/%d/", prefix, run)) {
			count++
			got, err := bucket.ReadAll(t.Context(), b, key)
			line, _, _ := bytes.Cut(got, []byte("\n"))
			n, notNumber := strconv.Atoi(string(line))
			if err != nil || notNumber != nil || !bytes.Equal(got, content(key, n)) {
				t.Errorf("file %s: got %d bytes, %v, %v, want a whole one", key, len(got), err, notNumber)
			}
			if prefix == "replaced" && n < acks[key] {
				t.Errorf("%s holds write %d, but %d was acknowledged", key, n, acks[key])
			}
			delete(acks, key)
		}
	}
	for key := range acks {
		t.Errorf("%s was acknowledged and is gone", key)
	}
	return count
}

// fillTheDisk works where no file may grow beyond 1 MiB, which to a program
// looks like a full disk: a write stops in the middle.
func fillTheDisk(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
	b, err := Open(dir)
	if err != nil {
		panic(err)
	}
	defer b.Close()
	for i := range 50 {
		key := fmt.Sprintf("a/%d.jpg", i%2)
		if err := bucket.WriteAll(context.Background(), b, key, make([]byte, 2<<20)); !errors.Is(err, syscall.EFBIG) {
			fmt.Printf("writing too much to %s said: %v\n", key, err)
		}
	}
	if err := bucket.WriteAll(context.Background(), b, "a/2.jpg", []byte("small")); err != nil {
		fmt.Println("writing a little after that said:", err)
	}
}

func TestDiskFull_TheWriteFailsNothingIsLeftAndTheRestWorks(t *testing.T) {
	b, dir := newBucket(t)
	write(t, b, "a/0.jpg", "before")
	cmd := child(t.Context(), "fill the disk", dir, 0)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil || out.Len() > 0 {
		t.Errorf("process that fills the disk: got %v, want exit status 0 and no output\n%s", err, &out)
	}
	for key, want := range map[string]string{"a/0.jpg": "before", "a/2.jpg": "small"} {
		if got, err := bucket.ReadAll(t.Context(), b, key); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v, want %q", key, got, err, want)
		}
	}
	if all := files(t, dir); len(all) != 2 {
		t.Errorf("there are %q", all)
	}
}
