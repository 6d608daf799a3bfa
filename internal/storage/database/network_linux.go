package database

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// refuseNetwork returns an error if the folder of an SQLite database is on a network file
// system. SQLite's processes share memory in a file next to the database. Shared memory
// does not work between machines, and many network file systems lose locks.
func refuseNetwork(path string) error {
	var stat unix.Statfs_t
	folder := filepath.Dir(path)
	if err := unix.Statfs(folder, &stat); err != nil {
		return nil // opening the file gives a better error
	}
	return networkError(folder, uint32(stat.Type)) //nolint:gosec // magic numbers have 32 bits
}

// networkError returns an error if magic is the number of a network file system.
func networkError(folder string, magic uint32) error {
	kind := networkKind(magic)
	if kind == "" {
		return nil
	}
	return fmt.Errorf("the database's folder %s is on a network file system (%s), where SQLite can lose data: move the folder to a disk of this machine, or use PostgreSQL by --database", absolute(folder), kind)
}

// networkKind returns the name of the network file system with a magic number of
// statfs(2), or an empty text for another file system.
func networkKind(magic uint32) string {
	switch magic {
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return "SMB"
	case unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC:
		return "AFS"
	case unix.CODA_SUPER_MAGIC:
		return "Coda"
	case unix.CEPH_SUPER_MAGIC:
		return "Ceph"
	case 0x0bd00bd0:
		return "Lustre"
	case 0x47504653:
		return "GPFS"
	}
	return ""
}
