package labelrepo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"tagma/internal/domain/labelrepo/bare"
)

// Written is a file that a commit has written, as whoever made the commit knows
// it.
type Written struct {
	SHA     string   // the commit
	Paths   []string // where the file may be: a layout may have changed since
	Content string
}

// MendOptions says where Mend finds good copies of objects.
type MendOptions struct {
	// Written gives the files that the database knows, in the order of their
	// commits. Each may be read several times.
	Written func(context.Context) iter.Seq2[Written, error]
	// Tip is the commit that the branch pointed to when somebody last noted it, or
	// empty. It is for a branch whose own file is damaged.
	Tip string
	// From is the folder of a clone or the address of a remote; or empty.
	From string
}

// NotMendedError lists the objects that cannot be had from anywhere.
type NotMendedError struct{ Objects []string }

func (e *NotMendedError) Error() string {
	shown := e.Objects[:min(len(e.Objects), 5)]
	return fmt.Sprintf("%d objects of the label repository cannot be made again from the database: %s: name a clone or a remote that has them",
		len(e.Objects), strings.Join(shown, ", "))
}

// Mend makes the damaged and missing objects of the repository in cfg.Dir again,
// each under its own hash, and returns how many. No commit gets another hash. An
// object comes from another copy in the repository, from a clone or remote, or
// from the files that the database knows. Mend takes the repository's lock, and
// waits for it until ctx ends. With an object that cannot be had, and that the
// history needs, Mend returns a *NotMendedError, and takes nothing away.
func Mend(ctx context.Context, cfg Config, o MendOptions) (mended int, err error) {
	cfg = cfg.withDefaults()
	store, err := openWhenFree(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	m := &mender{cfg: cfg, store: store, want: map[bare.Hash]bool{}, files: map[string]bool{}}
	if err := m.survey(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.view.Close()) }()
	if err := m.fromClone(ctx, o.From); err != nil {
		return m.mended, err
	}
	for before := -1; m.mended != before && len(m.want) > 0; {
		before = m.mended
		if err := m.fromDatabase(ctx, o.Written); err != nil {
			return m.mended, err
		}
	}
	if err := m.mendBranch(ctx, o); err != nil {
		return m.mended, err
	}
	if err := m.demandReachable(); err != nil {
		return m.mended, err
	}
	var files []string
	for file := range m.files {
		files = append(files, file)
	}
	slices.Sort(files)
	return m.mended, store.ReplaceDamaged(m.view, files)
}

// openWhenFree opens a repository whose lock another process may hold for a while.
func openWhenFree(ctx context.Context, cfg Config) (*bare.Repo, error) {
	for {
		store, err := bare.Open(cfg.Dir, cfg.Branch, cfg.Remote != "")
		if !errors.Is(err, bare.ErrInUse) {
			return store, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond): // flock has no wait with an end
		}
	}
}

// mender is one run of Mend.
type mender struct {
	cfg    Config
	store  *bare.Repo
	view   *bare.View
	want   map[bare.Hash]bool // objects that are missing, or of which every copy is damaged
	files  map[string]bool    // damaged files, by their names within the repository
	refs   map[string]bare.Hash
	broken bool // whether the branch's own file is damaged
	mended int
}

// survey finds out what is wrong.
func (m *mender) survey(ctx context.Context) error {
	var err error
	if m.view, err = bare.OpenView(m.cfg.Dir); err != nil {
		return err
	}
	c := checker{view: m.view, missing: map[bare.Hash]string{}}
	err = m.view.Check(ctx, Unpaced, func(h bare.Hash, kind bare.Kind, content []byte) error {
		c.follow(h, kind, content, func(Fault) {})
		return nil
	}, func(f bare.Fault) {
		if !f.Object.IsZero() {
			m.wanted(f.Object)
		}
		if strings.HasPrefix(f.File, "objects/") {
			m.files[f.File] = true
		}
		m.broken = m.broken || f.File == m.branch()
	})
	m.refs = m.view.Refs()
	for name, h := range m.refs {
		c.lookUp(h, name)
	}
	for h := range c.missing {
		m.want[h] = true
	}
	return err
}

// wanted notes an object that is to be made again, unless there is a good copy.
func (m *mender) wanted(h bare.Hash) {
	if m.want[h] {
		return
	}
	if _, _, err := m.view.Read(h); err != nil {
		m.want[h] = true
	}
}

// take writes an object if it is wanted, and wants whatever it names and is not
// there.
func (m *mender) take(kind bare.Kind, content []byte) error {
	h := bare.HashObject(kind, content)
	if !m.want[h] {
		return nil
	}
	if _, err := m.store.WriteLoose(kind, content); err != nil {
		return err
	}
	delete(m.want, h)
	m.mended++
	names, err := namesIn(kind, content)
	for _, name := range names {
		if !m.view.Has(name) {
			m.wanted(name)
		}
	}
	return err
}

// fromClone takes what a clone or a remote has.
func (m *mender) fromClone(ctx context.Context, from string) error {
	if from == "" || len(m.want) == 0 {
		return nil
	}
	folder, cleanUp, err := m.fetch(ctx, from)
	if err != nil {
		return err
	}
	defer cleanUp()
	clone, err := bare.OpenView(folder)
	if err != nil {
		return fmt.Errorf("read the clone: %w", err)
	}
	defer clone.Close()
	for progress := true; progress; { // what was taken may want more
		progress = false
		for _, h := range sorted(m.want) {
			kind, content, err := clone.Read(h)
			if err != nil {
				continue // the database may have the object
			}
			if err := m.take(kind, content); err != nil {
				return err
			}
			progress = true
		}
	}
	return nil
}

// fetch returns the folder of a repository: that of a clone itself, or that of a
// copy of a remote.
func (m *mender) fetch(ctx context.Context, from string) (folder string, cleanUp func(), err error) {
	for _, folder := range []string{from, filepath.Join(from, ".git")} {
		if _, err := os.Stat(filepath.Join(folder, "objects")); err == nil {
			return folder, func() {}, nil
		}
	}
	cfg := m.cfg.withDefaults()
	cfg.Remote = from
	remote, err := newRemote(cfg)
	if err != nil {
		return "", nil, fmt.Errorf("neither a clone nor the address of a remote: %w", err)
	}
	if folder, err = os.MkdirTemp(filepath.Dir(m.cfg.Dir), "labels-fetched-*.git"); err != nil {
		return "", nil, err
	}
	cleanUp = func() { _ = os.RemoveAll(folder) }
	scratch, err := bare.Open(folder, cfg.Branch, true)
	if err == nil {
		_, err = remote.fetch(ctx, bare.Hash{}, scratch.Ingest)
		err = errors.Join(err, scratch.Close())
	}
	if err != nil {
		cleanUp()
		return "", nil, err
	}
	return folder, cleanUp, nil
}

// fromDatabase makes files and folders again from what the database knows: a file
// is its content, and a folder is that of the commit before with one entry more or
// another.
func (m *mender) fromDatabase(ctx context.Context, all func(context.Context) iter.Seq2[Written, error]) error {
	if all == nil || len(m.want) == 0 {
		return nil
	}
	for w, err := range all(ctx) {
		if err != nil {
			return err
		}
		if err := m.take(bare.Blob, []byte(w.Content)); err != nil {
			return err
		}
		for _, path := range w.Paths {
			if err := m.takeFolders(w, path); err != nil {
				return err
			}
		}
		if len(m.want) == 0 {
			return nil
		}
	}
	return nil
}

// takeFolders makes the folders of a commit again that are wanted, if the commit
// wrote the file at that path.
func (m *mender) takeFolders(w Written, path string) error {
	commit, err := m.commit(hashOf(w.SHA))
	if err != nil {
		return nil //nolint:nilerr // the commit is lost, and what to build upon with it
	}
	names := strings.Split(path, "/")
	wanted, err := m.isWanted(commit.tree, names)
	if err != nil || !wanted {
		return err
	}
	var root bare.Hash
	if len(commit.parents) > 0 {
		parent, err := m.commit(commit.parents[0])
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		root = parent.tree
	}
	built, err := m.build(root, names, bare.HashObject(bare.Blob, []byte(w.Content)))
	if err != nil {
		return nil //nolint:nilerr // a folder of the commit before is lost: another round may have made it
	}
	for _, content := range built {
		if err := m.take(bare.Tree, content); err != nil {
			return err
		}
	}
	return nil
}

// isWanted reports whether a folder on the way to a path is wanted.
func (m *mender) isWanted(tree bare.Hash, names []string) (bool, error) {
	for _, name := range names {
		if m.want[tree] {
			return true, nil
		}
		content, err := m.tree(tree)
		if err != nil {
			return false, nil //nolint:nilerr // what is lost is wanted: so it is not of this commit
		}
		entry, _, err := findEntry(content, name, modeFolder)
		if err != nil || !entry.isFolder() {
			return false, err
		}
		tree = entry.hash
	}
	return false, nil
}

// build returns the folders on the way to a path, the deepest first, as they are
// when the file has that content.
func (m *mender) build(tree bare.Hash, names []string, file bare.Hash) ([][]byte, error) {
	var content []byte
	if !tree.IsZero() {
		shared, err := m.tree(tree)
		if err != nil {
			return nil, err
		}
		content = slices.Clone(shared)
	}
	mode := modeFile
	if len(names) > 1 {
		mode = modeFolder
	}
	old, at, err := findEntry(content, names[0], mode)
	if err != nil {
		return nil, err
	}
	var below [][]byte
	hash := file
	if len(names) > 1 {
		if old.end > 0 && !old.isFolder() {
			return nil, errTree
		}
		if below, err = m.build(old.hash, names[1:], file); err != nil {
			return nil, err
		}
		hash = bare.HashObject(bare.Tree, below[len(below)-1])
	}
	content, _ = setEntry(content, old, at, names[0], mode, hash)
	return append(below, content), nil
}

func (m *mender) tree(h bare.Hash) ([]byte, error) {
	_, content, err := m.view.Read(h)
	return content, err
}

func (m *mender) commit(h bare.Hash) (commitObject, error) {
	kind, content, err := m.view.Read(h)
	if err != nil {
		return commitObject{}, err
	}
	if kind != bare.Commit {
		return commitObject{}, errCommit
	}
	return parseCommit(content)
}

func (m *mender) branch() string { return plumbing.NewBranchReferenceName(m.cfg.Branch).String() }

// mendBranch has the branch point to where it was, if its own file is damaged or
// names a commit that is nowhere: to the commit that was noted, or to one that the
// database knows to follow upon that.
func (m *mender) mendBranch(ctx context.Context, o MendOptions) error {
	tip := hashOf(o.Tip)
	if _, err := m.commit(tip); err != nil || !m.broken && !m.want[m.refs[m.branch()]] {
		return nil //nolint:nilerr // there is no better place
	}
	for before := (bare.Hash{}); o.Written != nil && tip != before; {
		before = tip
		for w, err := range o.Written(ctx) {
			if err != nil {
				return err
			}
			if next, err := m.commit(hashOf(w.SHA)); err == nil && len(next.parents) > 0 && next.parents[0] == tip {
				tip = hashOf(w.SHA)
			}
		}
	}
	if err := m.store.SetRef(m.branch(), tip); err != nil {
		return err
	}
	delete(m.want, m.refs[m.branch()])
	m.refs[m.branch()] = tip
	m.mended++
	return nil
}

// demandReachable returns a *NotMendedError if the history needs something that
// is still wanted. What nothing names any more is no loss.
func (m *mender) demandReachable() error {
	if len(m.want) == 0 {
		return nil
	}
	var lost []string
	seen := map[bare.Hash]bool{}
	var todo []bare.Hash
	for _, h := range m.refs {
		todo = append(todo, h)
	}
	for len(todo) > 0 {
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[h] {
			continue
		}
		seen[h] = true
		if m.want[h] {
			lost = append(lost, h.String())
			continue
		}
		kind, content, err := m.view.Read(h)
		if err != nil {
			return err
		}
		names, err := namesIn(kind, content)
		if err != nil {
			return err
		}
		todo = append(todo, names...)
	}
	if len(lost) == 0 {
		return nil
	}
	slices.Sort(lost)
	return &NotMendedError{lost}
}
