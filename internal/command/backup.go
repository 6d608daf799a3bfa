package command

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tagma/internal/backup"
	"tagma/internal/config"
	"tagma/internal/images"
	"tagma/internal/instant"
	"tagma/internal/pairing"
	"tagma/internal/store"
)

func backupCommands(c *config.Config) []*cobra.Command {
	return []*cobra.Command{
		{
			Use:   "backup FOLDER",
			Short: "Copy everything that a server keeps into a folder",
			Long:  "Copies the database and all files into a folder; the server may be running.\nMade again in the same folder, it copies only files that are new. The folder\nholds the database as one SQLite file, whichever the server has, the files, and\nSHA256SUMS, written last: sha256sum -c checks it. It holds hashes of passwords\nand the key that signs links: guard it like the server. The label repository is\nnot in it, for it follows from the database.",
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return withStore(cmd, c, func(st *store.Store) error {
					if err := checkTarget(cmd.Context(), c, st, args[0]); err != nil {
						return err
					}
					report, err := backup.Make(cmd.Context(), st.DB, st.Bucket, args[0])
					if err != nil {
						return err
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%d rows and %d files are in the backup; %d files with %d bytes were copied now.\n",
						report.Rows, report.Files, report.Copied, report.Bytes)
					return nil
				})
			},
		},
		{
			Use:   "restore FOLDER",
			Short: "Make an empty server from a backup",
			Long:  "Puts a backup into an empty database and its store: the files first, each\nchecked, and then all rows at once. The database may be another kind than that\nof the server which the backup is of: so data moves from a laptop to a lab's\nserver. If it fails, begin it again.",
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				if err := checkSource(args[0]); err != nil {
					return err
				}
				return withNewStore(cmd, c, func(st *store.Store) error {
					report, err := backup.Restore(cmd.Context(), args[0], st.DB, st.Bucket)
					if err != nil {
						return err
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%d rows and %d files with %d bytes are restored.\n", report.Rows, report.Files, report.Bytes)
					return nil
				})
			},
		},
		verifyCommand(c),
	}
}

func verifyCommand(c *config.Config) *cobra.Command {
	var claim bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check every file against the database",
		Long:  "Reads every file that the database speaks of, and names each that is missing or\naltered, and each file older than a day that no row speaks of (orphaned; the\nserver clears those away by itself, unless its log says that the files may be\nanother database's). The server may be running. Without --claim it changes\nnothing; it fails if there is anything to name.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, c, func(st *store.Store) error {
				if claim {
					if err := pairing.New(st.DB, st.Bucket, instant.System).Claim(cmd.Context()); err != nil {
						return err
					}
				}
				wrong := 0
				photos := images.New(st.DB, st.Bucket, instant.System, c.Images())
				right, err := backup.Verify(cmd.Context(), st.DB, st.Bucket, photos, time.Now(), func(f backup.Finding) {
					wrong++
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", f.What, f.Key)
				})
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d files are as they should be, %d are not.\n", right, wrong)
				if wrong > 0 {
					return fmt.Errorf("%d files are not as they should be", wrong)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&claim, "claim", false, "before that, make the files this database's, so that the server clears orphaned ones away")
	return cmd
}
