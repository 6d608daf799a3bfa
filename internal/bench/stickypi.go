package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"tagma/internal/bench/jobs"
)

// The steps of the Sticky Pi API run in Python, in a process for each core.

//go:embed stickypi/steps.py
var stickyPiSteps []byte

// startStickyPi starts the steps for a job. Debian's Python comes first, because Debian has the
// libraries as packages.
func startStickyPi(folder, job, argument string) (*workerPool, error) {
	folder = filepath.Join(folder, "stickypi")
	script := filepath.Join(folder, "steps.py")
	if err := errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o755), os.WriteFile(script, stickyPiSteps, 0o644)); err != nil {
		return nil, err
	}
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import PIL, sqlalchemy").Run() == nil {
			return startWorkerPool(folder, runtime.NumCPU(), func() *exec.Cmd { return exec.Command(python, script, job, folder, argument) })
		}
	}
	return nil, errors.New("apt-get install python3 python3-pil python3-sqlalchemy")
}

// fingerprints compares diffImages on both databases with the look-ups of the Sticky Pi API in
// its own table of the same images.
func (s *settings) fingerprints(ctx context.Context, binary string, server url.URL) ([]result, error) {
	for _, j := range jobs.All() {
		if j.Name == "diff" && s.only.MatchString(j.Title) {
			return s.diff(ctx, j, binary, server)
		}
	}
	return nil, nil
}

func (s *settings) diff(ctx context.Context, j jobs.Job, binary string, server url.URL) (results []result, err error) {
	l, urls, err := s.startTagmas(ctx, binary, server)
	defer func() { l.close() }()
	if err != nil {
		return nil, err
	}
	python, pythonErr := startStickyPi(s.folder, "fingerprints", strings.TrimPrefix(urls.sqlite, "sqlite:"))
	defer func() { err = errors.Join(err, python.close()) }()
	for n, database := range []string{"postgres", "sqlite"} {
		requests, err := l[n].requests(ctx, j, s.data)
		if err != nil {
			return nil, err
		}
		lines := make([]string, len(requests))
		verdicts := make([]string, len(requests))
		for variant := range requests {
			images, err := json.Marshal(j.Variables(s.data, variant)["images"])
			if err != nil {
				return nil, err
			}
			lines[variant] = string(images)
			if verdicts[variant], err = l[n].verdicts(ctx, requests[variant]); err != nil {
				return nil, err
			}
		}
		var count atomic.Int64
		next := func() (line, want string) {
			variant := int(count.Add(1)) % len(lines)
			return lines[variant], verdicts[variant]
		}
		compared, err := s.compareWith(ctx, database, j.Title, l[n].load(requests),
			peer{"the Sticky Pi API's look-ups", atLeast(20), python.measureLines(s.cell, next), pythonErr})
		if err != nil {
			return nil, err
		}
		results = append(results, compared...)
	}
	return results, nil
}

// verdicts returns Tagma's verdicts on fingerprints, separated by spaces.
func (c *target) verdicts(ctx context.Context, r request) (string, error) {
	answer, err := c.answer(ctx, r)
	if err != nil {
		return "", err
	}
	data, _ := answer.(map[string]any)["data"].(map[string]any)
	images, _ := data["diffImages"].([]any)
	all := make([]string, len(images))
	for n, image := range images {
		all[n], _ = image.(map[string]any)["verdict"].(string)
	}
	return strings.Join(all, " "), nil
}
