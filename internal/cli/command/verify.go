package command

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tagma/internal/base/instant"
	"tagma/internal/domain/images"
	"tagma/internal/domain/labels"
	"tagma/internal/server/config"
	"tagma/internal/server/integrity"
	"tagma/internal/server/store"
	"tagma/internal/storage/database"
	"tagma/internal/storage/ownership"
)

const verifyHelp = `Reads everything once: the database, every original and thumbnail, every file of
bundles, and every object of the label repository. Prints one line for each fault
and goes on. The last line says what is left, and verify fails if anything is. The
server may be running.

  missing     the database speaks of the file, and the file is not there
  altered     the bytes are not those that were written
  unreadable  the disk or the bucket does not return the file
  orphaned    no row speaks of the file, which is older than a day; the server
              clears such files away by itself
  damaged     the database or the label repository contradicts itself
  foreign     the files belong to another database: see --claim

The database is checked by SQLite's integrity_check and foreign_key_check, or on
PostgreSQL by the extension amcheck; where amcheck is not installed, every row is
read.

Without --mend and --claim, verify writes two things only: the SHA-256 of a
thumbnail whose row has none, because the image is older than that column; and the
note that a label repository is damaged, after which no server pushes to it until
verify finds the repository whole.

With --mend, verify makes again what follows from something else: thumbnails from
their original, and objects of the label repository under their own hashes, from
the database or from a clone that --labels-clone names. No commit gets another id.
Restore from a backup what cannot be made again.`

func verifyCommand(c *config.Config) *cobra.Command {
	var claim, mend bool
	var clone string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check every file, the database and the label repository, and mend what can be mended",
		Long:  verifyHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkClone(clone, mend); err != nil {
				return err
			}
			err := withStore(cmd, c, func(st *store.Store) error {
				if claim {
					if err := ownership.New(st.DB, st.Bucket, instant.System).Claim(cmd.Context()); err != nil {
						return err
					}
				}
				return verifyStore(cmd, c, st, mend, clone)
			})
			if database.IsDamaged(err) {
				return inspect(cmd, c, err)
			}
			return err
		},
	}
	c.LabelFlags(cmd.Flags())
	cmd.Flags().BoolVar(&claim, "claim", false, "before that, make the files this database's, so that the server clears orphaned ones away")
	cmd.Flags().BoolVar(&mend, "mend", false, "make thumbnails and objects of the label repository again, where they are missing or altered")
	cmd.Flags().StringVar(&clone, "labels-clone", "", "with --mend: folder of a clone of the label repository, or address of a remote, that may have objects which the database does not (default the remote of --labels-repo)")
	return cmd
}

// checkClone returns an error for a clone without --mend, because only --mend reads the
// clone, and for a path without a folder. The first request to a remote tells if the
// remote answers.
func checkClone(clone string, mend bool) error {
	switch {
	case clone == "":
		return nil
	case !mend:
		return fmt.Errorf("--labels-clone %s is for mending: give --mend too", clone)
	case strings.Contains(clone, ":"): // the address of a remote
		return nil
	}
	if info, err := os.Stat(clone); err != nil || !info.IsDir() {
		return fmt.Errorf("--labels-clone: there is no folder %s: give the folder of a clone of the label repository, or the address of a remote", clone)
	}
	return nil
}

// verifyStore checks an open store, and fails if a fault is left.
func verifyStore(cmd *cobra.Command, c *config.Config, st *store.Store, mend bool, clone string) error {
	repository, err := c.LabelRepo()
	if err != nil {
		return err
	}
	checker := &integrity.Checker{
		Store: integrity.Store{
			DB: st.DB, Bucket: st.Bucket,
			Images:     images.New(st.DB, st.Bucket, instant.System, c.Images()),
			Pairing:    ownership.New(st.DB, st.Bucket, instant.System),
			Labels:     labels.New(st.DB, instant.System, c.Page()),
			Repository: repository,
		},
		Found: func(f integrity.Finding) { fmt.Fprintln(cmd.OutOrStdout(), f) },
		Mend:  mend,
		Clone: clone,
	}
	report, err := checker.Verify(cmd.Context(), time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), report)
	if report.Left() > 0 {
		return fmt.Errorf("%d faults are left: restore from a backup what tagma verify --mend cannot make again", report.Left())
	}
	return nil
}

// inspect checks an SQLite database that cannot be opened, and returns an error with
// the remedy.
func inspect(cmd *cobra.Command, c *config.Config, cause error) error {
	err := database.Inspect(cmd.Context(), c.Database, func(f database.Fault) {
		fmt.Fprintln(cmd.OutOrStdout(), integrity.Finding{Kind: integrity.Damaged, Key: "database", Err: errors.New(f.Text)})
	})
	if err != nil && !database.IsDamaged(err) {
		return err
	}
	return fmt.Errorf("the database is damaged and cannot be used (%w): stop the server, restore the newest backup into a new folder with tagma restore, and start the server there", cause)
}
