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

// Misuse is an error in what was typed or set: the command line or the
// environment. Nothing was done.
type Misuse struct{ err error }

func (m *Misuse) Error() string { return m.err.Error() }

func (m *Misuse) Unwrap() error { return m.err }

func misuse(format string, args ...any) error { return &Misuse{fmt.Errorf(format, args...)} }

// The exit statuses of Tagma, which docs/cli.md lists.
const (
	failed      = 1
	misused     = 2
	interrupted = 130 // as shells have it for Ctrl-C
)

// Fail writes why a command failed, and returns its exit status.
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

// explain gives every command below cmd, and cmd itself, an error for each word
// and flag that the command does not take. Which words a command takes, its
// line of usage says.
func explain(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(flagProblem)
	for _, sub := range cmd.Commands() {
		explain(sub)
	}
	switch {
	case cmd.Name() == "help": // a topic may be of several words
		help := cmd.Run
		cmd.Run, cmd.RunE = nil, func(cmd *cobra.Command, words []string) error {
			topic, rest, err := cmd.Root().Find(words)
			if err == nil && len(rest) > 0 && topic.HasSubCommands() {
				err = unknownWord(topic, rest[0])
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
				return unknownWord(cmd, words[0])
			}
			if cmd.HasParent() {
				return pflag.ErrHelp // a group alone says what is in it
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

// unknownWord is the error for a word that is no command of a group.
func unknownWord(group *cobra.Command, word string) error {
	var names []string
	for _, sub := range group.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			names = append(names, sub.Name())
		}
	}
	slices.Sort(names)
	like := "."
	if near := group.SuggestionsFor(word); len(near) > 0 {
		like = fmt.Sprintf(": do you mean %s?", strings.Join(near, " or "))
	}
	return misuse("%q is no command of %s%s There are: %s. See %s --help", word, group.CommandPath(), like, strings.Join(names, ", "), group.CommandPath())
}

// checkWords holds the words after a command against its line of usage, such as
// "series DEVICE START END", "login [URL]" or "annotate FILE…".
func checkWords(cmd *cobra.Command, words []string) error {
	var needed []string
	most, optional := 0, false
	flag := false // the last word is a flag, whose value comes next
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
		most++
		if strings.HasSuffix(name, "…") {
			most = len(words)
		}
	}
	if missing := needed[min(len(words), len(needed)):]; len(missing) > 0 {
		return misuse("%s missing: give %s", listed(missing), cmd.UseLine())
	}
	if len(words) > most && (len(needed) > 0 || optional) {
		return misuse("%q is one word too many: give %s (quote a word that has a blank in it)", words[most], cmd.UseLine())
	}
	if len(words) > most {
		return misuse("%s takes no words, and got %q: see %s --help", cmd.CommandPath(), words[0], cmd.CommandPath())
	}
	return nil
}

// listed is "START is" or "START and END are".
func listed(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0] + " is"
	}
	return strings.Join(names[:last], ", ") + " and " + names[last] + " are"
}

// flagProblem says what is wrong with a flag. A word that is no command comes
// first: the flags after it would be those of a command that there is not.
func flagProblem(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); len(words) > 0 && cmd.HasSubCommands() {
		return unknownWord(cmd, words[0])
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		like := "."
		near := config.Nearest(unknown.GetSpecifiedName(), names)
		if longer := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, unknown.GetSpecifiedName()) }); near == "" && longer >= 0 {
			near = names[longer]
		}
		if near != "" {
			like = ": do you mean --" + near + "?"
		}
		return misuse("%s has no flag %s%s See %s --help", cmd.CommandPath(), dashed(unknown.GetSpecifiedName()), like, cmd.CommandPath())
	}
	if value, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := value.GetFlag()
		return misuse("--%s cannot be %q: give %s", f.Name, value.GetValue(), config.Form(f))
	}
	if lacking, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return misuse("--%s lacks its value: give %s behind it", lacking.GetFlag().Name, config.Form(lacking.GetFlag()))
	}
	return misuse("%w: see %s --help", err, cmd.CommandPath())
}

// dashed is a flag as one types it.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// exclusive refuses two flags that say the opposite.
func exclusive(cmd *cobra.Command, one, other string) error {
	if cmd.Flags().Changed(one) && cmd.Flags().Changed(other) {
		return misuse("--%s and --%s do not go together: give one of them", one, other)
	}
	return nil
}

// environment reads the settings that are not given as flags from the
// environment, and tells which of its variables are none.
func environment(cmd *cobra.Command) error {
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
