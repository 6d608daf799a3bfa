// Package push owns pushing the photographs of a folder to a server: finding
// the files, computing fingerprints, asking the server for missing files, and
// sending them. A push stores nothing but fingerprints: the server is asked
// every time. So a second push continues an interrupted push, and a push
// without new files sends nothing.
//
// Package push does not own the requests (package client), nor the validation
// of photographs: the server validates.
package push

import (
	"context"
	"fmt"
	"slices"

	"tagma/internal/cli/client"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/fingerprint"
	"tagma/internal/cli/progress"
	"tagma/internal/photo"
)

// Options of Images.
type Options struct {
	Replace  bool // replace other images of the same device and time
	DryRun   bool // send nothing
	Parallel int  // concurrent requests
	Cache    string
	Output   *progress.Output
}

// photograph is a file to send.
type photograph struct {
	fingerprint.File
	name    photo.Name
	verdict Verdict
	reason  string // reason for the refusal
	deleted int    // annotations deleted with a replaced image

	warnings []generated.ImageWarning // deviations from the JPEG standard
}

func (p *photograph) setVerdict(verdict Verdict, reason string) {
	p.verdict, p.reason = verdict, reason
}

// maxFingerprints is the largest number of fingerprints in one request: 200 kB
// of the default limit of 1 MB.
const maxFingerprints = 2000

// fingerprintBytes is an upper bound of the size of a fingerprint in a request.
const fingerprintBytes = 128

// Images pushes the photographs in folders and the photographs given as files,
// and reports the result of each. If Images returns an error, which concerns no
// single file, the report covers the work until then.
func Images(ctx context.Context, c *client.Client, paths []string, o Options) (*Report, error) {
	limits, err := c.Limits(ctx)
	if err != nil {
		return nil, err
	}
	scan, err := find(ctx, paths)
	if err != nil {
		return nil, err
	}
	report := &Report{scan: scan, DryRun: o.DryRun}
	pending := withoutVerdict(scan.photographs)
	files := make([]*fingerprint.File, len(pending))
	for n, p := range pending {
		files[n] = &p.File
	}
	if err := fingerprint.Compute(ctx, files, fingerprint.Options{Cache: o.Cache, Output: o.Output}); err != nil {
		return report, err
	}
	for _, p := range pending {
		if p.Err != nil {
			p.setVerdict(Rejected, p.Err.Error())
		}
	}
	pending = withoutVerdict(pending)
	markDuplicates(pending)
	pending = withoutVerdict(pending)
	page := max(1, min(maxFingerprints, int(limits.BodyBytes/fingerprintBytes)-8))
	if err := compare(ctx, c, pending, page, func(p *photograph, verdict generated.DiffVerdict) {
		switch {
		case verdict == generated.DiffVerdictSame:
			p.setVerdict(Unchanged, "")
		case verdict == generated.DiffVerdictConflict && !o.Replace:
			p.setVerdict(Conflict, "the server has another photograph of that trap and time; --replace puts this one in its place, and deletes the annotations of the old one")
		case p.Size > limits.FileBytes:
			p.setVerdict(Rejected, fmt.Sprintf("it has %d bytes, and the server takes at most %d", p.Size, limits.FileBytes))
		}
	}); err != nil {
		return report, err
	}
	missing := withoutVerdict(pending)
	if len(missing) == 0 {
		return report, nil
	}
	if o.DryRun {
		for _, p := range missing {
			p.setVerdict(wouldSend, "")
		}
		return report, nil
	}
	if err := send(ctx, c, missing, limits, o); err != nil {
		return report, err
	}
	// Ask again for the accepted files: a file that changed during the
	// transfer, or was damaged on the way, has another fingerprint on the
	// server.
	sent := slices.DeleteFunc(slices.Clone(missing), func(p *photograph) bool { return p.reason != "" })
	return report, compare(ctx, c, sent, page, func(p *photograph, verdict generated.DiffVerdict) {
		switch verdict {
		case generated.DiffVerdictConflict:
			p.setVerdict(Conflict, "the server did not get the bytes that were read before: was the file changed meanwhile? Push it again")
		case generated.DiffVerdictNew:
			p.setVerdict(Rejected, "the server had taken it, and does not have it any more")
		}
	})
}

// withoutVerdict returns the photographs without a verdict.
func withoutVerdict(photographs []*photograph) []*photograph {
	return slices.DeleteFunc(slices.Clone(photographs), func(p *photograph) bool { return p.verdict != "" })
}

// markDuplicates sets the verdict of a file with the trap and time of an
// earlier file: equal bytes need not be sent again, and other bytes conflict.
func markDuplicates(photographs []*photograph) {
	first := map[photo.Name]*photograph{}
	for _, p := range photographs {
		switch original := first[p.name]; {
		case original == nil:
			first[p.name] = p
		case original.MD5 == p.MD5:
			p.setVerdict(Unchanged, "")
		default:
			p.setVerdict(Conflict, original.Path+" is of the same trap and time, and has other bytes")
		}
	}
}

// compare asks the server to compare photographs, page by page.
func compare(ctx context.Context, c *client.Client, photographs []*photograph, page int, set func(*photograph, generated.DiffVerdict)) error {
	for chunk := range slices.Chunk(photographs, page) {
		prints := make([]generated.ImageFingerprint, len(chunk))
		for n, p := range chunk {
			prints[n] = generated.ImageFingerprint{Device: p.name.Device, TakenAt: p.name.TakenAt, Md5: p.MD5}
		}
		response, err := client.Retry(ctx, c, func() (*generated.DiffImagesResponse, error) {
			return generated.DiffImages(ctx, c, prints)
		})
		if err != nil {
			return err
		}
		for n, p := range chunk {
			set(p, response.DiffImages[n].Verdict)
		}
	}
	return nil
}
