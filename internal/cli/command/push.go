package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"tagma/internal/cli/progress"
	"tagma/internal/cli/push"
	"tagma/internal/server/config"
)

func pushCommands() *cobra.Command {
	c := config.DefaultClient()
	cmd := clientCommand(c, &cobra.Command{Use: "push", Short: "Send files to a server, but for what it has already"})
	var o push.Options
	photographs := &cobra.Command{
		Use: "images DIR…", SuggestFor: []string{"photos", "photo", "photographs", "pictures"},
		Short: "Send the photographs of folders",
		Long: `Finds the photographs in folders, and in the folders in them, and sends those that
the server does not have. A photograph is named by its trap and the time when it
was taken, in UTC: <device>.<YYYY-MM-DD_HH-MM-SS>.jpg. Files with other names are
passed over. You may also name photographs themselves.

You can interrupt it at any time, and give the same command again: what is there
is not sent again. If the server cannot be reached, it waits and goes on, for as
long as --retry-for says. Fingerprints of files are kept, so that a folder is
read once, and not at every push.

At the end it prints what became of the photographs:

  CREATED    the server has it now
  UNCHANGED  the server had it before
  REPLACED   it took the place of another, as --replace asks for
  CONFLICT   the server has another photograph of that trap and time
  REJECTED   it is not a whole photograph, or cannot be read

It fails if any is CONFLICT or REJECTED; the reason stands behind each.`,
		Example: `  tagma push images ~/traps/2020-06
  tagma push images --dry-run /media/card
  tagma push images --replace corrected/0a5bb6f4.2020-06-20_20-19-15.jpg`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Output = progress.New(cmd.ErrOrStderr())
			o.Cache = fingerprintCache()
			server, err := connect(c, o.Output)
			if err != nil {
				return err
			}
			report, err := push.Images(cmd.Context(), server, args, o)
			if report != nil {
				err = errors.Join(err, report.Write(cmd.OutOrStdout()))
			}
			if err != nil {
				return err
			}
			if n := report.Refused(); n > 0 {
				return fmt.Errorf("photographs refused: %d", n)
			}
			return nil
		},
	}
	flags := photographs.Flags()
	flags.BoolVar(&o.Replace, "replace", false, "put photographs in the place of others of the same trap and time, whose annotations are deleted")
	flags.BoolVar(&o.DryRun, "dry-run", false, "only tell what would be sent")
	flags.IntVar(&o.Parallel, "parallel", 4, "how many requests to send at once")
	cmd.AddCommand(photographs, pushBundleCommand(c))
	return cmd
}
