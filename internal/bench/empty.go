package main

import (
	"context"
	"errors"
	"net/url"
	"os"
)

// emptyTarget is a server without data, and a folder for the peers of the server.
type emptyTarget struct {
	tagma       *target
	databaseURL string
	folder      string
}

// withEmptyTarget calls do with an empty server that has the flags, and removes the server's
// data afterwards.
func (s *settings) withEmptyTarget(ctx context.Context, kind, binary string, server url.URL, flags []string, do func(emptyTarget) error) (err error) {
	folder, err := os.MkdirTemp(s.folder, "empty-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	databaseURL, drop, err := createDatabase(ctx, kind, folder, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop(ctx)) }()
	token, err := createTokenAt(ctx, databaseURL)
	if err != nil {
		return err
	}
	tagma, err := startTagma("Tagma", binary, folder, databaseURL, token, nil, flags...)
	if err != nil {
		return err
	}
	defer func() { _ = tagma.close() }()
	return do(emptyTarget{tagma, databaseURL, folder})
}
