// Package health owns whether a server can write: the kind of an error of a write, such
// as a full disk, and the state of the server while writes fail.
//
// A server with failing writes still answers queries. The package does not own whether
// the database and the bucket can be reached: see httpd.Ready.
package health

import (
	"errors"
	"syscall"

	"github.com/aws/smithy-go"
	"github.com/lib/pq"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"tagma/internal/base/fault"
	"tagma/internal/storage/localblob"
)

// Kind is the reason why a server cannot write. The empty Kind means: the server can
// write.
type Kind string

// The kinds, as in docs/errors.md.
const (
	DiskFull     Kind = "disk full"
	QuotaReached Kind = "quota reached"
	ReadOnly     Kind = "read-only file system or database"
	NoPermission Kind = "no permission"
	Unopened     Kind = "database file cannot be opened"
	Moved        Kind = "folder moved or removed"
	Broken       Kind = "input/output error"
)

// KindOf returns the reason why a write failed. KindOf returns the empty Kind for an
// error with another cause, and for an error of a read.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return ofSQLite(e.Code())
	}
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return postgresKinds[string(e.Code)]
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return s3Kinds[e.ErrorCode()]
	}
	if _, ok := errors.AsType[*localblob.WriteError](err); ok {
		return OfFile(err)
	}
	return ""
}

// ofSQLite returns the kind of a result code of SQLite.
func ofSQLite(code int) Kind {
	switch code {
	case sqlitelib.SQLITE_READONLY_DBMOVED:
		return Moved
	case sqlitelib.SQLITE_READONLY_DIRECTORY, sqlitelib.SQLITE_READONLY_CANTINIT, sqlitelib.SQLITE_IOERR_ACCESS:
		return NoPermission
	case sqlitelib.SQLITE_IOERR_READ, sqlitelib.SQLITE_IOERR_SHORT_READ, sqlitelib.SQLITE_IOERR_NOMEM, sqlitelib.SQLITE_IOERR_CORRUPTFS:
		return ""
	}
	switch code & 0xff { // the primary code
	case sqlitelib.SQLITE_FULL:
		return DiskFull
	case sqlitelib.SQLITE_READONLY:
		return ReadOnly
	case sqlitelib.SQLITE_PERM:
		return NoPermission
	case sqlitelib.SQLITE_CANTOPEN:
		return Unopened
	case sqlitelib.SQLITE_IOERR:
		return Broken
	}
	return ""
}

// postgresKinds are the kinds by PostgreSQL's SQLSTATE.
var postgresKinds = map[string]Kind{
	"53100": DiskFull, // disk_full
	"25006": ReadOnly, // read_only_sql_transaction: a standby, or default_transaction_read_only
	"58030": Broken,   // io_error
}

// s3Kinds are the kinds by the error codes of S3 and of compatible stores. AccessDenied
// is missing, because S3 answers reads with AccessDenied too.
var s3Kinds = map[string]Kind{
	"XMinioStorageFull":              DiskFull,
	"QuotaExceeded":                  QuotaReached,
	"XMinioAdminBucketQuotaExceeded": QuotaReached,
}

// OfFile returns the reason why a file could not be written. Err must be the error of a
// write.
func OfFile(err error) Kind {
	switch {
	case errors.Is(err, localblob.ErrMoved):
		return Moved
	case errors.Is(err, syscall.ENOSPC):
		return DiskFull
	case errors.Is(err, syscall.EDQUOT):
		return QuotaReached
	case errors.Is(err, syscall.EROFS):
		return ReadOnly
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return NoPermission
	case errors.Is(err, syscall.EIO):
		return Broken
	}
	return ""
}

// Fault returns the error for the caller after a failed write: UNAVAILABLE with the
// kind. Fault returns nil if err has another cause.
func Fault(err error) *fault.Error {
	kind := KindOf(err)
	if kind == "" {
		return nil
	}
	return kind.Fault()
}

// Fault returns the error for the caller of a failed write.
func (k Kind) Fault() *fault.Error {
	return fault.New(fault.Unavailable,
		"the server cannot write now (%s): reading still works; send this again later, and tell the server's operator if it lasts", string(k))
}

// Remedy returns the advice to the operator.
func (k Kind) Remedy() string {
	switch k {
	case DiskFull:
		return "delete files from the disk, or give it more room"
	case QuotaReached:
		return "raise the quota of the user or the bucket, or delete files"
	case ReadOnly:
		return "mount the file system for writing, make the file writable, or name the database server that takes writes"
	case NoPermission:
		return "let the user that runs Tagma write to the folder and to its files (chown, chmod)"
	case Unopened:
		return "check that the folder is there and mounted for writing, and let the user that runs Tagma write to it"
	case Moved:
		return "move the folder back to its path, or restart the server"
	case Broken:
		return "look at the system's log: the disk may be failing"
	}
	return ""
}
