package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/pflag"
)

// FromEnvironment sets the settings that were not given as flags from TAGMA_…
// variables.
func FromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var problems []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := Variable(f.Name)
		value, ok := lookup(name)
		if _, isSetting := f.Annotations[setting]; !isSetting || !ok || f.Changed {
			return
		}
		if flags.Set(f.Name, value) != nil { // its error would repeat the value, which may be secret
			problems = append(problems, fmt.Errorf("%s is not what --%s takes: give %s", name, f.Name, Form(f)))
		}
	})
	return errors.Join(problems...)
}

// Variable is the environment variable of a flag.
func Variable(flag string) string {
	return "TAGMA_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Form says what a flag takes, such as a length of time.
func Form(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "duration":
		return "a number with a unit, such as 30s, 5m or 2h"
	case "int", "int64":
		return "a whole number"
	case "bool":
		return "true or false"
	}
	return "a text"
}

// variables returns the environment variables that Tagma reads.
func variables() []string {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	server := Default()
	server.StoreFlags(flags)
	server.ServeFlags(flags)
	server.LabelFlags(flags)
	DefaultClient().Flags(flags)
	names := map[string]bool{TokenVariable: true}
	flags.VisitAll(func(f *pflag.Flag) { names[Variable(f.Name)] = true })
	return slices.Sorted(maps.Keys(names))
}

// others are variables that begin as Tagma's do and are not for Tagma: those of
// its tests, and those by which Kubernetes and Docker name a service "tagma" to
// every container beside it.
var foreignVariables = regexp.MustCompile(`^TAGMA_TEST_|_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP).*)?$`)

// CheckVariables looks in an environment, a list of NAME=value, for variables
// that begin with TAGMA_ and that Tagma does not read. A variable that is nearly
// the name of a setting is a mistake, which is the error; the other names are
// returned. No value is repeated.
func CheckVariables(environment []string) (unknown []string, err error) {
	names := variables()
	var problems []error
	for _, pair := range slices.Sorted(slices.Values(environment)) {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "TAGMA_") || slices.Contains(names, name) || foreignVariables.MatchString(name) {
			continue
		}
		if nearest := Nearest(name, names); nearest != "" {
			problems = append(problems, fmt.Errorf("there is no setting %s: do you mean %s?", name, nearest))
		} else {
			unknown = append(unknown, name)
		}
	}
	return unknown, errors.Join(problems...)
}

// nearly is how many letters two names may differ in that are the same but for
// a slip.
const maxTypos = 2

// Nearest returns the one of names that word is but for a slip, or "" if there
// is none.
func Nearest(word string, names []string) string {
	best, least := "", maxTypos+1
	for _, name := range names {
		if d := levenshtein.ComputeDistance(word, name); d < least && d < len(name) {
			best, least = name, d
		}
	}
	return best
}
