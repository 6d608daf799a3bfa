// Package version owns the version of a build of Tagma. The package does not own the release: the
// linker sets the version of a release by the flag -X main.version.
package version

import "runtime/debug"

// Development is the version of a build without a known commit: a build by "go run", or from
// files without a repository.
const Development = "devel"

// digits is the number of hex digits of a commit id in a version.
const digits = 12

// Of returns the version of a build: linked, if the linker has set linked, else the commit in
// info, with "-modified" if files were changed after the commit. Info may be nil.
func Of(linked string, info *debug.BuildInfo) string {
	if linked != "" {
		return linked
	}
	if info == nil {
		return Development
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	commit := settings["vcs.revision"]
	if commit == "" {
		return Development
	}
	commit = commit[:min(digits, len(commit))]
	if settings["vcs.modified"] == "true" {
		commit += "-modified"
	}
	return commit
}
