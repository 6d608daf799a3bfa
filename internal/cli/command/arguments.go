package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tagma/internal/server/config"
)

// Misuse is an error in the command line or the environment. The command did nothing.
type Misuse struct{ err error }

func (m *Misuse) Error() string { return m.err.Error() }

func (m *Misuse) Unwrap() error { return m.err }

func misuse(format string, args ...any) error { return &Misuse{fmt.Errorf(format, args...)} }

// The exit statuses of Tagma, listed in docs/cli.md.
const (
	failed      = 1
	misused     = 2
	interrupted = 130 // the status of shells after Ctrl-C
)

// Fail writes the error of a command to w, and returns the exit status.
func Fail(w io.Writer, err error) int {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(w, "tagma: interrupted")
		return interrupted
	}
	fmt.Fprintln(w, "tagma:", err)
	if _, ok := errors.AsType[*Misuse](err); ok {
		return misused
	}
	return failed
}

// checkArguments makes cmd and its subcommands return an error for unknown words and
// flags. The usage line of a command lists the accepted words.
func checkArguments(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(flagError)
	for _, sub := range cmd.Commands() {
		checkArguments(sub)
	}
	switch {
	case cmd.Name() == "help": // a topic may be of several words
		help := cmd.Run
		cmd.Run, cmd.RunE = nil, func(cmd *cobra.Command, words []string) error {
			topic, rest, err := cmd.Root().Find(words)
			if err == nil && len(rest) > 0 && topic.HasSubCommands() {
				err = unknownCommand(topic, rest[0])
			}
			if err != nil {
				return err
			}
			help(cmd, words)
			return nil
		}
	case cmd.HasSubCommands():
		cmd.Args = func(cmd *cobra.Command, words []string) error {
			if len(words) > 0 {
				return unknownCommand(cmd, words[0])
			}
			if cmd.HasParent() {
				return pflag.ErrHelp // a group alone prints its help
			}
			return nil
		}
		if !cmd.Runnable() {
			cmd.RunE = func(*cobra.Command, []string) error { return pflag.ErrHelp }
		}
	default:
		cmd.Args = checkWords
	}
}

// unknownCommand returns the error for an unknown command of a group.
func unknownCommand(group *cobra.Command, word string) error {
	var names []string
	for _, sub := range group.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			names = append(names, sub.Name())
		}
	}
	slices.Sort(names)
	hint := "."
	if near := group.SuggestionsFor(word); len(near) > 0 {
		hint = fmt.Sprintf(": do you mean %s?", strings.Join(near, " or "))
	}
	return misuse("%q is no command of %s%s There are: %s. See %s --help", word, group.CommandPath(), hint, strings.Join(names, ", "), group.CommandPath())
}

// checkWords compares the words after a command with the usage line, such as "series
// DEVICE START END", "login [URL]" or "annotate FILE…", and returns an error for
// missing and further words.
func checkWords(cmd *cobra.Command, words []string) error {
	var needed []string
	maxWords, optional := 0, false
	flag := false // the previous word of the usage line is a flag, and its value follows
	for _, name := range strings.Fields(cmd.Use)[1:] {
		switch {
		case strings.HasPrefix(name, "-"):
			flag = true
			continue
		case flag:
			flag = false
			continue
		case strings.HasPrefix(name, "["):
			optional = true
		default:
			needed = append(needed, strings.TrimSuffix(name, "…"))
		}
		maxWords++
		if strings.HasSuffix(name, "…") {
			maxWords = len(words)
		}
	}
	if missing := needed[min(len(words), len(needed)):]; len(missing) > 0 {
		return misuse("%s missing: give %s", enumerate(missing), cmd.UseLine())
	}
	if len(words) > maxWords && (len(needed) > 0 || optional) {
		return misuse("%q is one word too many: give %s (quote a word that has a blank in it)", words[maxWords], cmd.UseLine())
	}
	if len(words) > maxWords {
		return misuse("%s takes no words, and got %q: see %s --help", cmd.CommandPath(), words[0], cmd.CommandPath())
	}
	return nil
}

// enumerate returns "START is" or "START and END are".
func enumerate(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0] + " is"
	}
	return strings.Join(names[:last], ", ") + " and " + names[last] + " are"
}

// flagError returns the error for a wrong flag. An unknown command comes first, because
// the flags after an unknown command belong to no command.
func flagError(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); len(words) > 0 && cmd.HasSubCommands() {
		return unknownCommand(cmd, words[0])
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		hint := "."
		near := config.Nearest(unknown.GetSpecifiedName(), names)
		if longer := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, unknown.GetSpecifiedName()) }); near == "" && longer >= 0 {
			near = names[longer]
		}
		if near != "" {
			hint = ": do you mean --" + near + "?"
		}
		return misuse("%s has no flag %s%s See %s --help", cmd.CommandPath(), flagName(unknown.GetSpecifiedName()), hint, cmd.CommandPath())
	}
	if value, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := value.GetFlag()
		return misuse("--%s cannot be %q: give %s", f.Name, value.GetValue(), config.Form(f))
	}
	if noValue, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return misuse("--%s lacks its value: give %s behind it", noValue.GetFlag().Name, config.Form(noValue.GetFlag()))
	}
	return misuse("%w: see %s --help", err, cmd.CommandPath())
}

// flagName returns a flag with its dashes.
func flagName(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// checkExclusive returns an error if both flags are set.
func checkExclusive(cmd *cobra.Command, one, other string) error {
	if cmd.Flags().Changed(one) && cmd.Flags().Changed(other) {
		return misuse("--%s and --%s do not go together: give one of them", one, other)
	}
	return nil
}

// readEnvironment sets the flags that are absent on the command line by variables of
// the environment, and warns of unknown variables.
func readEnvironment(cmd *cobra.Command) error {
	if err := config.FromEnvironment(cmd.Flags(), os.LookupEnv); err != nil {
		return &Misuse{err}
	}
	unknown, err := config.CheckVariables(os.Environ())
	if err != nil {
		return &Misuse{err}
	}
	for _, name := range unknown {
		fmt.Fprintf(cmd.ErrOrStderr(), "tagma: warning: %s is no setting of Tagma, and does nothing: see tagma --help\n", name)
	}
	return nil
}
