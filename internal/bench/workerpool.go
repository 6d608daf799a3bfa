package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// workerPool is a set of equal processes. A worker reads a line and answers with a line.
type workerPool struct {
	workers []*worker
	free    chan *worker
}

type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log string
}

// startWorkerPool starts the workers one after the other, and waits until each reports ready.
func startWorkerPool(folder string, size int, command func() *exec.Cmd) (*workerPool, error) {
	t := &workerPool{free: make(chan *worker, size)}
	for n := range size {
		w, err := startWorker(filepath.Join(folder, fmt.Sprintf("worker-%d.log", n)), command())
		if err != nil {
			return nil, errors.Join(err, t.close())
		}
		t.workers = append(t.workers, w)
		t.free <- w
	}
	return t, nil
}

func startWorker(log string, cmd *exec.Cmd) (*worker, error) {
	in, out, err := startPiped(cmd, log)
	if err != nil {
		return nil, err
	}
	w := &worker{cmd: cmd, in: in, out: bufio.NewReader(out), log: log}
	line, err := w.line()
	if err == nil && line != "ready" {
		err = fmt.Errorf("%s did not start, but said %.100q", cmd.Path, line)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// line returns the next line of the worker's output.
func (w *worker) line() (string, error) {
	line, err := w.out.ReadString('\n')
	if err != nil {
		stderr, _ := os.ReadFile(w.log)
		return "", fmt.Errorf("%s ended: %s", w.cmd.Path, stderr[max(0, len(stderr)-500):])
	}
	return strings.TrimSuffix(line, "\n"), nil
}

// close ends the worker by closing the worker's input, and waits for the end.
func (w *worker) close() error {
	_ = w.in.Close()
	return w.cmd.Wait()
}

// close ends all workers. A nil pool has no workers.
func (t *workerPool) close() error {
	if t == nil {
		return nil
	}
	var all []error
	for _, w := range t.workers {
		all = append(all, w.close())
	}
	return errors.Join(all...)
}

// do sends a line to a free worker, and returns the answer.
func (t *workerPool) do(line string) (string, error) {
	w := <-t.free
	defer func() { t.free <- w }()
	if _, err := io.WriteString(w.in, line+"\n"); err != nil {
		return "", err
	}
	return w.line()
}

// measureLines returns a runner that sends lines, as many at once as there are clients and
// workers. Next returns a line and the expected answer.
func (t *workerPool) measureLines(minCell time.Duration, next func() (line, want string)) runner {
	return func(_ context.Context, clients int, cell time.Duration) (sample, error) {
		var pids []int
		for _, w := range t.workers {
			pids = append(pids, processTree(w.cmd.Process.Pid)...)
		}
		return measure(pids, min(clients, len(t.workers)), max(minCell, cell), func() error {
			line, want := next()
			answer, err := t.do(line)
			if err == nil && answer != want {
				err = fmt.Errorf("answered %.100q", answer)
			}
			return err
		})
	}
}
