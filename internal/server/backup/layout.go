package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tagma/internal/base/instant"
)

// The names in the folder of a backup, and in the folder of a generation. While a
// generation is made or removed, the name ends with incompleteSuffix or
// removedSuffix.
const (
	markFile          = "tagma-backup.json"
	lockFile          = "tagma-backup.lock"
	filesFolder       = "files"
	generationsFolder = "generations"

	databaseFile = "tagma.db"
	aboutFile    = "generation.json"
	sumsFile     = "SHA256SUMS"

	newSuffix        = ".new"
	incompleteSuffix = ".incomplete"
	removedSuffix    = ".removed"
)

// format is the version of the layout, written into tagma-backup.json.
const format = 1

// nameLayout is the form of a generation's name: a time in UTC, in the basic form
// of ISO 8601. Such names sort by time, and are valid on every file system.
const nameLayout = "20060102T150405Z"

// filesPrefix is the path from a generation to the shared files, as written in
// SHA256SUMS.
const filesPrefix = "../../" + filesFolder + "/"

// ErrNone is returned for a folder without a complete backup.
var ErrNone = errors.New("no complete backup is there")

// mark is the content of tagma-backup.json, which tells the store of a backup.
type mark struct {
	Format int    `json:"format"`
	Store  string `json:"store"` // the id of the store
}

// Generation describes a state of a store in a backup.
type Generation struct {
	// Name is the name of the folder: a time in the form of nameLayout.
	Name string `json:"-"`
	// Store is the id of the store, or empty if the backup was made before
	// stores had ids.
	Store string `json:"store,omitempty"`
	// Schema is the number of the last migration of the database.
	Schema int64 `json:"schema"`
	// Time is the time when the backup began.
	Time instant.Instant `json:"time"`
	// Run is the number of generations made in this backup before. Run selects
	// the older files to read again.
	Run int `json:"run"`
}

// digest is a SHA-256.
type digest [sha256.Size]byte

func (d digest) String() string { return hex.EncodeToString(d[:]) }

func parseDigest(s string) (d digest, ok bool) {
	if len(s) != 2*len(d) {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err == nil
}

// contents is the content of a SHA256SUMS.
type contents struct {
	database digest
	about    *digest           // nil in the layout without generations
	files    map[string]digest // by key
}

// disk holds the functions that change and flush names on the disk. Tests replace
// the functions to inject faults.
type disk struct {
	flush     func(*os.File) error
	rename    func(from, to string) error
	remove    func(path string) error
	removeAll func(path string) error
	// free returns the free bytes on the file system of a folder, and false if
	// unknown.
	free func(path string) (bytes uint64, known bool)
}

func realDisk() disk {
	return disk{flush: (*os.File).Sync, rename: os.Rename, remove: os.Remove, removeAll: os.RemoveAll, free: freeBytes}
}

// folder is the folder of a backup.
type folder struct {
	path string
	disk disk
}

func (f folder) in(names ...string) string {
	return filepath.Join(append([]string{f.path}, names...)...)
}

// readMark returns the mark of the folder. The error is fs.ErrNotExist if the
// folder has no mark.
func (f folder) readMark() (mark, error) {
	var m mark
	text, err := os.ReadFile(f.in(markFile))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Store == "" || m.Format < 1 {
		return m, fmt.Errorf("%s is damaged: it is no JSON object with format and store", f.in(markFile))
	}
	if m.Format > format {
		return m, fmt.Errorf("%s has format %d, and this Tagma knows formats up to %d: use the newer Tagma that made the backup", f.in(markFile), m.Format, format)
	}
	return m, nil
}

// names returns the names of the complete generations, the newest first.
func (f folder) names() ([]string, error) {
	entries, err := os.ReadDir(f.in(generationsFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, err := time.Parse(nameLayout, e.Name()); err == nil && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// about returns the description of a generation.
func (f folder) about(name string) (Generation, error) {
	g := Generation{Name: name}
	path := f.in(generationsFolder, name, aboutFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return g, err
	}
	if err := json.Unmarshal(text, &g); err != nil {
		return g, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return g, nil
}

// contents returns the content of the SHA256SUMS of a generation.
func (f folder) contents(name string) (contents, error) {
	return readContents(f.in(generationsFolder, name, sumsFile), filesPrefix)
}

// Newest returns the newest complete generation in the folder path, or ErrNone if
// the folder has no backup of the store with the given id. Newest is fast: Newest
// reads a directory and two small files.
func Newest(path, store string) (Generation, error) {
	f := folder{path: path}
	m, err := f.readMark()
	if errors.Is(err, fs.ErrNotExist) || err == nil && m.Store != store {
		return Generation{}, ErrNone
	}
	if err != nil {
		return Generation{}, err
	}
	names, err := f.names()
	if err != nil {
		return Generation{}, err
	}
	if len(names) == 0 {
		return Generation{}, ErrNone
	}
	return f.about(names[0])
}

// readContents reads a SHA256SUMS. Prefix is the path of the shared files in
// SHA256SUMS.
func readContents(path, prefix string) (contents, error) {
	c := contents{files: map[string]digest{}}
	file, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer file.Close()
	hasDatabase := false
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		text, name, ok := strings.Cut(lines.Text(), "  ")
		sum, valid := parseDigest(text)
		if !ok || !valid {
			return c, fmt.Errorf("%s is damaged: %.100q is no line of sha256sum", path, lines.Text())
		}
		key, isFile := strings.CutPrefix(name, prefix)
		switch {
		case isFile:
			c.files[key] = sum
		case name == databaseFile:
			c.database, hasDatabase = sum, true
		case name == aboutFile:
			c.about = &sum
		default:
			return c, fmt.Errorf("%s is damaged: %.100q is no file of a backup", path, name)
		}
	}
	if err := lines.Err(); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if !hasDatabase {
		return c, fmt.Errorf("%s is damaged: %s has no line", path, databaseFile)
	}
	return c, nil
}

// write writes the SHA256SUMS of a generation, for `sha256sum -c` in the folder
// of the generation.
func (c contents) write(w io.Writer) error {
	b := bufio.NewWriter(w)
	for _, key := range slices.Sorted(maps.Keys(c.files)) {
		fmt.Fprintf(b, "%s  %s%s\n", c.files[key], filesPrefix, key)
	}
	if c.about != nil {
		fmt.Fprintf(b, "%s  %s\n", *c.about, aboutFile)
	}
	fmt.Fprintf(b, "%s  %s\n", c.database, databaseFile)
	return b.Flush()
}

// writeGeneration writes the description and the sums of a generation into the
// folder of the generation, and then renames the folder to the final name.
// Everything is on the disk before the rename.
func (f folder) writeGeneration(g Generation, c contents) error {
	temp := f.in(generationsFolder, g.Name+incompleteSuffix)
	text, err := json.Marshal(g)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	about := digest(sha256.Sum256(text))
	c.about = &about
	if err := f.write(filepath.Join(temp, aboutFile), func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return err
	}
	if err := f.write(filepath.Join(temp, sumsFile), c.write); err != nil {
		return err
	}
	if err := f.flush(filepath.Join(temp, databaseFile)); err != nil {
		return err
	}
	if err := f.flush(temp); err != nil {
		return err
	}
	if err := f.disk.rename(temp, f.in(generationsFolder, g.Name)); err != nil {
		return err
	}
	return f.flush(f.in(generationsFolder))
}

// writeMark makes the folder a backup of the store.
func (f folder) writeMark(store string) error {
	text, err := json.Marshal(mark{Format: format, Store: store})
	if err != nil {
		return err
	}
	temp := f.in(markFile + newSuffix)
	err = f.write(temp, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(append(text, '\n')))
		return err
	})
	if err != nil {
		return err
	}
	if err := f.disk.rename(temp, f.in(markFile)); err != nil {
		return err
	}
	return f.flush(f.path)
}

// write writes and flushes a file, readable by the operator alone.
func (f folder) write(path string, content func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = content(file)
	if err == nil {
		err = f.disk.flush(file)
	}
	return errors.Join(err, file.Close())
}

// flush flushes a file's bytes, or the names in a folder, to the disk (fsync).
func (f folder) flush(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := f.disk.flush(file); err != nil {
		err = fmt.Errorf("flush %s: %w", path, err)
		return errors.Join(err, file.Close())
	}
	return file.Close()
}

// makeFolder creates a missing folder within the backup, and flushes the name.
func (f folder) makeFolder(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.flush(filepath.Dir(path))
}

// removeGeneration removes a generation. The rename comes first, so a partly
// removed generation is never taken for a complete generation.
func (f folder) removeGeneration(name string) error {
	removed := f.in(generationsFolder, name+removedSuffix)
	if err := f.disk.rename(f.in(generationsFolder, name), removed); err != nil {
		return err
	}
	if err := f.flush(f.in(generationsFolder)); err != nil {
		return err
	}
	return f.disk.removeAll(removed)
}

// clearLeftovers removes the incomplete generations of a killed run. The caller holds the lock.
func (f folder) clearLeftovers() error {
	entries, err := os.ReadDir(f.in(generationsFolder))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, incomplete := strings.CutSuffix(e.Name(), incompleteSuffix)
		if !incomplete {
			var removed bool
			if name, removed = strings.CutSuffix(e.Name(), removedSuffix); !removed {
				continue
			}
		}
		if _, err := time.Parse(nameLayout, name); err != nil {
			continue
		}
		if err := f.disk.removeAll(f.in(generationsFolder, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// sumOf returns the SHA-256 of a file.
func sumOf(path string) (sum digest, err error) {
	file, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return sum, err
	}
	hash.Sum(sum[:0])
	return sum, nil
}
