package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tagma/internal/bench/dataset"
	"tagma/internal/testing/githost"
)

// Submissions of labels are compared with the git commands that the annotation receiver runs
// for each submission: add, status, commit, push, rev-parse, in a working copy. The receiver
// handles one submission at a time, because two at once fail. Each pushes to its own
// repository with the same files and history, over smart HTTP on this machine.

// Sizes of a measurement.
const (
	submitters    = 100 // clients that submit at once
	minGitCommits = 3   // the least number of git submissions in a round
	callsPerRound = 30  // submissions of one client in one round
)

// labelRow holds the measurements with one database and one number of files.
type labelRow struct {
	database string
	files    int

	pushed, git         []float64       // submissions per second, by round
	up, down, gitCommit []time.Duration // of one submission with the remote up, with the remote down, and of `git commit`
	peak, own           int64           // bytes of memory; own excludes memory that maps files
}

// measureLabels measures submissions of labels, and prints the results.
func (s *settings) measureLabels(ctx context.Context, binary string, server url.URL) error {
	var rows []*labelRow
	for _, files := range s.labels {
		for _, kind := range s.databases {
			r := &labelRow{database: kind, files: files}
			if err := s.measureLabelsOn(ctx, r, binary, server); err != nil {
				return fmt.Errorf("%s, %d files: %w", kind, files, err)
			}
			rows = append(rows, r)
		}
	}
	fmt.Printf("\n### Submissions of labels: %d clients for %s and the time until all is pushed; one client; medians of %d rounds\n\n", submitters, s.cell, s.repeat)
	fmt.Print("| files | database | Tagma: pushed/s | git commands: pushed/s | × | one submission: ms, remote up | remote down | one `git commit`: ms | × | peak MB | without copies of files |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range rows {
		ratios := make([]float64, len(r.pushed))
		for n := range ratios {
			ratios[n] = r.pushed[n] / r.git[n]
		}
		ms := func(of []time.Duration) float64 { return float64(median(of).Microseconds()) / 1000 }
		fmt.Printf("| %d | %s | %s | %s | **%s** | %s | %s | %s | **%s** | %d | %d |\n", r.files, r.database,
			short(median(r.pushed)), short(median(r.git)), short(median(ratios)),
			short(ms(r.up)), short(ms(r.down)), short(ms(r.gitCommit)), short(ms(r.gitCommit)/ms(r.up)), r.peak>>20, r.own>>20)
	}
	return nil
}

func (s *settings) measureLabelsOn(ctx context.Context, r *labelRow, binary string, server url.URL) (err error) {
	folder, err := os.MkdirTemp(s.folder, "labels-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	databaseURL, drop, err := createDatabase(ctx, r.database, folder, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop(ctx)) }()
	progress("%s: making %d files", r.database, r.files)
	token, ours, theirs, err := fillLabels(ctx, folder, databaseURL, r.files)
	if err != nil {
		return err
	}
	defer ours.Down()
	defer theirs.Down()
	secret := filepath.Join(folder, "secret")
	if err := os.WriteFile(secret, []byte(githost.Token), 0o600); err != nil {
		return err
	}
	tagma, err := startTagma("Tagma", binary, folder, databaseURL, token, nil,
		"--labels-repo", ours.Address(), "--labels-username", githost.User, "--labels-token-file", secret)
	if err != nil {
		return err
	}
	defer func() { _ = tagma.close() }()
	defer trackOwnMemory(tagma.cmd.Process.Pid, &r.own)()
	peer, err := newGitPeer(folder, theirs, r.files)
	if err != nil {
		return err
	}
	l := &labelLoad{tagma: tagma}
	l.frame.Store(int64(r.files))
	if err := l.drain(ctx, l.submit(ctx)); err != nil { // makes the server fetch the repository
		return err
	}
	for range s.repeat {
		if err := peer.round(ctx, r, s.cell); err != nil {
			return err
		}
		if err := l.round(ctx, r, s.cell); err != nil {
			return err
		}
		if err := l.drain(ctx, l.submitSerially(ctx, &r.up)); err != nil {
			return err
		}
		ours.Down()
		err := l.submitSerially(ctx, &r.down)
		if err = errors.Join(err, ours.Up()); err != nil {
			return err
		}
		if err := l.drain(ctx, nil); err != nil {
			return err
		}
		n := len(r.pushed) - 1
		progress("%s, %d files: %.0f pushed/s, git commands %.2f/s", r.database, r.files, r.pushed[n], r.git[n])
	}
	return nil
}

// trackOwnMemory stores the highest memory of a process without mapped files in peak, until
// stop is called. Linux records only the peak of all memory, which includes the mapped
// pages of a database.
func trackOwnMemory(pid int, peak *int64) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	ticker := time.NewTicker(10 * time.Millisecond)
	go func() {
		defer close(ended)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				*peak = max(*peak, ownMemory(pid))
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// labelLoad submits labels to a Tagma.
type labelLoad struct {
	tagma *target
	frame atomic.Int64
}

// submit submits the labels of a new frame.
func (l *labelLoad) submit(ctx context.Context) error { return l.send(ctx, l.body()) }

// body returns a request with the labels of a new frame.
func (l *labelLoad) body() []byte { return dataset.Submission(int(l.frame.Add(1))) }

// send sends body to the server, and returns an error unless the labels are accepted.
func (l *labelLoad) send(ctx context.Context, body []byte) error {
	var answer bytes.Buffer
	if err := l.tagma.post(ctx, "/graphql", "application/json", body, &answer); err != nil {
		return err
	}
	if !bytes.Contains(answer.Bytes(), []byte(`"ACCEPTED"`)) {
		return fmt.Errorf("the labels are answered %s", answer.Bytes())
	}
	return nil
}

// round submits with all clients for the time of a cell, and measures until everything is
// pushed.
func (l *labelLoad) round(ctx context.Context, r *labelRow, cell time.Duration) error {
	began := time.Now()
	m, err := l.tagma.measure(submitters, cell, func() error { return l.submit(ctx) })
	progress("%d submissions recorded in %s, with %s of CPU", m.requests, m.took, m.cpu)
	if err := l.drain(ctx, err); err != nil {
		return err
	}
	r.pushed = append(r.pushed, float64(m.requests)/time.Since(began).Seconds())
	r.peak = max(r.peak, usageOf(processTree(l.tagma.cmd.Process.Pid)).peak)
	return nil
}

// submitSerially measures the answers to one client.
func (l *labelLoad) submitSerially(ctx context.Context, latencies *[]time.Duration) error {
	for range callsPerRound {
		body := l.body()
		sent := time.Now()
		if err := l.send(ctx, body); err != nil {
			return err
		}
		*latencies = append(*latencies, time.Since(sent))
	}
	return nil
}

// drain waits until everything is pushed. drain returns cause at once if cause is not nil.
func (l *labelLoad) drain(ctx context.Context, cause error) error {
	const query = `{"query": "{ a: labelSubmissions(filter: {status: QUEUED}, first: 1) { nodes { id } } b: labelSubmissions(filter: {status: COMMITTED}, first: 1) { nodes { id } } c: labelSubmissions(filter: {status: FAILED}, first: 1) { nodes { failure } } }"}`
	for cause == nil {
		var answer bytes.Buffer
		if err := l.tagma.post(ctx, "/graphql", "application/json", []byte(query), &answer); err != nil {
			return err
		}
		var got struct {
			Data struct {
				A, B, C struct{ Nodes []struct{ Failure string } }
			}
		}
		if err := json.Unmarshal(answer.Bytes(), &got); err != nil {
			return err
		}
		if len(got.Data.C.Nodes) > 0 {
			return errors.New(got.Data.C.Nodes[0].Failure)
		}
		if len(got.Data.A.Nodes)+len(got.Data.B.Nodes) == 0 {
			return nil
		}
		<-time.After(50 * time.Millisecond)
	}
	return cause
}

// gitPeer runs the git commands in a working copy.
type gitPeer struct {
	work  string
	frame int
}

func newGitPeer(folder string, h *githost.Host, frame int) (*gitPeer, error) {
	p := &gitPeer{work: filepath.Join(folder, "work"), frame: frame}
	header := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(githost.User+":"+githost.Token))
	if out, err := githost.Git("", "-c", "http.extraHeader="+header, "clone", "--quiet", h.Address(), p.work); err != nil {
		return nil, fmt.Errorf("git clone: %w: %s", err, out)
	}
	out, err := githost.Git(p.work, "config", "http.extraHeader", header)
	if err != nil {
		err = fmt.Errorf("git config: %w: %s", err, out)
	}
	return p, err
}

// round submits one frame after the other for the time of a cell.
func (p *gitPeer) round(ctx context.Context, r *labelRow, cell time.Duration) error {
	began := time.Now()
	n := 0
	for ; n < minGitCommits || time.Since(began) < cell; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		took, err := p.submit()
		if err != nil {
			return err
		}
		r.gitCommit = append(r.gitCommit, took)
	}
	r.git = append(r.git, float64(n)/time.Since(began).Seconds())
	return nil
}

// submit pushes one file to the remote, and returns the duration of `git commit`.
func (p *gitPeer) submit() (commit time.Duration, err error) {
	p.frame++
	name, content := labelFile(p.frame)
	path := filepath.Join(p.work, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return 0, err
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		return 0, err
	}
	for _, args := range [][]string{
		{"add", path}, {"status", "--porcelain"}, {"commit", "--quiet", "-m", "annotation: " + filepath.Base(name)},
		{"push", "--quiet", "origin", "main"}, {"rev-parse", "HEAD"},
	} {
		began := time.Now()
		if out, err := githost.Git(p.work, args...); err != nil {
			return 0, fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(out))
		}
		if slices.Contains(args, "commit") {
			commit = time.Since(began)
		}
	}
	return commit, nil
}
