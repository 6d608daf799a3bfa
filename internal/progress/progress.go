// Package progress owns what a long command says while it works: on a terminal
// a bar with rate and remaining time, and elsewhere, such as in a log, a plain
// line now and then.
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

// Output is where progress is shown, usually standard error.
type Output struct {
	w        io.Writer
	terminal bool

	mu  sync.Mutex
	bar *Bar // that is being drawn, on a terminal
}

// To shows progress on w.
func To(w io.Writer) *Output {
	f, ok := w.(*os.File)
	return &Output{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// Bar is one piece of work, measured in bytes. It is safe for concurrent use.
type Bar struct {
	out       *Output
	what      string
	total     int64
	startedAt time.Time

	mu          sync.Mutex
	done        int64
	lastLineAt  time.Time
	terminalBar *progressbar.ProgressBar // nil elsewhere than on a terminal
}

// Start begins a piece of work, such as "sending 12 photographs". One piece is
// under way at a time.
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

// Add notes that n bytes more are done; or fewer, where n is negative, because
// they have to be done again.
func (b *Bar) Add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	if b.terminalBar != nil {
		_ = b.terminalBar.Set64(min(b.done, max(b.total, 1)-1)) // the whole is Done's to say
		return
	}
	if now := time.Now(); now.Sub(b.lastLineAt) >= lineInterval {
		b.lastLineAt = now
		fmt.Fprintf(b.out.w, "%s: %s of %s%s\n", b.what, Bytes(b.done), Bytes(b.total), b.pace(now))
	}
}

// Reader notes what is read from another reader.
func (b *Bar) Reader(r io.Reader) io.Reader { return &reader{r, b} }

// ReadCloser is Reader for what is closed in the end.
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

// pace is the rate until now, and the time that the rest takes at it.
func (b *Bar) pace(now time.Time) string {
	seconds := now.Sub(b.startedAt).Seconds()
	rate := float64(b.done) / seconds
	if rate <= 0 {
		return ""
	}
	remaining := time.Duration(float64(b.total-b.done) / rate * float64(time.Second))
	return fmt.Sprintf(", %s/s, %s left", Bytes(int64(rate)), remaining.Round(time.Second))
}

// Done ends the piece of work.
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

// Say shows a line, above the bar if there is one.
func (o *Output) Say(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bar != nil && o.bar.terminalBar != nil {
		o.bar.mu.Lock()
		defer o.bar.mu.Unlock()
		_ = o.bar.terminalBar.Clear()
	}
	fmt.Fprintf(o.w, format+"\n", args...)
}

// Bytes is a number of bytes as people read it: 1.2 MB.
func Bytes(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
