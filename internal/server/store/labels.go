package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/server/config"
)

// OpenLabels opens the label repository of the settings, for a server. OpenLabels
// creates a missing repository. For a damaged repository without a remote,
// OpenLabels returns labelrepo.ErrDamaged: making the repository again from the
// database would change the hashes of all commits.
func OpenLabels(ctx context.Context, c *config.Config, log *slog.Logger) (*labelrepo.Repo, error) {
	settings, err := c.LabelRepo()
	if err != nil {
		return nil, err
	}
	settings.Clock, settings.Log = instant.System, log
	return labelrepo.Open(ctx, settings)
}

// OpenExistingLabels opens an existing label repository, for a reading command.
// OpenExistingLabels creates no repository. For a repository on a git host,
// OpenExistingLabels creates the local copy.
func OpenExistingLabels(ctx context.Context, c *config.Config, log *slog.Logger) (*labelrepo.Repo, error) {
	return openLabels(ctx, c, log, false)
}

// MakeLabels opens the label repository, for a command filling an empty
// repository. MakeLabels creates a missing repository in the data folder.
func MakeLabels(ctx context.Context, c *config.Config, log *slog.Logger) (*labelrepo.Repo, error) {
	return openLabels(ctx, c, log, true)
}

func openLabels(ctx context.Context, c *config.Config, log *slog.Logger, makes bool) (*labelrepo.Repo, error) {
	settings, err := c.LabelRepo()
	if err != nil {
		return nil, err
	}
	settings.Clock, settings.Log = instant.System, log
	folder, isFolder := settings.RemoteFolder()
	switch {
	case !folderExists(c.Data):
		return nil, fmt.Errorf("the data folder %s does not exist: correct --data", absolute(c.Data))
	case isFolder && !folderExists(folder):
		return nil, fmt.Errorf("there is no label repository: %s is no folder; correct --labels-repo", folder)
	case settings.Remote == "" && !makes && missing(filepath.Join(settings.Dir, "HEAD")):
		return nil, fmt.Errorf("there is no label repository in %s: correct --data or --labels-repo; the server makes one when it starts", absolute(settings.Dir))
	}
	repo, err := labelrepo.Open(ctx, settings)
	if errors.Is(err, labelrepo.ErrInUse) {
		err = fmt.Errorf("%w, %s: stop the server first", labelrepo.ErrInUse, absolute(settings.Dir))
	}
	return repo, err
}
