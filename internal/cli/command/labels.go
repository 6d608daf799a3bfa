package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/domain/labels"
	"tagma/internal/server/config"
	"tagma/internal/server/store"
)

func labelCommands(c *config.Config) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "labels",
		Short: "Compare, fill and mend the label repository",
		Long:  "Works on the label repository and the database themselves, so it needs the\nserver's --data or --database, and its --labels-… settings. One process at a\ntime may have the repository's folder in --data open: stop the server first.",
	}
	c.LabelFlags(cmd.PersistentFlags())
	cmd.AddCommand(
		&cobra.Command{
			Use:   "import",
			Short: "Read the repository's whole history into the database",
			Long:  "Reads every file of the repository's history, each as each commit left it, into\nthe database, with the commits' authors and times. What is there already stays\nas it is, so that it can be run again. A running server reads what is new by\nitself.",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return withOutbox(cmd, c, store.OpenExistingLabels, func(outbox *labels.Outbox) error {
					tally, err := outbox.Import(cmd.Context())
					fmt.Fprintf(cmd.OutOrStdout(), "Read %d files: %d are recorded now, %d were known, %d are no submissions.\n",
						tally.Read, tally.Recorded, tally.Read-tally.Recorded-tally.PassedOver, tally.PassedOver)
					return err
				})
			},
		},
		&cobra.Command{
			Use:   "verify",
			Short: "Compare the database with the repository, both ways",
			Long:  "Compares the database with the repository's files, both ways, and prints each\ndifference. It changes nothing, and fails if there are any.",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return withOutbox(cmd, c, store.OpenExistingLabels, func(outbox *labels.Outbox) error {
					report, err := outbox.Verify(cmd.Context())
					if err != nil {
						return err
					}
					for _, line := range report.Differences {
						fmt.Fprintln(cmd.OutOrStdout(), line)
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%d files are the same in both, %d wait, %d submissions failed; %d differences.\n",
						report.Same, report.Waiting, report.Failed, len(report.Differences))
					if len(report.Differences) > 0 {
						return errors.New("the database and the repository differ")
					}
					return nil
				})
			},
		},
		&cobra.Command{
			Use:   "rebuild",
			Short: "Make the repository again from the database",
			Long:  "Makes every submission a commit again, in its order, with its author and time.\nThe repository must be empty: give a new one by --labels-repo, or move the\nfolder of the old one away. A server that finds its repository empty does the\nsame by itself. All commits get other ids: clones, and whoever has cited a commit,\nno longer agree with the repository. For a damaged repository try first\ntagma verify --mend, which changes none.",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return withOutbox(cmd, c, store.MakeLabels, func(outbox *labels.Outbox) error {
					return outbox.Rebuild(cmd.Context())
				})
			},
		},
		&cobra.Command{
			Use:   "retry",
			Short: "Queue again what the repository did not take",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return withStore(cmd, c, func(st *store.Store) error {
					n, err := labels.New(st.DB, instant.System, c.Page()).Retry(cmd.Context())
					fmt.Fprintf(cmd.OutOrStdout(), "%d submissions are queued again.\n", n)
					return err
				})
			},
		},
	)
	return cmd
}

// repository opens a label repository.
type repository func(context.Context, *config.Config, *slog.Logger) (*labelrepo.Repo, error)

// withOutbox calls do with the outbox of the store and of the label repository from
// open.
func withOutbox(cmd *cobra.Command, c *config.Config, open repository, do func(*labels.Outbox) error) error {
	return withStore(cmd, c, func(st *store.Store) error {
		log, err := store.Logger(c)
		if err != nil {
			return err
		}
		repo, err := open(cmd.Context(), c, log)
		if err != nil {
			return err
		}
		defer func() { _ = repo.Close() }()
		all := labels.New(st.DB, instant.System, c.Page())
		return do(labels.NewOutbox(all, repo, labels.Layout(c.Labels.Layout), log))
	})
}
