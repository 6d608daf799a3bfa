// Package version owns what a build of Tagma calls itself. It does not own how
// a release is built: the linker's flag -X main.version names one.
package version

import "runtime/debug"

// Development is the version of a build of which nobody knows the commit: one
// by "go run", or from files without their repository.
const Development = "devel"

// digits is how many of a commit's id are shown.
const digits = 12

// Of returns the version of a build: linked, which the linker has set, or else
// the commit that the go command has noted, with "-modified" if files were
// changed since. Info may be nil.
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
