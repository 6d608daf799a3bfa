// Package command owns the command line: the commands, their flags and their help
// texts. Server commands serve or work on a store, with the settings of a server.
// Client commands send requests to a server, with the settings of a client.
//
// Package command does not own the work of a command.
package command

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"tagma/internal/base/instant"
	"tagma/internal/base/password"
	"tagma/internal/base/throttle"
	"tagma/internal/domain/people"
	"tagma/internal/server/config"
	"tagma/internal/server/store"
)

// The groups of commands in the help.
const (
	serverGroup = "server"
	clientGroup = "client"
)

// Root returns the command `tagma` with all subcommands. `tagma` without a subcommand
// calls serve.
func Root(version string, serve func(*cobra.Command, *config.Config) error) *cobra.Command {
	c := config.Default()
	run := func(cmd *cobra.Command, _ []string) error { return serve(cmd, c) }
	root := &cobra.Command{
		Use:   "tagma",
		Short: "Keep a lab's camera images, what was seen in them, and who said so",
		Long: `Tagma is a GraphQL server for camera images and their annotations, and its own
client.

Without a command it serves, with the flags below. Every setting of a server or
a client can also be given by an environment variable, whose name stands behind
the flag: --log-format is TAGMA_LOG_FORMAT.`,
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		PreRunE:       loadSettings(c),
		RunE:          run,
	}
	serving := &cobra.Command{
		Use: "serve", Short: "Serve (the same as no command)", Args: cobra.NoArgs, GroupID: serverGroup,
		PreRunE: loadSettings(c), RunE: run,
	}
	for _, cmd := range []*cobra.Command{root, serving} {
		c.StoreFlags(cmd.Flags())
		c.ServeFlags(cmd.Flags())
		c.LabelFlags(cmd.Flags())
	}
	root.AddGroup(
		&cobra.Group{ID: clientGroup, Title: "Ask a server, from any machine:"},
		&cobra.Group{ID: serverGroup, Title: "Serve, and look after a server on its own machine:"},
	)
	root.AddCommand(serving)
	for _, cmd := range append(backupCommands(c), adminCommands(c), labelCommands(c), demoCommand(c)) {
		cmd.GroupID = serverGroup
		cmd.PersistentPreRunE = loadSettings(c)
		c.StoreFlags(cmd.PersistentFlags())
		root.AddCommand(cmd)
	}
	readyCmd := readyCommand(c)
	readyCmd.GroupID = serverGroup
	root.AddCommand(readyCmd)
	for _, cmd := range []*cobra.Command{loginCommand(), logoutCommand(), tokenCommands(), pushCommands(), pullCommands(), annotateCommand(), seriesCommand()} {
		cmd.GroupID = clientGroup
		root.AddCommand(cmd)
	}
	addCompletion(root)
	root.InitDefaultHelpCmd()
	checkArguments(root)
	return root
}

// loadSettings returns a function that reads and validates the settings of a server,
// before a command runs.
func loadSettings(c *config.Config) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if err := readEnvironment(cmd); err != nil {
			return err
		}
		c.Labels.Token = os.Getenv(config.TokenVariable)
		if err := c.Check(); err != nil {
			return &Misuse{err}
		}
		return nil
	}
}

// addCompletion adds cobra's command for completion, with a help text of Tagma's own.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd("completion") // the argument makes cobra add the command in any case
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Short = "Let the Tab key complete Tagma's commands in your shell"
			cmd.Long = `Prints a script by which your shell completes Tagma's commands and flags when you
press the Tab key. For good, that is one line, once:

  bash   tagma completion bash > ~/.local/share/bash-completion/completions/tagma
  zsh    tagma completion zsh > "${fpath[1]}/_tagma"
  fish   tagma completion fish > ~/.config/fish/completions/tagma.fish

The folder must be there. Open a new shell then. To try it in this one shell
alone, in bash or zsh: source <(tagma completion bash).`
		}
	}
}

func adminCommands(c *config.Config) *cobra.Command {
	cmd := &cobra.Command{Use: "admin", Short: "Look after a server from its own machine"}
	cmd.AddCommand(&cobra.Command{
		Use:   "reset-password USERNAME",
		Short: "Give an account a new password, and print it",
		Long:  "Gives an account a new password, prints it, enables the account and ends its\nsessions. It opens the database itself, so it needs the server's --data or\n--database, and nobody has to be signed in.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, c, func(st *store.Store) error {
				persons := people.New(st.DB, instant.System, password.New(password.Options{}), throttle.New(instant.System, throttle.Options{}), c.Page())
				fresh, err := persons.ResetPassword(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s signs in with the password %s\n", args[0], fresh)
				return nil
			})
		},
	})
	return cmd
}

// opener opens a store.
type opener func(context.Context, *config.Config, *slog.Logger) (*store.Store, error)

// withStore calls do with the existing store of a server. Opening the store changes
// nothing.
func withStore(cmd *cobra.Command, c *config.Config, do func(*store.Store) error) error {
	return openStore(cmd, c, store.OpenExisting, do)
}

// withNewStore calls do with a store, for a command that fills an empty store.
// withNewStore creates a missing store.
func withNewStore(cmd *cobra.Command, c *config.Config, do func(*store.Store) error) error {
	return openStore(cmd, c, store.Make, do)
}

func openStore(cmd *cobra.Command, c *config.Config, open opener, do func(*store.Store) error) error {
	log, err := store.Logger(c)
	if err != nil {
		return err
	}
	st, err := open(cmd.Context(), c, log)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	return st.DB.Locate(do(st))
}
