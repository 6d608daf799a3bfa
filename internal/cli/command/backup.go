package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"tagma/internal/server/backup"
	"tagma/internal/server/config"
	"tagma/internal/server/store"
)

func backupCommands(c *config.Config) []*cobra.Command {
	return []*cobra.Command{backupCommand(c), restoreCommand(c), verifyCommand(c)}
}

// Place returns the folders of a store, so that no backup goes there.
func Place(c *config.Config, st *store.Store) backup.Place {
	place := placeOf(c)
	place.Files = st.Folder
	return place
}

// placeOf returns the Place of a store that is not open.
func placeOf(c *config.Config) backup.Place {
	place := backup.Place{Data: c.Data}
	place.Files, _ = strings.CutPrefix(c.Storage, "file:")
	if place.Files == c.Storage { // in S3
		place.Files = ""
	}
	if path, ok := strings.CutPrefix(c.Database, "sqlite:"); ok {
		place.Database = path
	}
	return place
}

func backupCommand(c *config.Config) *cobra.Command {
	options := backup.Options{Keep: backup.DefaultKeep}
	cmd := &cobra.Command{
		Use:   "backup FOLDER",
		Short: "Copy everything that a server keeps into a folder",
		Long: `Copies the database and all files into a folder; the server may be running.
Made again in the same folder, the command adds a generation, copies only files
that are new, and reads again a thirtieth of the old ones. The folder holds
generations/TIME, each with the database as one SQLite file, whichever the server
has, and SHA256SUMS, which sha256sum -c checks in that folder; and the files.

A backup that fails leaves the older generations whole. A folder that is a store,
the backup of another store, or holds other things is refused. The backup holds
hashes of passwords and the key that signs links: guard it like the server. The
label repository is not in it, for it follows from the database.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, c, func(st *store.Store) error {
				report, err := backup.Make(cmd.Context(), backup.Source{DB: st.DB, Bucket: st.Bucket, Place: Place(c, st)}, args[0], options)
				printDamage(cmd, report)
				if err != nil {
					return err
				}
				first := ""
				if report.First {
					first = " It is the first generation in " + args[0] + "."
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d rows and %d files are in the backup %s; %d files with %d bytes were copied now, and %d old files read again.%s\n",
					report.Rows, report.Files, report.Generation.Name, report.Copied, report.Bytes, report.Reread, first)
				return nil
			})
		},
	}
	cmd.Flags().IntVar(&options.Keep, "keep", options.Keep, "how many generations remain, with the new one")
	cmd.Flags().BoolVar(&options.Adopt, "adopt", false, "take a backup that was made before stores had ids for one of this store")
	return cmd
}

// printDamage prints the damaged files in the folder of a backup.
func printDamage(cmd *cobra.Command, report backup.Report) {
	for _, key := range report.Replaced {
		fmt.Fprintf(cmd.OutOrStdout(), "damaged or missing in the backup, and copied again: %s\n", key)
	}
	for _, key := range report.Lost {
		fmt.Fprintf(cmd.OutOrStdout(), "damaged in older generations, and not in the store any more: %s\n", key)
	}
}

func restoreCommand(c *config.Config) *cobra.Command {
	var generation string
	cmd := &cobra.Command{
		Use:   "restore FOLDER",
		Short: "Make a new store from a backup",
		Long: `Puts the newest generation of a backup into an empty database and an empty store of
files. What the rows name is compared with SHA256SUMS first, then the files are
copied, each checked, and then all rows are written at once. The new store has an
id of its own, so that its backups go into another folder. The database may be
another kind than that of the server which the backup is of: so data moves from a
laptop to a lab's server. If the command fails, run it again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := backup.Find(cmd.Context(), args[0], generation)
			if err != nil {
				return err
			}
			if err := source.CheckApart(placeOf(c)); err != nil {
				return err
			}
			return withNewStore(cmd, c, func(st *store.Store) error {
				temporary, err := c.Temporary()
				if err != nil {
					return err
				}
				report, err := backup.Restore(cmd.Context(), source, backup.Target{DB: st.DB, Bucket: st.Bucket, Folder: st.Folder, Temporary: temporary})
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d rows and %d files are restored; %d files with %d bytes were copied now.\n", report.Rows, report.Files, report.Copied, report.Bytes)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&generation, "generation", "", "name of the generation, such as 20261201T030000Z (default the newest)")
	return cmd
}
