package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"tagma/internal/backup"
	"tagma/internal/config"
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
				return withStore(cmd, c, func(st *store.Store) error {
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
