// Package push owns how the photographs of a folder get to a server: which
// files they are, their fingerprints, what the server lacks of them, and the
// sending of that. Nothing is remembered of an earlier push but fingerprints:
// the server is asked what it has, so that a push that was interrupted is taken
// up by another, and one that has nothing to do sends nothing.
//
// It does not own the requests (package client), nor what makes a photograph
// good: that is the server's to say.
package push

import (
	"context"
	"fmt"
	"slices"

	"tagma/internal/client"
	"tagma/internal/client/generated"
	"tagma/internal/fingerprint"
	"tagma/internal/photo"
	"tagma/internal/progress"
)

// Options of Images.
type Options struct {
	Replace  bool // put files in the place of other images of the same device and time
	DryRun   bool // send nothing
	Parallel int  // requests at once
	Cache    string
	Output   *progress.Output
}

// photograph is a file on its way out.
type photograph struct {
	fingerprint.File
	name    photo.Name
	verdict Verdict
	reason  string // why it was refused
	deleted int    // annotations that went with the image that it replaced
}

func (p *photograph) judge(verdict Verdict, reason string) { p.verdict, p.reason = verdict, reason }

// fingerprintsAtOnce is how many fingerprints one question holds: 200 kB of
// the megabyte that servers take unless they are told otherwise.
const fingerprintsAtOnce = 2000

// fingerprintBytes is more than one fingerprint takes in a request.
const fingerprintBytes = 128

// Images pushes the photographs that are in folders, or are named themselves,
// and tells what became of each. With an error, which is no single file's, the
// report has what was done until then.
func Images(ctx context.Context, c *client.Client, paths []string, o Options) (*Report, error) {
	limits, err := c.Limits(ctx)
	if err != nil {
		return nil, err
	}
	found, err := find(ctx, paths)
	if err != nil {
		return nil, err
	}
	report := &Report{found: found, DryRun: o.DryRun}
	known := unjudged(found.photographs)
	files := make([]*fingerprint.File, len(known))
	for n, p := range known {
		files[n] = &p.File
	}
	if err := fingerprint.Take(ctx, files, fingerprint.Options{Cache: o.Cache, Output: o.Output}); err != nil {
		return report, err
	}
	for _, p := range known {
		if p.Err != nil {
			p.judge(Rejected, p.Err.Error())
		}
	}
	known = unjudged(known)
	markTwice(known)
	known = unjudged(known)
	page := max(1, min(fingerprintsAtOnce, int(limits.BodyBytes/fingerprintBytes)-8))
	if err := compare(ctx, c, known, page, func(p *photograph, there generated.DiffVerdict) {
		switch {
		case there == generated.DiffVerdictSame:
			p.judge(Unchanged, "")
		case there == generated.DiffVerdictConflict && !o.Replace:
			p.judge(Conflict, "the server has another photograph of that trap and time; --replace puts this one in its place, and deletes the annotations of the old one")
		case p.Size > limits.FileBytes:
			p.judge(Rejected, fmt.Sprintf("it has %d bytes, and the server takes at most %d", p.Size, limits.FileBytes))
		}
	}); err != nil {
		return report, err
	}
	lacking := unjudged(known)
	if len(lacking) == 0 {
		return report, nil
	}
	if o.DryRun {
		for _, p := range lacking {
			p.judge(wouldSend, "")
		}
		return report, nil
	}
	if err := send(ctx, c, lacking, limits, o); err != nil {
		return report, err
	}
	// What was taken is asked for again: a file that was changed while it was
	// sent, or spoiled on the way, has another fingerprint there.
	taken := slices.DeleteFunc(slices.Clone(lacking), func(p *photograph) bool { return p.reason != "" })
	return report, compare(ctx, c, taken, page, func(p *photograph, there generated.DiffVerdict) {
		switch there {
		case generated.DiffVerdictConflict:
			p.judge(Conflict, "the server did not get the bytes that were read before: was the file changed meanwhile? Push it again")
		case generated.DiffVerdictNew:
			p.judge(Rejected, "the server had taken it, and does not have it any more")
		}
	})
}

// unjudged is the photographs that have no verdict yet.
func unjudged(all []*photograph) []*photograph {
	return slices.DeleteFunc(slices.Clone(all), func(p *photograph) bool { return p.verdict != "" })
}

// markTwice judges what has the same trap and time as a file before it: the
// same bytes need not be sent again, and other bytes have no place.
func markTwice(all []*photograph) {
	first := map[photo.Name]*photograph{}
	for _, p := range all {
		switch before := first[p.name]; {
		case before == nil:
			first[p.name] = p
		case before.MD5 == p.MD5:
			p.judge(Unchanged, "")
		default:
			p.judge(Conflict, before.Path+" is of the same trap and time, and has other bytes")
		}
	}
}

// compare asks the server what it has of photographs, page by page.
func compare(ctx context.Context, c *client.Client, all []*photograph, page int, judge func(*photograph, generated.DiffVerdict)) error {
	for some := range slices.Chunk(all, page) {
		prints := make([]generated.ImageFingerprint, len(some))
		for n, p := range some {
			prints[n] = generated.ImageFingerprint{Device: p.name.Device, TakenAt: p.name.TakenAt, Md5: p.MD5}
		}
		got, err := client.Retry(ctx, c, func() (*generated.DiffImagesResponse, error) {
			return generated.DiffImages(ctx, c, prints)
		})
		if err != nil {
			return err
		}
		for n, p := range some {
			judge(p, got.DiffImages[n].Verdict)
		}
	}
	return nil
}
