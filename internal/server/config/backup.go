package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Backup holds the settings of a server's scheduled backups.
type Backup struct {
	To    string // the folder, or empty for no backups
	Every time.Duration
	Keep  int // generations
}

func (b *Backup) flags(flags *pflag.FlagSet) {
	flags.StringVar(&b.To, "backup-to", b.To, "folder into which the server backs everything up by itself: a whole path, on another disk, shared by all servers of the store (default none)")
	flags.DurationVar(&b.Every, "backup-every", b.Every, "time between two of these backups")
	flags.IntVar(&b.Keep, "backup-keep", b.Keep, "how many of these backups remain")
}

// backupConnections is the least number of connections to PostgreSQL for a server with
// backups. The leader of the labels, the leader of the backups and the leader of the
// scrub hold a connection each, and may be the same server. A backup reads rows
// through a fourth connection, and requests need one besides.
const backupConnections = 5

// check returns the errors of the settings.
func (b *Backup) check(connections int, database string) []error {
	var problems []error
	if b.To != "" && !filepath.IsAbs(b.To) {
		problems = append(problems, fmt.Errorf("--backup-to is %q: give the whole path of a folder, such as /backup/tagma", b.To))
	}
	if b.Every < time.Minute {
		problems = append(problems, errors.New("--backup-every: give a length of time of 1m or more, such as 24h"))
	}
	if b.Keep < 1 {
		problems = append(problems, fmt.Errorf("--backup-keep is %d: give a number above 0", b.Keep))
	}
	if b.To != "" && !strings.HasPrefix(database, "sqlite:") && connections < backupConnections {
		problems = append(problems, fmt.Errorf("--database-connections is %d: give %d or more with --backup-to", connections, backupConnections))
	}
	return problems
}
