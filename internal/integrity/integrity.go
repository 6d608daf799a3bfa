// Package integrity owns the check that a store is as its database says: every
// file, the database itself, and the label repository. It finds what is wrong,
// goes on after each fault, and makes again what can be made again.
//
// The package does not own what a thumbnail looks like (package images), how a
// database checks itself (package database), how a repository is read and mended
// (package labelrepo), nor when a server checks its own store (package scrub).
package integrity

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"gocloud.dev/blob"

	"tagma/internal/database"
	"tagma/internal/images"
	"tagma/internal/labelrepo"
	"tagma/internal/labels"
	"tagma/internal/pairing"
)

// Kind is what is wrong with something.
type Kind string

// The kinds of findings.
const (
	Missing    Kind = "missing"    // a row or an object speaks of it, and it is not there
	Altered    Kind = "altered"    // its bytes are not those that were written
	Unreadable Kind = "unreadable" // the disk or the store does not give it
	Orphaned   Kind = "orphaned"   // no row speaks of it
	Damaged    Kind = "damaged"    // the database or the label repository contradicts itself
	Foreign    Kind = "foreign"    // the files belong to another database
)

// Kinds are all kinds.
var Kinds = []Kind{Missing, Altered, Unreadable, Orphaned, Damaged, Foreign} //nolint:gochecknoglobals // a table

// Finding is one thing that is wrong.
type Finding struct {
	Kind   Kind
	Key    string // the file's name in the store; the table; the object of the label repository
	About  string // what that is, for a person
	Err    error  // more about the fault, or why it could not be mended; nil if there is no more to say
	Mended bool
}

// String is the finding as a line.
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

// Store is what is checked.
type Store struct {
	DB      *database.DB
	Bucket  *blob.Bucket
	Images  *images.Images
	Pairing *pairing.Pairing
	Labels  *labels.Labels
	// Repository is where the label repository is. Without a Dir none is checked.
	Repository labelrepo.Config
}

// Checker checks a store, part by part. It is for one goroutine.
type Checker struct {
	Store
	// Found is told of each finding.
	Found func(Finding)
	// Pace is told how many bytes were read, and may wait; nil does not. Its
	// error ends the check.
	Pace func(context.Context, int64) error
	// Mend makes again what can be made again, before Found is told.
	Mend bool
	// Clone is the folder of a clone of the label repository, or the address of a
	// remote, from which Mend may take objects; or empty.
	Clone string

	right   int // files that are as they should be
	objects int // of the label repository, likewise
	notes   []images.Sum
	ended   error // what Pace returned
}

// Report is what Verify has done.
type Report struct {
	Files    int    // that are as they should be
	Objects  int    // of the label repository, likewise
	Database string // how the database was checked
	Found    int    // findings
	Mended   int    // of these
}

// Left is how many findings are left.
func (r Report) Left() int { return r.Found - r.Mended }

// String is the report in one line.
func (r Report) String() string {
	return fmt.Sprintf("%d files and %d objects of the label repository are as they should be; the database was checked by %s; %d faults were found, %d are mended, %d are left.",
		r.Files, r.Objects, r.Database, r.Found, r.Mended, r.Left())
}

// Verify checks everything once: the database, every file that it speaks of, the
// files that it does not speak of, and the label repository. Files without a row
// that are younger than a day are left out: an upload may be under way. A server
// may be working meanwhile.
//
// Verify writes nothing but the SHA-256 of small pictures whose rows do not know
// it, and the note by which servers push nothing upon a damaged label repository.
func (c *Checker) Verify(ctx context.Context, now time.Time) (Report, error) {
	var report Report
	tell := c.Found
	c.Found = func(f Finding) {
		report.Found++
		if f.Mended {
			report.Mended++
		}
		tell(f)
	}
	defer func() { c.Found = tell }()
	c.right, c.objects = 0, 0
	how, err := c.Database(ctx)
	report.Database = how
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
	report.Files, report.Objects = c.right, c.objects
	return report, err
}

// goOn makes a finding of an error by which the database says that it is damaged,
// so that the next part is checked, and returns any other error.
func (c *Checker) goOn(part string, err error) error {
	if !database.IsDamaged(err) {
		return err
	}
	c.Found(Finding{Kind: Unreadable, Key: "database", About: "rows that the check of " + part + " needs: the rest of that part is not checked", Err: err})
	return nil
}

// pace tells Pace.
func (c *Checker) pace(ctx context.Context, bytes int64) error {
	if c.Pace != nil && ctx.Err() == nil {
		c.ended = c.Pace(ctx, bytes)
	}
	return c.over(ctx)
}

// over returns why the check must end, or nil. It tells the end of a check from a
// file that cannot be read.
func (c *Checker) over(ctx context.Context) error { return cmp.Or(c.ended, ctx.Err()) }

// Database checks the whole database, and returns how.
func (c *Checker) Database(ctx context.Context) (how string, err error) {
	return c.DB.Check(ctx, c.foundInDatabase)
}

// Table checks one table of the database.
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

// textError is a text as an error.
type textError string

func (e textError) Error() string { return string(e) }
