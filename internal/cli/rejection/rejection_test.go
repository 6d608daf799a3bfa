package rejection

import (
	"path/filepath"
	"testing"
)

func TestMemory_LastsForOneServerInOneState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rejections.db")
	const name, md5 = "0a5bb6f4.2020-06-20_20-00-00.jpg", "900150983cd24fb0d6963f7d28e17f72"
	reason := func(server, state, name, md5 string) string {
		t.Helper()
		m, err := Open(t.Context(), path, server, state)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return m.Reason(t.Context(), name, md5)
	}
	m, err := Open(t.Context(), path, "http://one", "1")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"no reason", "cut off"} {
		if err := m.Add(t.Context(), name, md5, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ server, state, name, md5, want string }{
		{"http://one", "1", name, md5, "cut off"},
		{"http://one", "1", name, "d41d8cd98f00b204e9800998ecf8427e", ""},
		{"http://one", "1", "other.jpg", md5, ""},
		{"http://other", "2", name, md5, ""},
		{"http://one", "1", name, md5, "cut off"},
		{"http://one", "2", name, md5, ""}, // another version may take it
		{"http://one", "1", name, md5, ""},
	} {
		if got := reason(c.server, c.state, c.name, c.md5); got != c.want {
			t.Errorf("reason of %+v: got %q, want %q", c, got, c.want)
		}
	}
	var none *Memory
	if none.Reason(t.Context(), name, md5) != "" || none.Add(t.Context(), name, md5, "x") != nil || none.Close() != nil {
		t.Error("a nil memory: got a reason or an error, want neither")
	}
}
