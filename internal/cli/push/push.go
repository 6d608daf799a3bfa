// Package push owns pushing the photographs of a folder to a server: finding
// the files, computing fingerprints, asking the server for missing files, and
// sending them. A push stores nothing but fingerprints and rejections: the server is
// asked every time. So a second push continues an interrupted push, and a push
// without new files sends nothing.
//
// Package push does not own the requests (package client), nor the validation
// of photographs: the server validates.
package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tagma/internal/base/instant"
	"tagma/internal/cli/client"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/fingerprint"
	"tagma/internal/cli/progress"
	"tagma/internal/cli/rejection"
	"tagma/internal/photo"
)

// Options of Images.
type Options struct {
	Replace       bool   // replace other images of the same device and time
	DryRun        bool   // send nothing
	RetryRejected bool   // send what the server rejected at an earlier push
	Parallel      int    // concurrent requests
	Cache         string // path of the fingerprints; empty for none
	Rejections    string // path of the rejections; empty for none
	Output        *progress.Output
}

// photograph is a file to send.
type photograph struct {
	fingerprint.File
	name    photo.Name
	verdict Verdict
	reason  string // reason for the refusal
	tried   bool   // a request with the photograph has begun
	damaged bool   // the server rejected the bytes
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
	info, err := c.Server(ctx)
	if err != nil {
		return nil, err
	}
	scan, err := find(ctx, paths)
	if err != nil {
		return nil, err
	}
	r := &run{Options: o, client: c, limits: info.Limits}
	if r.memory, err = openMemory(ctx, c, info, o); err != nil {
		o.Output.Printf("rejections are not stored, so damaged photographs are sent at each push: %s", err)
	}
	defer func() { _ = r.memory.Close() }()
	return &Report{scan: scan, DryRun: o.DryRun}, r.push(ctx, withoutVerdict(scan.photographs))
}

// openMemory opens the rejections of the server.
func openMemory(ctx context.Context, c *client.Client, info generated.ServerInfo, o Options) (*rejection.Memory, error) {
	if o.RetryRejected {
		return nil, nil //nolint:nilnil // a nil memory is empty
	}
	state := fmt.Sprint(info.Version, info.Limits.Pixels, info.Limits.Scans, info.Limits.DecodeBytes)
	return rejection.Open(ctx, o.Rejections, c.Address(), state)
}

// run is one call of Images.
type run struct {
	Options
	client *client.Client
	limits generated.Limits
	memory *rejection.Memory
}

// push sends the missing photographs among pending, and sets the verdict of each.
func (r *run) push(ctx context.Context, pending []*photograph) error {
	if err := r.computeFingerprints(ctx, pending, false); err != nil {
		return err
	}
	pending = withoutVerdict(pending)
	markDuplicates(pending)
	pending = withoutVerdict(pending)
	if err := r.diff(ctx, pending); err != nil {
		return err
	}
	missing := withoutVerdict(pending)
	for _, p := range missing {
		if reason := r.memory.Reason(ctx, p.name.String(), p.MD5); reason != "" {
			p.setVerdict(Rejected, reason+" (so the server said at an earlier push, and it was not sent again: --retry-rejected sends it)")
		}
	}
	missing = withoutVerdict(missing)
	if len(missing) == 0 {
		return nil
	}
	if r.DryRun {
		for _, p := range missing {
			p.setVerdict(wouldSend, "")
		}
		return nil
	}
	if err := send(ctx, r.client, missing, r.limits, r.Options); err != nil {
		if ctx.Err() != nil {
			r.markArrived(ctx, missing)
		}
		return errors.Join(err, r.remember(missing))
	}
	return errors.Join(r.confirm(ctx, missing), r.remember(missing))
}

// computeFingerprints computes fingerprints, of all files from their bytes if reread is
// set, and rejects the unreadable files.
func (r *run) computeFingerprints(ctx context.Context, photographs []*photograph, reread bool) error {
	files := make([]*fingerprint.File, len(photographs))
	for n, p := range photographs {
		files[n] = &p.File
	}
	if err := fingerprint.Compute(ctx, files, fingerprint.Options{Cache: r.Cache, Reread: reread, Output: r.Output}); err != nil {
		return err
	}
	for _, p := range photographs {
		if p.Err != nil {
			p.setVerdict(Rejected, p.Err.Error())
		}
	}
	return nil
}

// diff asks the server for missing photographs. A conflict may come from a wrong
// fingerprint in the cache: then diff reads the file and asks the server again.
func (r *run) diff(ctx context.Context, photographs []*photograph) error {
	var doubtful []*photograph
	set := func(p *photograph, verdict generated.DiffVerdict) {
		switch {
		case verdict == generated.DiffVerdictSame:
			p.setVerdict(Unchanged, "")
		case verdict == generated.DiffVerdictConflict && p.Cached:
			doubtful = append(doubtful, p)
		case verdict == generated.DiffVerdictConflict && !r.Replace:
			p.setVerdict(Conflict, "the server has another photograph of that trap and time; --replace puts this one in its place, and deletes the annotations of the old one")
		case p.Size > r.limits.FileBytes:
			p.setVerdict(Rejected, fmt.Sprintf("it has %d bytes, and the server takes at most %d", p.Size, r.limits.FileBytes))
		}
	}
	if err := r.compare(ctx, photographs, set); err != nil || len(doubtful) == 0 {
		return err
	}
	if err := r.computeFingerprints(ctx, doubtful, true); err != nil { // no longer from the cache
		return err
	}
	return r.compare(ctx, withoutVerdict(doubtful), set)
}

// confirm asks the server to compare the accepted files again: a file that changed
// during the transfer, or was damaged on the way, has another fingerprint on the server.
// So has a file with a wrong fingerprint in the cache; confirm corrects the cache.
func (r *run) confirm(ctx context.Context, sent []*photograph) error {
	accepted := slices.DeleteFunc(slices.Clone(sent), func(p *photograph) bool { return p.reason != "" })
	var different []*photograph
	set := func(p *photograph, verdict generated.DiffVerdict) {
		switch verdict {
		case generated.DiffVerdictConflict:
			different = append(different, p)
		case generated.DiffVerdictNew:
			p.setVerdict(Rejected, "the server had taken it, and does not have it any more")
		}
	}
	if err := r.compare(ctx, accepted, set); err != nil || len(different) == 0 {
		return err
	}
	doubtful := different
	different = nil
	if err := r.computeFingerprints(ctx, doubtful, true); err != nil {
		return err
	}
	doubtful = slices.DeleteFunc(doubtful, func(p *photograph) bool { return p.Err != nil })
	err := r.compare(ctx, doubtful, set)
	for _, p := range different {
		p.setVerdict(Conflict, "the server did not get the bytes that were read before: was the file changed meanwhile? Push it again")
	}
	return err
}

// arrivalTimeout bounds the question after an interruption.
const arrivalTimeout = 10 * time.Second

// markArrived asks the server for the photographs of interrupted requests, and sets the
// verdict of the stored photographs. If the server does not answer, all count as not
// sent.
func (r *run) markArrived(ctx context.Context, photographs []*photograph) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), arrivalTimeout)
	defer cancel()
	unanswered := slices.DeleteFunc(withoutVerdict(photographs), func(p *photograph) bool { return !p.tried })
	once := &run{client: r.client.Impatient(), limits: r.limits}
	_ = once.compare(ctx, unanswered, func(p *photograph, verdict generated.DiffVerdict) {
		if verdict == generated.DiffVerdictSame {
			p.setVerdict(Created, "")
		}
	})
}

// remember stores the lasting rejections. A photograph from the future is rejected only
// until its time has come.
func (r *run) remember(sent []*photograph) error {
	for _, p := range sent {
		if p.damaged && p.name.TakenAt < instant.System() {
			if err := r.memory.Add(context.Background(), p.name.String(), p.MD5, p.reason); err != nil {
				return fmt.Errorf("a rejection cannot be stored: %w", err)
			}
		}
	}
	return nil
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
func (r *run) compare(ctx context.Context, photographs []*photograph, set func(*photograph, generated.DiffVerdict)) error {
	page := max(1, min(maxFingerprints, int(r.limits.BodyBytes/fingerprintBytes)-8))
	for chunk := range slices.Chunk(photographs, page) {
		prints := make([]generated.ImageFingerprint, len(chunk))
		for n, p := range chunk {
			prints[n] = generated.ImageFingerprint{Device: p.name.Device, TakenAt: p.name.TakenAt, Md5: p.MD5}
		}
		response, err := client.Retry(ctx, r.client, func() (*generated.DiffImagesResponse, error) {
			return generated.DiffImages(ctx, r.client, prints)
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
