package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"tagma/internal/bench/dataset"
)

// photographs compares uploads to Tagma on SQLite with the steps of the Sticky Pi API, and with
// the same steps on libjpeg-turbo. Both peers run a process for each core, without HTTP.
func (s *settings) photographs(ctx context.Context, binary string, server url.URL) (results []result, err error) {
	if !s.only.MatchString(uploadTitle) {
		return nil, nil
	}
	err = s.withEmptyTarget(ctx, "sqlite", binary, server, nil, func(e emptyTarget) (err error) {
		uploads := &uploads{photo: dataset.Photograph()}
		file := filepath.Join(e.folder, "photograph.jpg")
		if err := os.WriteFile(file, uploads.photo, 0o644); err != nil {
			return err
		}
		python, pythonErr := startStickyPi(e.folder, "photographs", file)
		defer func() { err = errors.Join(err, python.close()) }()
		turbo, turboErr := startTurbo(ctx, e.folder, file)
		defer func() { err = errors.Join(err, turbo.close()) }()
		next := func() (line, want string) { return uploads.name(), "CREATED" }
		results, err = s.compareWith(ctx, "sqlite", uploadTitle, e.tagma.upload(uploads),
			peer{"the Sticky Pi API's steps", atLeast(3), python.measureLines(max(2*s.cell, minUploadTime), next), pythonErr},
			peer{"steps on libjpeg-turbo", atLeast(0.7), turbo.measureLines(max(2*s.cell, minUploadTime), next), turboErr})
		return err
	})
	return results, err
}

//go:embed turbo/steps.c
var turboSteps []byte

// startTurbo compiles and starts the steps on libjpeg-turbo.
func startTurbo(ctx context.Context, folder, photograph string) (*workerPool, error) {
	folder = filepath.Join(folder, "turbo")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, err
	}
	source, program := filepath.Join(folder, "steps.c"), filepath.Join(folder, "steps")
	if err := os.WriteFile(source, turboSteps, 0o644); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "gcc", "-O3", "-o", program, source, "-ljpeg", "-lcrypto").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("apt-get install gcc libc6-dev libjpeg62-turbo-dev libssl-dev (%w: %s)", err, out)
	}
	return startWorkerPool(folder, runtime.NumCPU(), func() *exec.Cmd { return exec.Command(program, folder, photograph) })
}
