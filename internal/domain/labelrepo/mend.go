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
	m := &mender{cfg: cfg, store: store, missing: map[bare.Hash]bool{}, files: map[string]bool{}}
	if err := m.findFaults(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.view.Close()) }()
	if err := m.restoreFromClone(ctx, o.From); err != nil {
		return m.mended, err
	}
	for previous := -1; m.mended != previous && len(m.missing) > 0; {
		previous = m.mended
		if err := m.restoreFromDatabase(ctx, o.Written); err != nil {
			return m.mended, err
		}
	}
	if err := m.mendBranch(ctx, o); err != nil {
		return m.mended, err
	}
	if err := m.checkReachable(); err != nil {
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
	cfg        Config
	store      *bare.Repo
	view       *bare.View
	missing    map[bare.Hash]bool // objects that are missing, or of which every copy is damaged
	files      map[string]bool    // damaged files, by their names within the repository
	refs       map[string]bare.Hash
	refDamaged bool // whether the branch's own file is damaged
	mended     int
}

// findFaults finds out what is wrong.
func (m *mender) findFaults(ctx context.Context) error {
	var err error
	if m.view, err = bare.OpenView(m.cfg.Dir); err != nil {
		return err
	}
	c := checker{view: m.view, missing: map[bare.Hash]string{}}
	err = m.view.Check(ctx, noPace, func(h bare.Hash, kind bare.Kind, content []byte) error {
		c.checkReferences(h, kind, content, func(Fault) {})
		return nil
	}, func(f bare.Fault) {
		if !f.Object.IsZero() {
			m.addIfMissing(f.Object)
		}
		if strings.HasPrefix(f.File, "objects/") {
			m.files[f.File] = true
		}
		m.refDamaged = m.refDamaged || f.File == m.branchName()
	})
	m.refs = m.view.Refs()
	for name, h := range m.refs {
		c.checkExists(h, name)
	}
	for h := range c.missing {
		m.missing[h] = true
	}
	return err
}

// addIfMissing notes an object that is to be made again, unless there is a good copy.
func (m *mender) addIfMissing(h bare.Hash) {
	if m.missing[h] {
		return
	}
	if _, _, err := m.view.Read(h); err != nil {
		m.missing[h] = true
	}
}

// restore writes an object if it is wanted, and wants whatever it names and is not
// there.
func (m *mender) restore(kind bare.Kind, content []byte) error {
	h := bare.HashObject(kind, content)
	if !m.missing[h] {
		return nil
	}
	if _, err := m.store.WriteLoose(kind, content); err != nil {
		return err
	}
	delete(m.missing, h)
	m.mended++
	names, err := referencesOf(kind, content)
	for _, name := range names {
		if !m.view.Has(name) {
			m.addIfMissing(name)
		}
	}
	return err
}

// restoreFromClone takes what a clone or a remote has.
func (m *mender) restoreFromClone(ctx context.Context, from string) error {
	if from == "" || len(m.missing) == 0 {
		return nil
	}
	folder, cleanup, err := m.openSource(ctx, from)
	if err != nil {
		return err
	}
	defer cleanup()
	clone, err := bare.OpenView(folder)
	if err != nil {
		return fmt.Errorf("read the clone: %w", err)
	}
	defer clone.Close()
	for progress := true; progress; { // what was taken may want more
		progress = false
		for _, h := range sortedHashes(m.missing) {
			kind, content, err := clone.Read(h)
			if err != nil {
				continue // the database may have the object
			}
			if err := m.restore(kind, content); err != nil {
				return err
			}
			progress = true
		}
	}
	return nil
}

// openSource returns the folder of a repository: that of a clone itself, or that of a
// copy of a remote.
func (m *mender) openSource(ctx context.Context, from string) (folder string, cleanup func(), err error) {
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
	cleanup = func() { _ = os.RemoveAll(folder) }
	scratch, err := bare.Open(folder, cfg.Branch, true)
	if err == nil {
		_, err = remote.fetch(ctx, bare.Hash{}, scratch.Ingest)
		err = errors.Join(err, scratch.Close())
	}
	if err != nil {
		cleanup()
		return "", nil, err
	}
	return folder, cleanup, nil
}

// restoreFromDatabase makes files and folders again from what the database knows: a file
// is its content, and a folder is that of the commit before with one entry more or
// another.
func (m *mender) restoreFromDatabase(ctx context.Context, all func(context.Context) iter.Seq2[Written, error]) error {
	if all == nil || len(m.missing) == 0 {
		return nil
	}
	for w, err := range all(ctx) {
		if err != nil {
			return err
		}
		if err := m.restore(bare.Blob, []byte(w.Content)); err != nil {
			return err
		}
		for _, path := range w.Paths {
			if err := m.restoreFolders(w, path); err != nil {
				return err
			}
		}
		if len(m.missing) == 0 {
			return nil
		}
	}
	return nil
}

// restoreFolders makes the folders of a commit again that are wanted, if the commit
// wrote the file at that path.
func (m *mender) restoreFolders(w Written, path string) error {
	commit, err := m.readCommit(hashOf(w.SHA))
	if err != nil {
		return nil //nolint:nilerr // the commit is lost, and what to build upon with it
	}
	names := strings.Split(path, "/")
	missing, err := m.isFolderMissing(commit.tree, names)
	if err != nil || !missing {
		return err
	}
	var root bare.Hash
	if len(commit.parents) > 0 {
		parent, err := m.readCommit(commit.parents[0])
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		root = parent.tree
	}
	folders, err := m.buildFolders(root, names, bare.HashObject(bare.Blob, []byte(w.Content)))
	if err != nil {
		return nil //nolint:nilerr // a folder of the commit before is lost: another round may have made it
	}
	for _, content := range folders {
		if err := m.restore(bare.Tree, content); err != nil {
			return err
		}
	}
	return nil
}

// isFolderMissing reports whether a folder on the way to a path is wanted.
func (m *mender) isFolderMissing(tree bare.Hash, names []string) (bool, error) {
	for _, name := range names {
		if m.missing[tree] {
			return true, nil
		}
		content, err := m.readTree(tree)
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

// buildFolders returns the folders on the way to a path, the deepest first, as they are
// when the file has that content.
func (m *mender) buildFolders(tree bare.Hash, names []string, file bare.Hash) ([][]byte, error) {
	var content []byte
	if !tree.IsZero() {
		shared, err := m.readTree(tree)
		if err != nil {
			return nil, err
		}
		content = slices.Clone(shared)
	}
	mode := modeFile
	if len(names) > 1 {
		mode = modeFolder
	}
	old, pos, err := findEntry(content, names[0], mode)
	if err != nil {
		return nil, err
	}
	var subfolders [][]byte
	hash := file
	if len(names) > 1 {
		if old.end > 0 && !old.isFolder() {
			return nil, errMalformedTree
		}
		if subfolders, err = m.buildFolders(old.hash, names[1:], file); err != nil {
			return nil, err
		}
		hash = bare.HashObject(bare.Tree, subfolders[len(subfolders)-1])
	}
	content, _ = setEntry(content, old, pos, names[0], mode, hash)
	return append(subfolders, content), nil
}

func (m *mender) readTree(h bare.Hash) ([]byte, error) {
	_, content, err := m.view.Read(h)
	return content, err
}

func (m *mender) readCommit(h bare.Hash) (commitObject, error) {
	kind, content, err := m.view.Read(h)
	if err != nil {
		return commitObject{}, err
	}
	if kind != bare.Commit {
		return commitObject{}, errMalformedCommit
	}
	return parseCommit(content)
}

func (m *mender) branchName() string { return plumbing.NewBranchReferenceName(m.cfg.Branch).String() }

// mendBranch has the branch point to where it was, if its own file is damaged or
// names a commit that is nowhere: to the commit that was noted, or to one that the
// database knows to follow upon that.
func (m *mender) mendBranch(ctx context.Context, o MendOptions) error {
	tip := hashOf(o.Tip)
	if _, err := m.readCommit(tip); err != nil || !m.refDamaged && !m.missing[m.refs[m.branchName()]] {
		return nil //nolint:nilerr // there is no better place
	}
	for previous := (bare.Hash{}); o.Written != nil && tip != previous; {
		previous = tip
		for w, err := range o.Written(ctx) {
			if err != nil {
				return err
			}
			if next, err := m.readCommit(hashOf(w.SHA)); err == nil && len(next.parents) > 0 && next.parents[0] == tip {
				tip = hashOf(w.SHA)
			}
		}
	}
	if err := m.store.SetRef(m.branchName(), tip); err != nil {
		return err
	}
	delete(m.missing, m.refs[m.branchName()])
	m.refs[m.branchName()] = tip
	m.mended++
	return nil
}

// checkReachable returns a *NotMendedError if the history needs something that
// is still wanted. What nothing names any more is no loss.
func (m *mender) checkReachable() error {
	if len(m.missing) == 0 {
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
		if m.missing[h] {
			lost = append(lost, h.String())
			continue
		}
		kind, content, err := m.view.Read(h)
		if err != nil {
			return err
		}
		names, err := referencesOf(kind, content)
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
