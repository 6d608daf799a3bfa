package main

import (
	"context"
	"errors"
	"net/url"
	"os"
)

// empty is a server without any data, and a folder for whoever is measured
// beside it.
type emptyTarget struct {
	tagma       *target
	databaseURL string
	folder      string
}

// onEmpty does something with an empty server that has these flags, and leaves
// nothing of it.
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
