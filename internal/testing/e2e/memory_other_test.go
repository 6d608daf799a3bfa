//go:build !linux

package e2e

// Memory is measured on Linux alone: no other system tells what RssAnon does, the
// memory of a process without what is mapped of files, which is most of SQLite's.

func (s *server) memory() int { return 0 }

func (s *server) peak(do func()) int {
	do()
	return 0
}
