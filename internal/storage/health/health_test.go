package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/lib/pq"

	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/storage/localblob"
)

// canary stands for what a caller must not read.
const canary = "/a/secret/path"

// file returns the error of a write below a folder.
func file(err error) error {
	return fmt.Errorf("keep a file: %w", &localblob.WriteError{Dir: canary, Err: &fs.PathError{Op: "write", Path: "a.jpg", Err: err}})
}

func TestKindOf_SaysWhatIsFullOrRefused(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{file(syscall.ENOSPC), DiskFull},
		{file(syscall.EDQUOT), QuotaReached},
		{file(syscall.EROFS), ReadOnly},
		{file(syscall.EACCES), NoPermission},
		{file(syscall.EPERM), NoPermission},
		{file(syscall.EIO), Broken},
		{file(localblob.ErrMoved), Moved},
		{file(syscall.ENOENT), ""},
		{&fs.PathError{Op: "read", Path: "a.jpg", Err: syscall.EACCES}, ""}, // of a read
		{&pq.Error{Code: "53100"}, DiskFull},
		{&pq.Error{Code: "25006"}, ReadOnly},
		{&pq.Error{Code: "58030"}, Broken},
		{&pq.Error{Code: "53300"}, ""}, // too_many_connections
		{&smithy.GenericAPIError{Code: "XMinioStorageFull"}, DiskFull},
		{&smithy.GenericAPIError{Code: "QuotaExceeded"}, QuotaReached},
		{&smithy.GenericAPIError{Code: "NoSuchKey"}, ""},
		{errors.New(canary), ""},
		{nil, ""},
	} {
		got := KindOf(c.err)
		if got != c.want {
			t.Errorf("%v is %q, want %q", c.err, got, c.want)
		}
		if got == "" {
			continue
		}
		if got.Remedy() == "" {
			t.Errorf("%q has no remedy", got)
		}
		told := Fault(c.err)
		if told.Code != fault.Unavailable || !strings.Contains(told.Message, string(c.want)) || strings.Contains(told.Error(), canary) {
			t.Errorf("of %v a caller reads %s %q", c.err, told.Code, told.Error())
		}
	}
}

func TestOfSQLite_TellsWritesFromReads(t *testing.T) {
	for code, want := range map[int]Kind{
		13: DiskFull, 8: ReadOnly, 1544: NoPermission, 1032: Moved, 14: Unopened, 3: NoPermission, 778: Broken, 10: Broken,
		266: "", 522: "", 5: "", 1: "", 19: "", 2067: "",
	} {
		if got := ofSQLite(code); got != want {
			t.Errorf("result code %d is %q, want %q", code, got, want)
		}
	}
}

func TestWrites_AFailureLastsUntilAWriteWorks(t *testing.T) {
	var logs bytes.Buffer
	now, probes := instant.Instant(1_000_000), 0
	var outcome error
	w := NewWrites(slog.New(slog.NewTextHandler(&logs, nil)), func() instant.Instant { return now }, "/data/tagma.db",
		func(ctx context.Context) error {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("a probe may take for ever")
			}
			probes++
			return outcome
		})
	is := func(what string, got, want Kind, after int) {
		t.Helper()
		if got != want || probes != after {
			t.Errorf("%s: %q after %d probes, want %q after %d", what, got, probes, want, after)
		}
	}
	is("at first nothing is known", w.Current(t.Context()), "", 0)
	w.Observe(t.Context(), errors.New("something else"))
	is("another error is none of a write", w.Current(t.Context()), "", 0)

	outcome = file(syscall.ENOSPC)
	w.Observe(t.Context(), outcome)
	w.Observe(t.Context(), outcome)
	is("a write failed", w.Current(t.Context()), DiskFull, 1)
	is("a probe is not repeated at once", w.Probe(t.Context()), DiskFull, 1)
	now = now.Add(probeInterval)
	outcome = errors.New("the database is not reached")
	is("what is not about writing changes nothing", w.Current(t.Context()), DiskFull, 2)
	if count := strings.Count(logs.String(), "level=ERROR"); count != 1 {
		t.Errorf("it is logged %d times, want once: %s", count, logs.String())
	}
	for _, part := range []string{canary, "/data/tagma.db", "disk full", "room"} {
		if !strings.Contains(logs.String(), part) {
			t.Errorf("the log does not say %q: %s", part, logs.String())
		}
	}

	now, outcome = now.Add(probeInterval), nil
	is("there is room again", w.Current(t.Context()), "", 3)
	if !strings.Contains(logs.String(), "writing works again") {
		t.Errorf("the log does not say that it works again: %s", logs.String())
	}
	now = now.Add(time.Hour)
	is("while it works nothing is probed", w.Current(t.Context()), "", 3)
	outcome = file(syscall.EROFS)
	is("but if it is asked for", w.Probe(t.Context()), ReadOnly, 4)
}

func TestWrites_OneProbeAtATimeAndNobodyWaitsForIt(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	w := NewWrites(slog.New(slog.DiscardHandler), instant.System, "", func(context.Context) error {
		close(inside)
		<-leave
		return file(syscall.ENOSPC)
	})
	done := make(chan Kind)
	go func() { done <- w.Probe(t.Context()) }()
	<-inside
	if got := w.Probe(t.Context()); got != "" {
		t.Errorf("meanwhile it is %q, want what was known before", got)
	}
	close(leave)
	if got := <-done; got != DiskFull {
		t.Errorf("the probe says %q", got)
	}
}

func TestExplain_LeavesOtherErrorsAsTheyAre(t *testing.T) {
	var none *Writes
	other := errors.New("something else")
	if got := none.Explain(t.Context(), other); got != other { //nolint:errorlint // the very same
		t.Errorf("Explain: got %v, want %v", got, other)
	}
	if got := fault.CodeOf(none.Explain(t.Context(), file(syscall.ENOSPC))); got != fault.Unavailable {
		t.Errorf("a full disk is %s", got)
	}
}
