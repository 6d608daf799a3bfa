package push

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"tagma/internal/cli/progress"
)

// Verdict is the result for a file: the server's verdict, or one of the two
// below.
type Verdict string

// Results for a file.
const (
	Created   Verdict = "CREATED"
	Replaced  Verdict = "REPLACED"
	Unchanged Verdict = "UNCHANGED" // the server had the file before
	Conflict  Verdict = "CONFLICT"
	Rejected  Verdict = "REJECTED"

	wouldSend Verdict = "WOULD SEND" // of a dry run
	notSent   Verdict = "NOT SENT"   // of an interrupted push
)

// Words for the paths besides photographs.
const (
	notRead    = "NOT READ"
	passedOver = "PASSED OVER"
)

// Report is the result of a push.
type Report struct {
	DryRun bool
	scan   *scanResult
}

// Photographs returns the number of all photographs.
func (r *Report) Photographs() int { return len(r.scan.photographs) }

// Unreadable returns the number of unreadable folders.
func (r *Report) Unreadable() int { return len(r.scan.unreadable) }

// Refused returns the number of photographs that were refused.
func (r *Report) Refused() int {
	n := 0
	for _, p := range r.scan.photographs {
		if p.verdict == Conflict || p.verdict == Rejected {
			n++
		}
	}
	return n
}

// Write writes the refused photographs with the reasons, the sent photographs with
// warnings, and the number of photographs by verdict. If verbose is set, Write also
// writes the skipped files.
func (r *Report) Write(w io.Writer, verbose bool) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	type sum struct {
		files int
		bytes int64
	}
	sums := map[Verdict]sum{}
	deleted := 0
	for _, p := range r.scan.photographs {
		verdict := p.verdict
		if verdict == "" {
			verdict = notSent
		}
		sums[verdict] = sum{sums[verdict].files + 1, sums[verdict].bytes + p.Size}
		deleted += p.deleted
		if remark := p.remark(); remark != "" {
			fmt.Fprintf(table, "%s\t%s\t%s\n", verdict, p.Path, remark)
		}
	}
	for _, folder := range r.scan.unreadable {
		fmt.Fprintf(table, "%s\t%s\t%s\n", notRead, folder.path, folder.reason)
	}
	if verbose {
		for _, file := range r.scan.skipped {
			fmt.Fprintf(table, "%s\t%s\t%s\n", passedOver, file.path, file.reason)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, verdict := range []Verdict{Created, Replaced, Unchanged, wouldSend, Conflict, Rejected, notSent} {
		if s, ok := sums[verdict]; ok {
			fmt.Fprintf(table, "%s\t%s\t%s\n", verdict, photographCount(s.files), progress.Bytes(s.bytes))
		}
	}
	if len(sums) == 0 {
		fmt.Fprintln(table, "There are no photographs. They are named <device>.<YYYY-MM-DD_HH-MM-SS>.jpg, such as 0a5bb6f4.2020-06-20_20-19-15.jpg.")
	}
	if n := len(r.scan.skipped); n > 0 {
		fmt.Fprintf(table, "Files with other names, passed over: %d\n", n)
	}
	if n := len(r.scan.unreadable); n > 0 {
		fmt.Fprintf(table, "Folders that cannot be read, passed by: %d\n", n)
	}
	if deleted > 0 {
		fmt.Fprintf(table, "Annotations deleted with the photographs that were replaced: %d\n", deleted)
	}
	return table.Flush()
}

// remark returns the reason for the refusal of a photograph, or the warnings of a
// photograph that the server has taken, or "".
func (p *photograph) remark() string {
	if p.reason != "" || len(p.warnings) == 0 {
		return p.reason
	}
	names := make([]string, len(p.warnings))
	for n, warning := range p.warnings {
		names[n] = string(warning)
	}
	return "the photograph is whole, but the file deviates from the JPEG standard: " + strings.Join(names, ", ")
}
