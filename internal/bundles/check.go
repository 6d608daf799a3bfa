package bundles

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundlearrival"
)

const (
	// maxConcurrentChecks is how many files a server checks at once: small ones wait
	// for the store most of the time.
	maxConcurrentChecks = 16
	// copyTries is how often a store is asked for a copy.
	copyTries = 4
	// checkTime is how long the check of one file may take.
	checkTime = 30 * time.Minute
)

// checks is the checks of files that are under way. A check that has begun goes
// on when the request that wanted it has ended, and whoever asks for the same
// one again waits for it: else a file that takes longer than a request would
// never be checked.
type checks struct {
	flights singleflight.Group
	slots   chan struct{}
}

func newChecks() *checks { return &checks{slots: make(chan struct{}, maxConcurrentChecks)} }

// checkResult is what a check has found.
type checkResult struct {
	arrival  *ent.BundleArrival // if the file is what it should be
	mismatch string             // what it is otherwise. With neither, it is not there any more
}

// do runs a check, unless one of that name runs already, and waits for it.
func (c *checks) do(ctx context.Context, name string, check func(context.Context) (checkResult, error)) (checkResult, error) {
	done := c.flights.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
		defer cancel()
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return checkResult{}, context.Cause(ctx)
		}
		defer func() { <-c.slots }()
		return check(ctx)
	})
	select {
	case got := <-done:
		return got.Val.(checkResult), got.Err
	case <-ctx.Done():
		return checkResult{}, context.Cause(ctx)
	}
}

// verify checks the files of an upload that are in the store and not recorded,
// and records those that are what they should be. The others it gives by the MD5
// that they should have, with what they are. Whatever time it has, it gets
// further each time.
func (b *Bundles) verify(ctx context.Context, upload *ent.BundleUpload, m manifest, inv inventory) (map[string]string, error) {
	var mu sync.Mutex // of the maps
	mismatches := map[string]string{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxConcurrentChecks)
	handled := map[string]bool{}
	for md5 := range inv.arrivals {
		handled[md5] = true
	}
	for _, f := range m {
		file, ok := inv.stored[f.MD5]
		if !ok || handled[f.MD5] {
			continue
		}
		handled[f.MD5] = true
		group.Go(func() error {
			got, err := b.checks.do(ctx, file.Key, func(ctx context.Context) (checkResult, error) { return b.checkStored(ctx, upload, f, file) })
			mu.Lock()
			defer mu.Unlock()
			if got.arrival != nil {
				inv.arrivals[f.MD5] = got.arrival
			} else if got.mismatch != "" {
				mismatches[f.MD5] = got.mismatch
			}
			return err
		})
	}
	return mismatches, group.Wait()
}

// look checks a file of an upload, and records it if it is what it should
// be.
//
// What came to the store itself may be sent anew while it is read: its target
// may still hold, and not every store refuses to take a file twice. So it is not
// that file which is checked, and published, but a copy, which the store makes
// under a name that nobody else knows.
func (b *Bundles) checkStored(ctx context.Context, upload *ent.BundleUpload, f NewFile, file *blob.ListObject) (checkResult, error) {
	if file.Size != f.Size { // before it is read: it may be anything
		return checkResult{mismatch: fmt.Sprintf("%d bytes, not %d", file.Size, f.Size)}, nil
	}
	name := file.Key
	if loc, _ := parseLocation(name); loc.incoming {
		copyName, err := b.copyIncoming(ctx, loc)
		if gcerrors.Code(err) == gcerrors.NotFound {
			return b.recordedResult(ctx, upload, f)
		}
		if err != nil {
			return checkResult{}, err
		}
		name = copyName
	}
	fp, err := b.hashStored(ctx, name)
	if err != nil {
		return checkResult{}, err
	}
	if fp.size != f.Size || fp.md5() != f.MD5 {
		return checkResult{mismatch: fmt.Sprintf("%d bytes and the MD5 %s, not %d and %s", fp.size, fp.md5(), f.Size, f.MD5)}, nil
	}
	arrival := &ent.BundleArrival{UploadID: upload.ID, Md5: f.MD5, Sha256: fp.sha256(), StoredAs: name}
	if err := b.recordArrival(ctx, arrival); err != nil {
		return checkResult{}, err
	}
	if name != file.Key {
		_ = b.bucket.Delete(ctx, file.Key) // else the sweep does
	}
	return checkResult{arrival: arrival}, nil
}

// copyIncoming has the store copy what came to it, and gives the copy's name. Each try
// has a name of its own: one that seems to have failed may be carried out late,
// when the file is another already.
func (b *Bundles) copyIncoming(ctx context.Context, loc location) (string, error) {
	return backoff.Retry(ctx, func() (string, error) {
		name := newCopyName(loc.fileID, loc.md5)
		err := b.bucket.Copy(ctx, name, incomingName(loc.fileID, loc.md5), nil)
		if gcerrors.Code(err) == gcerrors.NotFound {
			return "", backoff.Permanent(err)
		}
		return name, err
	}, backoff.WithMaxTries(copyTries))
}

// checkedMeanwhile is what another server has found of a file that it has just
// taken away.
func (b *Bundles) recordedResult(ctx context.Context, upload *ent.BundleUpload, f NewFile) (checkResult, error) {
	arrival, err := b.db.BundleArrival.Query().Where(bundlearrival.UploadID(upload.ID), bundlearrival.Md5(f.MD5)).Only(ctx)
	if ent.IsNotFound(err) {
		return checkResult{}, nil
	}
	return checkResult{arrival: arrival}, err
}

func (b *Bundles) hashStored(ctx context.Context, name string) (*fingerprint, error) {
	r, err := b.bucket.NewReader(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	fp := newFingerprint()
	_, err = io.CopyBuffer(fp, r, make([]byte, bufferSize))
	return fp, err
}
