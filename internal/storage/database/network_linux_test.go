package database

import (
	"strings"
	"testing"
)

func TestOpen_ANetworkFileSystemIsRefusedAndALocalOneIsNot(t *testing.T) {
	folder := t.TempDir()
	for magic, kind := range map[uint32]string{
		0x6969: "NFS", 0x517b: "SMB", 0xfe534d42: "SMB", 0xff534d42: "SMB", 0x00c36400: "Ceph", 0x0bd00bd0: "Lustre", 0x47504653: "GPFS",
		0xef53: "", 0x58465342: "", 0x9123683e: "", 0x2fc12fc1: "", 0x01021994: "", // ext4, XFS, Btrfs, ZFS, tmpfs
		0x65735546: "", // FUSE, which may be either
	} {
		err := networkError(folder, magic)
		if (err == nil) != (kind == "") || err != nil && (!strings.Contains(err.Error(), folder) || !strings.Contains(err.Error(), "("+kind+")")) {
			t.Errorf("%#x: got %v, want a refusal that names %q", magic, err, kind)
		}
	}
}
