// Package command owns the command line: which commands there are, what their
// help says, and that each setting can come from a flag or the environment.
package command

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tagma/internal/config"
	"tagma/internal/instant"
	"tagma/internal/password"
	"tagma/internal/people"
	"tagma/internal/store"
	"tagma/internal/throttle"
)

// Root is the command `tagma`. Without a command of its own it serves.
func Root(version string, serve func(*cobra.Command, *config.Config) error) *cobra.Command {
	c := config.Default()
	root := &cobra.Command{
		Use:           "tagma",
		Short:         "Keep a lab's camera images, what was seen in them, and who said so",
		Long:          "Tagma is a GraphQL server for camera images and their annotations.\n\nWithout a command it serves. Every flag can also be set by an environment\nvariable: --log-format is TAGMA_LOG_FORMAT.",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return serve(cmd, c) },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := config.FromEnvironment(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			c.Labels.Token = os.Getenv(config.TokenVariable)
			return c.Check()
		},
	}
	c.StoreFlags(root.PersistentFlags())
	c.ServeFlags(root.Flags())
	c.LabelFlags(root.Flags())
	serving := &cobra.Command{
		Use: "serve", Short: "Serve (the same as no command)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd, c) },
	}
	c.ServeFlags(serving.Flags())
	c.LabelFlags(serving.Flags())
	root.AddCommand(serving, admin(c), labelCommands(c), fillDemo(c))
	root.AddCommand(backupCommands(c)...)
	document(root)
	return root
}

// document adds to each flag's help the variable that sets it.
func document(cmd *cobra.Command) {
	note := func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "version" {
			f.Usage = fmt.Sprintf("%s [%s]", f.Usage, config.Variable(f.Name))
		}
	}
	cmd.PersistentFlags().VisitAll(note)
	cmd.LocalNonPersistentFlags().VisitAll(note)
	for _, sub := range cmd.Commands() {
		document(sub)
	}
}

func admin(c *config.Config) *cobra.Command {
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

func withStore(cmd *cobra.Command, c *config.Config, do func(*store.Store) error) error {
	log, err := store.Logger(c)
	if err != nil {
		return err
	}
	st, err := store.Open(cmd.Context(), c, log, nil)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	return do(st)
}
