package version

import (
	"runtime/debug"
	"testing"
)

func TestOf_TheLinkersVersionComesFirstThenTheCommit(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "517a8c6d2f0e4b1c9a7d"}
	for _, c := range []struct {
		name, linked string
		info         *debug.BuildInfo
		want         string
	}{
		{"a release", "1.2.0", &debug.BuildInfo{Settings: []debug.BuildSetting{commit}}, "1.2.0"},
		{"a clone", "", &debug.BuildInfo{Settings: []debug.BuildSetting{commit, {Key: "vcs.modified", Value: "false"}}}, "517a8c6d2f0e"},
		{"a changed clone", "", &debug.BuildInfo{Settings: []debug.BuildSetting{commit, {Key: "vcs.modified", Value: "true"}}}, "517a8c6d2f0e-modified"},
		{"files without a repository", "", &debug.BuildInfo{}, "devel"},
		{"no information", "", nil, "devel"},
	} {
		if got := Of(c.linked, c.info); got != c.want {
			t.Errorf("%s is %q, want %q", c.name, got, c.want)
		}
	}
}
