package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"tagma/internal/cli/progress"
	"tagma/internal/cli/push"
	"tagma/internal/server/config"
)

func pushCommands() *cobra.Command {
	c := config.DefaultClient()
	cmd := clientCommand(c, &cobra.Command{Use: "push", Short: "Send files to a server, but for what it has already"})
	var o push.Options
	var verbose, allowEmpty bool
	photographs := &cobra.Command{
		Use: "images DIR…", SuggestFor: []string{"photos", "photo", "photographs", "pictures"},
		Short: "Send the photographs of folders",
		Long: `Finds the photographs in folders, and in the folders in them, and sends those that
the server does not have. A photograph is named by its trap and the time when it
was taken, in UTC: <device>.<YYYY-MM-DD_HH-MM-SS>.jpg. Files with other names are
passed over; --verbose lists them. A folder that cannot be read is told, and the
rest is sent. You may also name photographs themselves.

You can interrupt it at any time, and give the same command again: what is there
is not sent again. If the server cannot be reached, it waits and goes on, for as
long as --retry-for says. Fingerprints of files are kept, so that a folder is
read once, and not at every push. So are the photographs that the server rejected:
they are told again, and not sent again until the server has another version or
other limits, or with --retry-rejected.

At the end it prints what became of the photographs:

  CREATED    the server has it now
  UNCHANGED  the server had it before
  REPLACED   it took the place of another, as --replace asks for
  CONFLICT   the server has another photograph of that trap and time
  REJECTED   it is not a whole photograph, or cannot be read

It fails if any is CONFLICT or REJECTED, the reason stands behind each; if a folder
cannot be read; and, but for --allow-empty, if there is no photograph: a card that is
not mounted is an empty folder.`,
		Example: `  tagma push images ~/traps/2020-06
  tagma push images --dry-run /media/card
  tagma push images --replace corrected/0a5bb6f4.2020-06-20_20-19-15.jpg`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Output = progress.New(cmd.ErrOrStderr())
			o.Cache, o.Rejections = cachePath("fingerprints.db"), cachePath("rejections.db")
			server, err := connect(c, o.Output)
			if err != nil {
				return err
			}
			report, err := push.Images(cmd.Context(), server, args, o)
			if report != nil {
				err = errors.Join(err, report.Write(cmd.OutOrStdout(), verbose))
			}
			if err != nil {
				return err
			}
			return pushFailure(report, allowEmpty)
		},
	}
	flags := photographs.Flags()
	flags.BoolVar(&verbose, "verbose", false, "list the files that are passed over")
	flags.BoolVar(&allowEmpty, "allow-empty", false, "do not fail if there is no photograph")
	flags.BoolVar(&o.RetryRejected, "retry-rejected", false, "send what the server rejected at an earlier push")
	flags.BoolVar(&o.Replace, "replace", false, "put photographs in the place of others of the same trap and time, whose annotations are deleted")
	flags.BoolVar(&o.DryRun, "dry-run", false, "only tell what would be sent")
	flags.IntVar(&o.Parallel, "parallel", 4, "how many requests to send at once")
	cmd.AddCommand(photographs, pushBundleCommand(c))
	return cmd
}

// pushFailure returns the error of a push that has ended but is no success.
func pushFailure(report *push.Report, allowEmpty bool) error {
	var failures []string
	if n := report.Refused(); n > 0 {
		failures = append(failures, fmt.Sprintf("photographs refused: %d", n))
	}
	if n := report.Unreadable(); n > 0 {
		failures = append(failures, fmt.Sprintf("folders that cannot be read: %d", n))
	}
	if report.Photographs() == 0 && !allowEmpty {
		failures = append(failures, "there is no photograph: is the folder right, and the card mounted? --allow-empty takes that as success")
	}
	if len(failures) == 0 {
		return nil
	}
	return errors.New(strings.Join(failures, "; "))
}
