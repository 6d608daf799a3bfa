package bundles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundlearrival"
	"tagma/internal/storage/bucket"
)

const (
	// maxConcurrentChecks is the number of files that a server checks at once.
	// Checks of small files mostly wait for the store.
	maxConcurrentChecks = 16
	// copyTries is the number of attempts to copy a file in the store.
	copyTries = 4
	// checkTime is the time limit for the check of one file.
	checkTime = 30 * time.Minute
)

// checks runs the checks of files. A check continues after its request has
// ended, and a later request for the same check waits for the running check.
// Otherwise a file whose check takes longer than a request would never pass.
type checks struct {
	flights singleflight.Group
	slots   *semaphore.Weighted
}

func newChecks() *checks { return &checks{slots: semaphore.NewWeighted(maxConcurrentChecks)} }

// checkResult is the result of a check. Both fields are empty if the file no
// longer exists.
type checkResult struct {
	arrival  *ent.BundleArrival // set if the file is as announced
	mismatch string             // describes a file with other bytes
}

// do runs a check and waits for its end. If a check of the same name is
// running, do waits for the running check instead.
func (c *checks) do(ctx context.Context, name string, check func(context.Context) (checkResult, error)) (checkResult, error) {
	done := c.flights.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
		defer cancel()
		if err := c.slots.Acquire(ctx, 1); err != nil {
			return checkResult{}, context.Cause(ctx)
		}
		defer c.slots.Release(1)
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
// and records the files that are as announced. For each other file, verify
// returns a description by the announced MD5. Checks continue after the end of
// the request, so each call makes progress.
func (s *Service) verify(ctx context.Context, upload *ent.BundleUpload, m manifest, inv inventory) (map[string]string, error) {
	var mu sync.Mutex // guards the maps
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
			got, err := s.checks.do(ctx, file.Key, func(ctx context.Context) (checkResult, error) { return s.checkStored(ctx, upload, f, file) })
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

// checkStored checks a file of an upload, and records the file if it is as
// announced.
//
// A client may replace a file below incoming/ during the check: the signed
// target may still be valid, and not every store refuses a second upload. So
// checkStored has the store copy the file under a secret name, and checks and
// publishes the copy.
func (s *Service) checkStored(ctx context.Context, upload *ent.BundleUpload, f NewFile, file bucket.Info) (checkResult, error) {
	if file.Size != f.Size { // before reading: the file may have any size
		return checkResult{mismatch: fmt.Sprintf("%d bytes, not %d", file.Size, f.Size)}, nil
	}
	name := file.Key
	if loc, _ := parseLocation(name); loc.incoming {
		copyName, err := s.copyIncoming(ctx, loc)
		if errors.Is(err, fs.ErrNotExist) {
			return s.recordedResult(ctx, upload, f)
		}
		if err != nil {
			return checkResult{}, err
		}
		name = copyName
	}
	fp, err := s.hashStored(ctx, name)
	if err != nil {
		return checkResult{}, err
	}
	if fp.size != f.Size || fp.md5() != f.MD5 {
		return checkResult{mismatch: fmt.Sprintf("%d bytes and the MD5 %s, not %d and %s", fp.size, fp.md5(), f.Size, f.MD5)}, nil
	}
	arrival := &ent.BundleArrival{UploadID: upload.ID, Md5: f.MD5, Sha256: fp.sha256(), StoredAs: name}
	if err := s.recordArrival(ctx, arrival); err != nil {
		return checkResult{}, err
	}
	if name != file.Key {
		_ = s.bucket.Delete(ctx, file.Key) // after a failure, the sweep deletes the file
	}
	return checkResult{arrival: arrival}, nil
}

// copyIncoming has the store copy a file of incoming/, and returns the name of
// the copy. Each attempt uses a new name: an attempt that seems to have failed
// may be carried out late, after the file was replaced.
func (s *Service) copyIncoming(ctx context.Context, loc location) (string, error) {
	return backoff.Retry(ctx, func() (string, error) {
		name := newCopyName(loc.fileID, loc.md5)
		err := s.bucket.Copy(ctx, name, incomingName(loc.fileID, loc.md5))
		if errors.Is(err, fs.ErrNotExist) {
			return "", backoff.Permanent(err)
		}
		return name, err
	}, backoff.WithMaxTries(copyTries))
}

// recordedResult returns the result of another server's check of a file that
// the other server has just removed.
func (s *Service) recordedResult(ctx context.Context, upload *ent.BundleUpload, f NewFile) (checkResult, error) {
	arrival, err := s.db.BundleArrival.Query().Where(bundlearrival.UploadID(upload.ID), bundlearrival.Md5(f.MD5)).Only(ctx)
	if ent.IsNotFound(err) {
		return checkResult{}, nil
	}
	return checkResult{arrival: arrival}, err
}

func (s *Service) hashStored(ctx context.Context, name string) (*fingerprint, error) {
	r, err := s.bucket.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	fp := newFingerprint()
	_, err = io.CopyBuffer(fp, r, make([]byte, bufferSize))
	return fp, err
}
