// Package integrity owns the check of a store: every file is compared with the database, and
// the database itself and the label repository are checked. The check goes on after each
// fault. Mending makes thumbnails and objects of the label repository again.
//
// The package does not own the making of thumbnails (package images), the checks
// of a database (package database), the reading and mending of a repository
// (package labelrepo), nor the time of a server's own checks (package scrub).
package integrity

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"tagma/internal/domain/images"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/domain/labels"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
	"tagma/internal/storage/ownership"
)

// Kind is the kind of a finding.
type Kind string

// The kinds of findings.
const (
	Missing    Kind = "missing"    // a row or an object names a file or object that does not exist
	Altered    Kind = "altered"    // the bytes have another hash than the row says
	Unreadable Kind = "unreadable" // the disk or the bucket returns an error
	Orphaned   Kind = "orphaned"   // no row names the file
	Damaged    Kind = "damaged"    // the database or the label repository contradicts itself
	Foreign    Kind = "foreign"    // the files belong to another database
)

// Kinds are all kinds.
var Kinds = []Kind{Missing, Altered, Unreadable, Orphaned, Damaged, Foreign}

// Finding is a fault of a store.
type Finding struct {
	Kind   Kind
	Key    string // a file's key in the bucket, a table, or an object of the label repository
	About  string // describes the key for a person: the image, or the bundle and version
	Err    error  // the error of the disk, or the reason why mending failed; may be nil
	Mended bool
}

// String returns the finding as a line of text.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", f.Kind, f.Key)
	if f.About != "" {
		fmt.Fprintf(&b, " (%s)", f.About)
	}
	if f.Mended {
		b.WriteString(": mended")
	} else if f.Err != nil {
		fmt.Fprintf(&b, ": %s", strings.Join(strings.Fields(f.Err.Error()), " "))
	}
	return b.String()
}

// Store is a store to check.
type Store struct {
	DB      *database.DB
	Bucket  bucket.Bucket
	Images  *images.Service
	Pairing *ownership.Proof
	Labels  *labels.Service
	// Repository names the label repository. Without a Dir, no label repository is checked.
	Repository labelrepo.Config
}

// Checker checks a store, part by part. A Checker is not safe for concurrent use.
type Checker struct {
	Store
	// Found is called with each finding.
	Found func(Finding)
	// Pace, if set, is called with the number of bytes after each read, and may
	// block. An error of Pace ends the check.
	Pace func(context.Context, int64) error
	// Mend makes the check mend each fault before the call of Found, if possible.
	Mend bool
	// Clone is the folder of a clone of the label repository, or the address of a
	// remote: a source of objects for Mend. Clone may be empty.
	Clone string

	right   int // files without a fault
	objects int // objects of the label repository without a fault
	notes   []images.Sum
	paceErr error // the error of Pace
}

// Report is the result of Verify.
type Report struct {
	Files    int    // files without a fault
	Objects  int    // objects of the label repository without a fault
	Database string // the name of the check of the database
	Found    int    // findings
	Mended   int    // mended findings
}

// Left returns the number of findings not mended.
func (r Report) Left() int { return r.Found - r.Mended }

// String returns the report as a line of text.
func (r Report) String() string {
	return fmt.Sprintf("%d files and %d objects of the label repository are as they should be; the database was checked by %s; %d faults were found, %d are mended, %d are left.",
		r.Files, r.Objects, r.Database, r.Found, r.Mended, r.Left())
}

// Verify checks everything once: the database, the files of all rows, files
// without a row, and the label repository. Verify leaves out files without a row
// from the last day: an upload may be under way. A server may run at the same time.
//
// Without Mend, Verify writes two things: the SHA-256 of thumbnails into rows without these
// sums, and the note about a damaged label repository (labels.SetDamage).
func (c *Checker) Verify(ctx context.Context, now time.Time) (Report, error) {
	var total Report
	report := c.Found
	c.Found = func(f Finding) {
		total.Found++
		if f.Mended {
			total.Mended++
		}
		report(f)
	}
	defer func() { c.Found = report }()
	c.right, c.objects = 0, 0
	how, err := c.Database(ctx)
	total.Database = how
	for _, part := range []func(context.Context) error{
		func(ctx context.Context) error { return c.ImagesAfter(ctx, 0, nil) },
		func(ctx context.Context) error { return c.BundlesAfter(ctx, 0, nil) },
		func(ctx context.Context) error { return c.Orphans(ctx, now.Add(-images.Grace)) },
		c.PairingFile,
		func(ctx context.Context) error { return c.LabelRepository(ctx, true) },
	} {
		if err == nil {
			err = part(ctx)
		}
	}
	total.Files, total.Objects = c.right, c.objects
	return total, err
}

// reportDamage reports an error of a damaged database as a finding and returns nil, so that
// the check continues with the next part. reportDamage returns any other error.
func (c *Checker) reportDamage(part string, err error) error {
	if !database.IsDamaged(err) {
		return err
	}
	c.Found(Finding{Kind: Unreadable, Key: "database", About: "rows that the check of " + part + " needs: the rest of that part is not checked", Err: err})
	return nil
}

// pace calls Pace.
func (c *Checker) pace(ctx context.Context, bytes int64) error {
	if c.Pace != nil && ctx.Err() == nil {
		c.paceErr = c.Pace(ctx, bytes)
	}
	return c.ended(ctx)
}

// ended returns the reason to end the check, or nil. After an error of a read, ended tells
// the end of the check from an unreadable file.
func (c *Checker) ended(ctx context.Context) error { return cmp.Or(c.paceErr, ctx.Err()) }

// Database checks the whole database, and returns the name of the check.
func (c *Checker) Database(ctx context.Context) (how string, err error) {
	return c.DB.Check(ctx, c.foundInDatabase)
}

// Table checks a table of the database.
func (c *Checker) Table(ctx context.Context, table string) error {
	_, err := c.DB.CheckTable(ctx, table, c.foundInDatabase)
	return err
}

func (c *Checker) foundInDatabase(f database.Fault) {
	key := f.Table
	if key == "" {
		key = "database"
	}
	c.Found(Finding{Kind: Damaged, Key: key, About: "in the database", Err: textError(f.Text)})
}

// textError is an error without a cause.
type textError string

func (e textError) Error() string { return string(e) }
