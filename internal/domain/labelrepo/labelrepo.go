// Package labelrepo owns the label repository: its commits and pushes. The
// package makes commits without a working copy, sends many commits as one pack
// with exactly the new objects, and moves the branch of the remote by
// compare-and-swap, never by force. It reads the commits that others pushed.
// Nothing else in Tagma writes to the label repository.
//
// The package does not own the meaning of the files, and it does not know Tagma's
// database, which is the source of truth. With a remote, the repository on the
// disk is a cache, and a damaged cache is fetched again. Without a remote, the
// repository on the disk is final, and an ordinary git may work in the repository
// at the same time.
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

	"tagma/internal/base/bytecache"
	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo/bare"
)

// Config holds the location of the label repository and the identity of the
// committer.
type Config struct {
	Dir         string // bare repository on the local disk: a cache of Remote, or final
	Remote      string // https://, ssh://, git@host:path or a path; "" makes Dir the final repository
	Branch      string // "" = main
	Committer   Identity
	Credentials Credentials
	Signer      Signer        // signs every commit; nil = no signatures
	Clock       instant.Clock // nil = the system's clock
	Log         *slog.Logger  // nil = no log

	Timeout      time.Duration // of one exchange with the remote; 0 = one minute
	FetchTimeout time.Duration // of one fetch, which may bring the whole repository; 0 = ten minutes
	RaceTimeout  time.Duration // of one Push while others push first; 0 = two minutes
	RecheckDelay time.Duration // between two looks at the remote's branch after a refused push; 0 = one second
}

// Commit is the new content of one file.
type Commit struct {
	Path       string // with slashes, from the root of the repository
	Content    string
	Message    string // with trailers, if any
	Author     Identity
	AuthorTime instant.Instant // stored in whole seconds
}

// Result is the result of one Commit.
type Result struct {
	SHA     string // the new commit; or an older commit whose tree has the content already
	Changed bool   // whether there is a new commit
	Err     error  // defect of this Commit alone, safe to print; a second attempt fails with the same error
}

// Repo writes the label repository. All methods are safe for concurrent use. One
// Push runs at a time; during a Push, the next batch may be prepared.
type Repo struct {
	cfg    Config
	branch string // full name, such as refs/heads/main
	store  *bare.Repo
	remote *remote       // nil if the local repository is final
	turn   chan struct{} // a lock that a context can interrupt: full while somebody holds the turn

	tip       atomic.Pointer[bare.Hash] // last known commit of the branch; zero = none
	synced    bool                      // whether tip was read from the remote since Open or the last error; guarded by turn
	pushedTip bare.Hash                 // tip of the last Push of this Repo; guarded by turn
	resumeAt  time.Time                 // earliest time of the next Push; guarded by turn

	buildMu sync.Mutex                          // guards trees, the folders of batches, and writes to store
	trees   *bytecache.Cache[bare.Hash, []byte] // of the tip, for the next batch; a batch changes taken trees in place
}

// maxTreeBytes limits the trees in memory. Other trees are read from the disk.
const maxTreeBytes = 32 << 20

// ValidateBranch returns an error if name is not a valid name of a branch.
func ValidateBranch(name string) error {
	if err := plumbing.NewBranchReferenceName(name).Validate(); err != nil || strings.ContainsAny(name, " \n") {
		return fmt.Errorf("%.60q is not a valid name of a branch", name)
	}
	return nil
}

// ValidateRemote returns an error if address is not a valid address of a remote.
// The error does not contain a secret of the address.
func ValidateRemote(address string) error {
	_, err := parseRemote(address)
	return err
}

// RemoteFolder returns the folder of the remote, and whether the remote is a folder on
// this machine.
func (c Config) RemoteFolder() (string, bool) {
	if c.Remote == "" {
		return "", false
	}
	endpoint, err := parseRemote(c.Remote)
	if err != nil || endpoint.Protocol != "file" {
		return "", false
	}
	return endpoint.Path, true
}

// ValidateAccess returns an error if the remote cannot be used: invalid
// credentials, an invalid known_hosts file, or no git program. ValidateAccess
// does not connect to the remote.
func (c Config) ValidateAccess() error {
	if c.Remote == "" {
		return nil
	}
	_, err := newRemote(c)
	return err
}

// Open opens the local repository and does not connect to the remote, so a server
// starts while the remote is down. Open removes the unfinished files of a killed
// process, and empties a damaged cache; the next Refresh or Push fetches the
// cache again. Only one process can open a folder: the error wraps ErrInUse
// otherwise. For a repository that git made in a way that this package cannot
// write, the error wraps ErrUnusable. The caller calls Close.
func Open(ctx context.Context, cfg Config) (*Repo, error) {
	cfg = cfg.withDefaults()
	if err := ValidateBranch(cfg.Branch); err != nil {
		return nil, err
	}
	branch := plumbing.NewBranchReferenceName(cfg.Branch)
	r := &Repo{cfg: cfg, branch: branch.String(), turn: make(chan struct{}, 1), trees: bytecache.New(maxTreeBytes, func(_ bare.Hash, tree []byte) int { return len(tree) })}
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
	if unsupported, ok := errors.AsType[*bare.UnsupportedError](err); ok {
		err = &repoError{kind: ErrUnusable, text: unsupported.Why}
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
	c.RecheckDelay = cmp.Or(c.RecheckDelay, time.Second)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Clock == nil {
		c.Clock = instant.System
	}
	return c
}

// manyPacks is the number of large packs from which Open recommends git gc: some
// hundred thousand commits.
const manyPacks = 50

// Close waits for the current writer and closes the local repository. A Repo
// cannot be used after Close.
func (r *Repo) Close() error {
	r.turn <- struct{}{}
	defer r.endTurn()
	return r.store.Close()
}

// Tip returns the last known commit of the branch, or "" for an empty branch.
func (r *Repo) Tip() string { return shaOf(*r.tip.Load()) }

// checkTip reads the commit at the tip and all of its folders.
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

// EmptyCacheIfDamaged handles an error of Changes or Files. For an error that
// reports damage, it empties the cache and returns ErrUnavailable; the next
// Refresh fetches the cache again. Without a remote, it returns ErrDamaged. Other
// errors are returned unchanged.
func (r *Repo) EmptyCacheIfDamaged(ctx context.Context, cause error) error {
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
	return &repoError{kind: ErrUnavailable, text: "the copy on this machine is damaged and will be fetched again: try again"}
}

// EmptyCache empties a cache that another package found damaged. The next Refresh
// fetches the cache again. Without a remote, EmptyCache changes nothing and
// returns ErrDamaged.
func (r *Repo) EmptyCache(ctx context.Context) error {
	if err := r.takeTurn(ctx); err != nil {
		return err
	}
	defer r.endTurn()
	return r.emptyCache(bare.ErrDamaged)
}

// emptyCache empties a damaged cache. The next Refresh or Push fetches the cache
// again. Without a remote, emptyCache returns ErrDamaged.
func (r *Repo) emptyCache(damage error) error {
	if r.remote == nil {
		return &repoError{kind: ErrDamaged, text: damage.Error() + ". Mend it with tagma verify --mend"}
	}
	r.cfg.Log.Warn("the cache of the label repository is damaged and will be fetched again from the remote", "dir", r.cfg.Dir, "error", damage)
	r.buildMu.Lock()
	defer r.buildMu.Unlock()
	r.trees.Clear()
	r.synced = false
	r.tip.Store(&bare.Hash{})
	return r.store.Wipe(r.cfg.Branch)
}

// isDamage reports whether err means that the local repository is damaged.
func isDamage(err error) bool {
	return errors.Is(err, bare.ErrDamaged) || errors.Is(err, bare.ErrMissing) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) // a truncated file
}

// Refresh reads the branch of the remote, fetches new commits, and returns the
// tip. Without a remote, Refresh reads the local branch.
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

// refresh is Refresh for a caller that holds the turn.
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
	case tip.IsZero(): // the branch was removed from the remote: empty the cache
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
		r.cfg.Log.Error("the branch of the label repository was forced elsewhere and has lost commits: compare the repository with the database",
			"was", previous, "is", tip)
	}
	return nil
}

// takeTurn blocks until no other goroutine writes, or until ctx ends. The caller
// calls endTurn.
func (r *Repo) takeTurn(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Repo) endTurn() { <-r.turn }
