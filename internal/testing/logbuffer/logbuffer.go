// Package logbuffer owns a log in memory: a test reads the log while the code under test
// writes. Package logbuffer does not own the format of a log.
package logbuffer

import (
	"log/slog"
	"strings"
	"sync"
)

// Buffer holds the text of a log. The zero value is empty. A Buffer is safe for concurrent
// use.
type Buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns the text written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Logger returns a logger that writes lines of at least the given level to b.
func (b *Buffer) Logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level}))
}
