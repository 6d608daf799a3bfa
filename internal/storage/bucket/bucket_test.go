package bucket_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/iotest"

	"tagma/internal/storage/bucket"
)

func TestCheckKey(t *testing.T) {
	for _, key := range []string{"a", "images/0a5bb6f4/2020-06/x.jpg", "ä ☺/..a", strings.Repeat("x", 1024)} {
		if err := bucket.CheckKey(key); err != nil {
			t.Errorf("CheckKey(%.30q): got %v, want no error", key, err)
		}
	}
	for _, key := range []string{"", ".", "..", "a//b", "/a", "a/", "a/./b", "a/../b", "a\tb", "a\u0085b", "\xff", strings.Repeat("x", 1025)} {
		if err := bucket.CheckKey(key); !errors.Is(err, fs.ErrInvalid) || len(err.Error()) > 300 {
			t.Errorf("CheckKey(%.30q): got %v, want %v in a line", key, err, fs.ErrInvalid)
		}
	}
}

func TestCheckAtEOF_AFailedCheckReplacesTheEnd(t *testing.T) {
	errAltered := errors.New("altered")
	for name, c := range map[string]struct {
		source io.Reader
		check  error
		want   error
	}{
		"a check that passes":                {strings.NewReader("bytes"), nil, nil},
		"a check that fails":                 {strings.NewReader("bytes"), errAltered, errAltered},
		"a check that fails with the bytes":  {iotest.DataErrReader(strings.NewReader("bytes")), errAltered, errAltered},
		"a source that fails before a check": {io.MultiReader(strings.NewReader("bytes"), iotest.ErrReader(io.ErrNoProgress)), errAltered, io.ErrNoProgress},
	} {
		got, err := io.ReadAll(bucket.CheckAtEOF(c.source, func() error { return c.check }))
		if string(got) != "bytes" || !errors.Is(err, c.want) {
			t.Errorf("read with %s: got %q, %v, want the bytes and %v", name, got, err, c.want)
		}
	}
}
