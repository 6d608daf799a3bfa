// Package progress owns the progress output of a long command: on a terminal a
// bar with rate and remaining time, elsewhere, such as in a log, a plain line
// at intervals. Package progress does not own the work.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// lineInterval is the time between two plain lines.
const lineInterval = 10 * time.Second

// Output shows progress, usually on standard error.
type Output struct {
	w        io.Writer
	terminal bool

	mu  sync.Mutex
	bar *Bar // bar on the terminal, if any
}

// New returns an Output that writes to w.
func New(w io.Writer) *Output {
	f, ok := w.(*os.File)
	return &Output{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// Bar shows the progress of one task, in bytes. Bar is safe for concurrent use.
type Bar struct {
	out       *Output
	what      string
	total     int64
	startedAt time.Time

	mu          sync.Mutex
	done        int64
	lastLineAt  time.Time
	terminalBar *progressbar.ProgressBar // nil without a terminal
}

// Start starts a task, such as "sending 12 photographs". Only one task runs at
// a time.
func (o *Output) Start(what string, total int64) *Bar {
	b := &Bar{out: o, what: what, total: total, startedAt: time.Now(), lastLineAt: time.Now()}
	if o.terminal {
		b.terminalBar = progressbar.NewOptions64(max(total, 1),
			progressbar.OptionSetWriter(o.w), progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true),
			progressbar.OptionShowTotalBytes(true), progressbar.OptionFullWidth(), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
	} else {
		fmt.Fprintf(o.w, "%s: %s\n", what, Bytes(total))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bar = b
	return b
}

// Add adds n bytes to the progress. A negative n takes back bytes, because a
// retry processes the same bytes again.
func (b *Bar) Add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	if b.terminalBar != nil {
		_ = b.terminalBar.Set64(min(b.done, max(b.total, 1)-1)) // only Done completes the bar
		return
	}
	if now := time.Now(); now.Sub(b.lastLineAt) >= lineInterval {
		b.lastLineAt = now
		fmt.Fprintf(b.out.w, "%s: %s of %s%s\n", b.what, Bytes(b.done), Bytes(b.total), b.pace(now))
	}
}

// Reader returns a reader that adds the bytes read from r to the progress.
func (b *Bar) Reader(r io.Reader) io.Reader { return &reader{r, b} }

// ReadCloser is Reader for an io.ReadCloser.
func (b *Bar) ReadCloser(r io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{b.Reader(r), r}
}

type reader struct {
	io.Reader
	bar *Bar
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.bar.Add(int64(n))
	return n, err
}

// pace returns the rate until now and the remaining time at this rate, as text.
func (b *Bar) pace(now time.Time) string {
	seconds := now.Sub(b.startedAt).Seconds()
	rate := float64(b.done) / seconds
	if rate <= 0 {
		return ""
	}
	remaining := time.Duration(float64(b.total-b.done) / rate * float64(time.Second))
	return fmt.Sprintf(", %s/s, %s left", Bytes(int64(rate)), remaining.Round(time.Second))
}

// Done ends the task.
func (b *Bar) Done() {
	b.out.mu.Lock()
	b.out.bar = nil
	b.out.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.terminalBar != nil {
		_ = b.terminalBar.Finish()
	}
}

// Printf writes a line, above the bar if there is one.
func (o *Output) Printf(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bar != nil && o.bar.terminalBar != nil {
		o.bar.mu.Lock()
		defer o.bar.mu.Unlock()
		_ = o.bar.terminalBar.Clear()
	}
	fmt.Fprintf(o.w, format+"\n", args...)
}

// Bytes returns a number of bytes in readable form: 1.2 MB.
func Bytes(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
