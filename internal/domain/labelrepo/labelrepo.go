// Package labelrepo owns the one writer of Tagma's label repository: files,
// commits and pushes. It makes commits without a working copy, sends many of
// them as one pack that holds exactly the new objects, and moves the remote's
// branch only from where it was read, never by force. It reads back what
// others pushed.
//
// It does not know what the files mean, nor Tagma's database, which is the
// truth: with a remote, the repository on the disk is a cache that is made
// again when it is damaged. Without one, it is the final repository, in which
// an ordinary git may work at the same time.
package labelrepo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo/bare"
)

// Config says where the label repository is and in whose name it is written.
type Config struct {
	Dir         string // the bare repository on the local disk: a cache of Remote, or final
	Remote      string // https://, ssh://, git@host:path or a path; "" makes Dir the final repository
	Branch      string // "" = main
	Committer   Identity
	Credentials Credentials
	Signer      Signer        // signs every commit, if not nil
	Clock       instant.Clock // nil = the machine's
	Log         *slog.Logger  // nil = none

	Timeout      time.Duration // of one exchange with the remote; 0 = one minute
	FetchTimeout time.Duration // of fetching what others pushed, the first time everything; 0 = ten minutes
	RaceTimeout  time.Duration // of pushing again after others pushed first; 0 = two minutes
}

// Commit is one file's new content.
type Commit struct {
	Path       string // with slashes, from the root of the repository
	Content    string
	Message    string // with trailers, if any
	Author     Identity
	AuthorTime instant.Instant // git keeps its seconds
}

// Result is what became of one Commit.
type Result struct {
	SHA     string // the commit that was made; or a commit that holds the content already
	Changed bool   // whether one was made
	Err     error  // why this Commit, and no other, cannot be made: fit for print, and the same next time
}

// Repo writes the label repository. Its methods may be called from any
// goroutine. Pushes take turns; one batch may be prepared while another is sent.
type Repo struct {
	cfg    Config
	branch string // its full name
	store  *bare.Repo
	remote *remote       // nil: the local repository is the final one
	turn   chan struct{} // holds one token while somebody writes

	tip       atomic.Pointer[bare.Hash] // where the branch was last known to be
	synced    bool                      // whether the remote said so since Open; under turn
	pushedTip bare.Hash                 // the tip that the last push of this Repo left; under turn
	resumeAt  time.Time                 // when this Repo may push again; under turn

	buildMu sync.Mutex // guards the trees, the folders of batches, and writes to store
	trees   treeCache
}

// CheckBranch says whether this can be the name of a branch.
func CheckBranch(name string) error {
	if err := plumbing.NewBranchReferenceName(name).Validate(); err != nil || strings.ContainsAny(name, " \n") {
		return fmt.Errorf("%.60q is not a name for a branch", name)
	}
	return nil
}

// CheckRemote says whether this can be the address of a remote. It never
// repeats one that may hold a secret.
func CheckRemote(address string) error {
	_, err := parseRemote(address)
	return err
}

// Folder returns the folder of the remote, and whether the remote is a folder on
// this machine.
func (c Config) Folder() (string, bool) {
	if c.Remote == "" {
		return "", false
	}
	endpoint, err := parseRemote(c.Remote)
	if err != nil || endpoint.Protocol != "file" {
		return "", false
	}
	return endpoint.Path, true
}

// CheckAccess says what is wrong with the remote's credentials, as far as that
// can be said without asking it, or lacks to reach it.
func (c Config) CheckAccess() error {
	if c.Remote == "" {
		return nil
	}
	_, err := newRemote(c)
	return err
}

// Open makes the repository ready. It does not ask the remote anything, so
// that a server starts while the remote is down; Refresh does. What a killed
// process left is swept; a damaged cache is emptied, and comes back with the
// first use. One process at a time may have a folder open.
func Open(ctx context.Context, cfg Config) (*Repo, error) {
	cfg = cfg.withDefaults()
	if err := CheckBranch(cfg.Branch); err != nil {
		return nil, err
	}
	branch := plumbing.NewBranchReferenceName(cfg.Branch)
	r := &Repo{cfg: cfg, branch: branch.String(), turn: make(chan struct{}, 1), trees: treeCache{limit: 32 << 20}}
	if cfg.Remote != "" {
		var err error
		if r.remote, err = newRemote(cfg); err != nil {
			return nil, err
		}
	}
	var err error
	r.store, err = bare.Open(cfg.Dir, cfg.Branch, cfg.Remote != "")
	if err == nil {
		err = r.checkTip(ctx)
	}
	if err != nil && isDamage(err) {
		err = r.emptyCache(err)
	}
	if err != nil {
		if r.store != nil {
			r.store.Close()
		}
		return nil, err
	}
	if packs, bytes := r.store.LargePacks(); packs > manyPacks {
		cfg.Log.Info("git gc would make the local label repository much smaller", "dir", cfg.Dir, "packs", packs, "bytes", bytes)
	}
	return r, nil
}

func (c Config) withDefaults() Config {
	c.Branch = cmp.Or(c.Branch, "main")
	c.Timeout = cmp.Or(c.Timeout, time.Minute)
	c.FetchTimeout = cmp.Or(c.FetchTimeout, 10*time.Minute)
	c.RaceTimeout = cmp.Or(c.RaceTimeout, 2*time.Minute)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Clock == nil {
		c.Clock = instant.System
	}
	return c
}

// manyPacks is how many packs too large for Tidy are no reason to call git gc:
// some hundred thousand commits.
const manyPacks = 50

// Close gives the local repository up, when whoever writes has ended.
func (r *Repo) Close() error {
	r.turn <- struct{}{}
	defer r.endTurn()
	return r.store.Close()
}

// Tip is the commit that the branch was last known to point to, or "" if there
// is none.
func (r *Repo) Tip() string { return shaOf(*r.tip.Load()) }

// check reads the tip and every folder of it.
func (r *Repo) checkTip(ctx context.Context) error {
	tip, err := r.store.Ref(r.branch)
	if err != nil {
		return err
	}
	r.tip.Store(&tip)
	if tip.IsZero() {
		return nil
	}
	commit, err := r.readCommit(tip)
	if err != nil {
		return err
	}
	return r.checkTree(ctx, commit.tree)
}

func (r *Repo) checkTree(ctx context.Context, hash bare.Hash) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	content, err := r.readTree(hash)
	if err != nil {
		return err
	}
	for entry, err := range parseTree(content) {
		if err == nil && entry.isFolder() {
			err = r.checkTree(ctx, entry.hash)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Heal takes an error of Changes or Files. If what they read is damaged, the
// cache is emptied, the next Refresh brings it back, and the error says so.
func (r *Repo) Heal(ctx context.Context, cause error) error {
	if !isDamage(cause) {
		return cause
	}
	if err := r.takeTurn(ctx); err != nil {
		return err
	}
	defer r.endTurn()
	if err := r.emptyCache(cause); err != nil {
		return err
	}
	return &repoError{ErrUnavailable, "its copy on this machine is damaged, and is made again: try again"}
}

// Renew empties a cache that somebody has found damaged. The next Refresh brings
// it back. A repository that is no cache stays as it is: ErrDamaged.
func (r *Repo) Renew(ctx context.Context) error {
	if err := r.takeTurn(ctx); err != nil {
		return err
	}
	defer r.endTurn()
	return r.emptyCache(bare.ErrDamaged)
}

// emptyCache empties a damaged cache. The next use of the remote fills it again.
func (r *Repo) emptyCache(damage error) error {
	if r.remote == nil {
		return &repoError{ErrDamaged, damage.Error() + ". Mend it with tagma verify --mend"}
	}
	r.cfg.Log.Warn("the cache of the label repository is damaged and is made again from the remote", "dir", r.cfg.Dir, "error", damage)
	r.buildMu.Lock()
	defer r.buildMu.Unlock()
	r.trees.clear()
	r.synced = false
	r.tip.Store(&bare.Hash{})
	return r.store.Wipe(r.cfg.Branch)
}

func isDamage(err error) bool {
	return errors.Is(err, bare.ErrDamaged) || errors.Is(err, bare.ErrMissing) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) // a file that became shorter
}

// Refresh asks the remote where the branch is, fetches what is new, and
// returns the tip. For a final local repository it reads the branch.
func (r *Repo) Refresh(ctx context.Context) (tip string, err error) {
	if err := r.takeTurn(ctx); err != nil {
		return "", err
	}
	defer r.endTurn()
	if err := r.refresh(ctx); err != nil {
		return "", err
	}
	return r.Tip(), nil
}

// refresh is Refresh for the holder of the turn.
func (r *Repo) refresh(ctx context.Context) error {
	r.buildMu.Lock()
	defer r.buildMu.Unlock()
	previous := *r.tip.Load()
	var tip bare.Hash
	var err error
	if r.remote == nil {
		tip, err = r.store.Ref(r.branch)
	} else {
		tip, err = r.remote.fetch(ctx, previous, r.store.Ingest)
	}
	if err != nil {
		return err
	}
	r.synced = true
	if tip == previous {
		return nil
	}
	switch {
	case r.remote == nil:
	case tip.IsZero(): // the remote is empty, and so is its copy
		err = r.store.Wipe(r.cfg.Branch)
	default:
		err = r.store.MoveRef(r.branch, previous, tip)
	}
	if err != nil {
		return err
	}
	r.tip.Store(&tip)
	if previous.IsZero() {
		return nil
	}
	if _, err := r.commitsSince(ctx, tip, previous); errors.Is(err, ErrRewritten) {
		r.cfg.Log.Error("the branch of the label repository was forced elsewhere: commits that were there are gone from it; compare it with the database",
			"was", previous, "is", tip)
	}
	return nil
}

func (r *Repo) takeTurn(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Repo) endTurn() { <-r.turn }
