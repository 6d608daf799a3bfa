package store

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"tagma/internal/server/config"
	"tagma/internal/testing/testenv"
)

// open opens a store with that database, or the embedded one.
func open(t *testing.T, c *config.Config) *Store {
	t.Helper()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func settings(t *testing.T, database string) *config.Config {
	c := config.Default()
	c.Data, c.Database = filepath.Join(t.TempDir(), "data"), database
	return c
}

func TestSecret_ManyServersAtOnceGetTheSame(t *testing.T) {
	for name, database := range map[string]string{"SQLite": "", "PostgreSQL": testenv.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			c := settings(t, database)
			servers := []*Store{open(t, c), open(t, c)}
			var all [20][]byte
			var group errgroup.Group
			for n := range all {
				group.Go(func() (err error) {
					all[n], err = servers[n%2].Secret(t.Context(), "file links", 0)
					return err
				})
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			for n, one := range all {
				if len(one) != 32 || !bytes.Equal(one, all[0]) || bytes.Equal(one, make([]byte, 32)) {
					t.Errorf("server %d has %d bytes of its own", n, len(one))
				}
			}
			other, err := servers[0].Secret(t.Context(), "another purpose", 0)
			if err != nil || bytes.Equal(other, all[0]) {
				t.Errorf("another purpose has the same: %v", err)
			}
		})
	}
}

func TestOpen_AFreshFolderIsItsOwnersAlone(t *testing.T) {
	c := settings(t, "")
	s := open(t, c)
	about, err := os.Stat(c.Data)
	if err != nil || about.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder: got %v, %v, want 0700", about, err)
	}
	if err := s.Accessible(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.DB.SQL.PingContext(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAccessible_AFolderThatHasGoneIsTold(t *testing.T) {
	s := open(t, settings(t, ""))
	if err := os.RemoveAll(s.Folder); err != nil {
		t.Fatal(err)
	}
	if err := s.Accessible(t.Context()); err == nil {
		t.Error("it is said to be there")
	}
}

func TestOpen_AStoreThatIsNoFolderIsRefused(t *testing.T) {
	for _, storage := range []string{"s3://key:secret@bucket", "s3:", "file:", "files", "://"} {
		c := settings(t, "")
		c.Storage = storage
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(t.Context(), c, nil, nil); err == nil {
			t.Errorf("%s was opened", storage)
			_ = s.Close()
		} else if !strings.HasPrefix(err.Error(), "--storage") || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open %s: got %v, want an error that begins with --storage and has no secret", storage, err)
		}
	}
}

func TestOpen_ABucketThatIsNotThereIsTold(t *testing.T) {
	server := testenv.S3(t)
	server.Enter(t)
	c := settings(t, "")
	c.Storage = server.URL()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	s := open(t, c)
	if err := s.Accessible(t.Context()); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(server.Folder, server.Bucket)); err != nil {
		t.Fatal(err)
	}
	if err := s.Accessible(t.Context()); err == nil || !strings.Contains(err.Error(), "there is no such bucket") {
		t.Errorf("accessible: %v", err)
	}
	if _, err := Open(t.Context(), c, slog.New(slog.DiscardHandler), nil); err == nil || !strings.HasPrefix(err.Error(), "--storage: the bucket photographs") {
		t.Errorf("opened: %v", err)
	}
}

func TestLogger_OnlyFormsAndLevelsThatExist(t *testing.T) {
	for _, c := range []struct {
		format, level string
		fails         bool
	}{
		{"text", "info", false}, {"json", "debug", false}, {"text", "ERROR", false}, {"xml", "info", true}, {"text", "loud", true}, {"", "", true},
	} {
		settings := config.Default()
		settings.LogFormat, settings.LogLevel = c.format, c.level
		if _, err := Logger(settings); (err != nil) != c.fails {
			t.Errorf("Logger(%q, %q): got %v, want an error: %t", c.format, c.level, err, c.fails)
		}
	}
}
