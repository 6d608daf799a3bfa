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

	"tagma/internal/base/sleep"
	"tagma/internal/domain/labelrepo/bare"
)

// CommittedFile is a file of a commit, as the database knows the file.
type CommittedFile struct {
	SHA     string   // hash of the commit
	Paths   []string // possible paths of the file: the layout may have changed since the commit
	Content string
}

// MendOptions holds the sources of undamaged objects.
type MendOptions struct {
	// Files yields the files in the database, in the order of their commits.
	// Mend may call Files several times.
	Files func(context.Context) iter.Seq2[CommittedFile, error]
	// Tip is a former commit of the branch, or "". Mend needs Tip if the file of
	// the branch is damaged.
	Tip string
	// Source is the folder of a clone, the address of a remote, or "".
	Source string
}

// NotMendedError lists the objects that no source has.
type NotMendedError struct{ Objects []string }

func (e *NotMendedError) Error() string {
	examples := e.Objects[:min(len(e.Objects), 5)]
	return fmt.Sprintf("%d objects of the label repository are not in the database: %s: name a clone or a remote that has the objects",
		len(e.Objects), strings.Join(examples, ", "))
}

// Mend restores the damaged and missing objects of the repository in cfg.Dir and
// returns their number. No hash changes. The sources of an object are other
// copies in the repository, a clone or remote, and the files in the database.
// Mend waits for the repository's lock until ctx ends. If no source has an object
// that the history needs, Mend returns a *NotMendedError and removes no file.
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
	if err := m.restoreFromClone(ctx, o.Source); err != nil {
		return m.mended, err
	}
	for previous := -1; m.mended != previous && len(m.missing) > 0; {
		previous = m.mended
		if err := m.restoreFromDatabase(ctx, o.Files); err != nil {
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

// openWhenFree opens a repository, and waits for the lock of another process
// until ctx ends.
func openWhenFree(ctx context.Context, cfg Config) (*bare.Repo, error) {
	for {
		store, err := bare.Open(cfg.Dir, cfg.Branch, cfg.Remote != "")
		if !errors.Is(err, bare.ErrInUse) {
			return store, err
		}
		if sleep.For(ctx, 100*time.Millisecond) != nil { // flock has no timeout
			return nil, err
		}
	}
}

// mender is the state of one Mend.
type mender struct {
	cfg        Config
	store      *bare.Repo
	view       *bare.View
	missing    map[bare.Hash]bool // objects without an undamaged copy
	files      map[string]bool    // damaged files, by path within the repository
	refs       map[string]bare.Hash
	refDamaged bool // whether the file of the branch is damaged
	mended     int
}

// findFaults fills missing, files, refs and refDamaged.
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
		c.addIfMissing(h, name)
	}
	for h := range c.missing {
		m.missing[h] = true
	}
	return err
}

// addIfMissing adds an object to missing, unless the repository has an undamaged
// copy.
func (m *mender) addIfMissing(h bare.Hash) {
	if m.missing[h] {
		return
	}
	if _, _, err := m.view.Read(h); err != nil {
		m.missing[h] = true
	}
}

// restore writes an object if the object is missing. Objects that the restored
// object names are added to missing if the repository has no undamaged copy.
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
	hashes, err := referencesOf(kind, content)
	for _, hash := range hashes {
		if !m.view.Has(hash) {
			m.addIfMissing(hash)
		}
	}
	return err
}

// restoreFromClone restores objects from a clone or a remote.
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
	for progress := true; progress; { // a restored object may name other missing objects
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

// openSource returns the folder of a repository: of the clone in from, or of a
// temporary copy of the remote from. The caller calls cleanup.
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

// restoreFromDatabase restores files and folders. A file is the Content of a
// CommittedFile. A folder is the folder of the parent commit with one changed or
// added entry.
func (m *mender) restoreFromDatabase(ctx context.Context, files func(context.Context) iter.Seq2[CommittedFile, error]) error {
	if files == nil || len(m.missing) == 0 {
		return nil
	}
	for w, err := range files(ctx) {
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

// restoreFolders restores the missing folders on the path of a file that the
// commit of w wrote.
func (m *mender) restoreFolders(w CommittedFile, path string) error {
	commit, err := m.readCommit(hashOf(w.SHA))
	if err != nil {
		return nil //nolint:nilerr // without the commit, its folders are unknown
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
			return nil //nolint:nilerr // without the parent, its folders are unknown
		}
		root = parent.tree
	}
	folders, err := m.buildFolders(root, names, bare.HashObject(bare.Blob, []byte(w.Content)))
	if err != nil {
		return nil //nolint:nilerr // a folder of the parent is missing; a later round may restore it
	}
	for _, content := range folders {
		if err := m.restore(bare.Tree, content); err != nil {
			return err
		}
	}
	return nil
}

// isFolderMissing reports whether one of the folders on a path is missing.
func (m *mender) isFolderMissing(tree bare.Hash, names []string) (bool, error) {
	for _, name := range names {
		if m.missing[tree] {
			return true, nil
		}
		content, err := m.readTree(tree)
		if err != nil {
			return false, nil //nolint:nilerr // an unreadable folder is missing, so another commit has the path
		}
		entry, _, err := findEntry(content, name, modeFolder)
		if err != nil || !entry.isFolder() {
			return false, err
		}
		tree = entry.hash
	}
	return false, nil
}

// buildFolders returns the trees of the folders on a path, the deepest first,
// after the file has the hash file.
func (m *mender) buildFolders(tree bare.Hash, names []string, file bare.Hash) ([][]byte, error) {
	var content []byte
	if !tree.IsZero() {
		original, err := m.readTree(tree)
		if err != nil {
			return nil, err
		}
		content = slices.Clone(original)
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

// mendBranch sets the branch to a commit if the file of the branch is damaged or
// names a missing commit. The commit is o.Tip, or the last commit in the database
// that descends from o.Tip.
func (m *mender) mendBranch(ctx context.Context, o MendOptions) error {
	tip := hashOf(o.Tip)
	if _, err := m.readCommit(tip); err != nil || !m.refDamaged && !m.missing[m.refs[m.branchName()]] {
		return nil //nolint:nilerr // no undamaged commit is known, or the branch is not damaged
	}
	for previous := (bare.Hash{}); o.Files != nil && tip != previous; {
		previous = tip
		for w, err := range o.Files(ctx) {
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

// checkReachable returns a *NotMendedError if a reference reaches a missing
// object. Missing objects without a reference are no loss.
func (m *mender) checkReachable() error {
	if len(m.missing) == 0 {
		return nil
	}
	var unavailable []string
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
			unavailable = append(unavailable, h.String())
			continue
		}
		kind, content, err := m.view.Read(h)
		if err != nil {
			return err
		}
		hashes, err := referencesOf(kind, content)
		if err != nil {
			return err
		}
		todo = append(todo, hashes...)
	}
	if len(unavailable) == 0 {
		return nil
	}
	slices.Sort(unavailable)
	return &NotMendedError{unavailable}
}
