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

// FromEnvironment sets settings from TAGMA_… variables. A flag on the command line
// overrides the variable.
func FromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var problems []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := Variable(f.Name)
		value, ok := lookup(name)
		if _, isSetting := f.Annotations[setting]; !isSetting || !ok || f.Changed {
			return
		}
		if flags.Set(f.Name, value) != nil { // the error is not shown, because it contains the value, which may be secret
			problems = append(problems, fmt.Errorf("%s is not what --%s takes: give %s", name, f.Name, Form(f)))
		}
	})
	return errors.Join(problems...)
}

// Variable returns the environment variable of a flag.
func Variable(flag string) string {
	return "TAGMA_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Form returns a description of a flag's values, such as a length of time.
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

// variables returns the names of Tagma's environment variables.
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

// foreignVariables matches variables with Tagma's prefix that are not for Tagma: variables
// of the tests, and variables of Kubernetes and Docker, which announce a service named
// "tagma" to other containers.
var foreignVariables = regexp.MustCompile(`^TAGMA_TEST_|_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP).*)?$`)

// CheckVariables checks an environment, a list of NAME=value, for variables with the prefix
// TAGMA_ that are no settings. A name close to the name of a setting is an error, because
// the name is probably mistyped. Unknown holds the remaining names. The error and the
// result contain no values.
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

// maxTypos is the largest edit distance between a mistyped name and the intended name.
const maxTypos = 2

// Nearest returns the name with the least edit distance from word, or "" if the distance is
// more than maxTypos.
func Nearest(word string, names []string) string {
	best, least := "", maxTypos+1
	for _, name := range names {
		if d := levenshtein.ComputeDistance(word, name); d < least && d < len(name) {
			best, least = name, d
		}
	}
	return best
}
