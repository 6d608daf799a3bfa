package localblob

import (
	"fmt"
	"sync"
)

// folderSet is the set of folders whose names are not on the disk yet.
type folderSet struct {
	mu      sync.Mutex
	folders map[string]bool
}

func (s *folderSet) add(folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folders[folder] = true
}

// take empties the set and returns what was in the set.
func (s *folderSet) take() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.folders
	s.folders = map[string]bool{}
	return taken
}

// OpenCopies opens the bucket in dir for a copy of many files. A write flushes the
// file, but not the folder that holds the name. flush flushes each changed folder
// once. The caller must not acknowledge a file before flush has
// returned nil.
func OpenCopies(dir string) (copies *Bucket, flush func() error, err error) {
	b, err := open(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("localblob: open %q: %w", dir, err)
	}
	return b, b.deferFolders(), nil
}

// deferFolders defers the flushes of folders until the returned function is
// called.
func (b *Bucket) deferFolders() (flush func() error) {
	b.unflushed = &folderSet{folders: map[string]bool{}}
	return func() error {
		for folder := range b.unflushed.take() {
			if err := b.syncFolder(folder); err != nil {
				return fmt.Errorf("localblob: flush the folder %q: %w", folder, err)
			}
		}
		return nil
	}
}
