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
	// checkedAtOnce is how many files a server checks at once: small ones wait
	// for the store most of the time.
	checkedAtOnce = 16
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
	places  chan struct{}
}

func newChecks() *checks { return &checks{places: make(chan struct{}, checkedAtOnce)} }

// checked is what a check has found.
type checked struct {
	arrival *ent.BundleArrival // if the file is what it should be
	wrong   string             // what it is otherwise. With neither, it is not there any more
}

// do runs a check, unless one of that name runs already, and waits for it.
func (c *checks) do(ctx context.Context, name string, check func(context.Context) (checked, error)) (checked, error) {
	done := c.flights.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
		defer cancel()
		select {
		case c.places <- struct{}{}:
		case <-ctx.Done():
			return checked{}, context.Cause(ctx)
		}
		defer func() { <-c.places }()
		return check(ctx)
	})
	select {
	case got := <-done:
		return got.Val.(checked), got.Err
	case <-ctx.Done():
		return checked{}, context.Cause(ctx)
	}
}

// verify checks the files of an upload that are in the store and not recorded,
// and records those that are what they should be. The others it gives by the MD5
// that they should have, with what they are. Whatever time it has, it gets
// further each time.
func (b *Bundles) verify(ctx context.Context, upload *ent.BundleUpload, m manifest, have had) (map[string]string, error) {
	var mu sync.Mutex // of the maps
	wrong := map[string]string{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(checkedAtOnce)
	seen := map[string]bool{}
	for md5 := range have.arrived {
		seen[md5] = true
	}
	for _, f := range m {
		file, there := have.waiting[f.MD5]
		if !there || seen[f.MD5] {
			continue
		}
		seen[f.MD5] = true
		group.Go(func() error {
			got, err := b.checks.do(ctx, file.Key, func(ctx context.Context) (checked, error) { return b.look(ctx, upload, f, file) })
			mu.Lock()
			defer mu.Unlock()
			if got.arrival != nil {
				have.arrived[f.MD5] = got.arrival
			} else if got.wrong != "" {
				wrong[f.MD5] = got.wrong
			}
			return err
		})
	}
	return wrong, group.Wait()
}

// look checks a file of an upload, and records it if it is what it should
// be.
//
// What came to the store itself may be sent anew while it is read: its target
// may still hold, and not every store refuses to take a file twice. So it is not
// that file which is checked, and published, but a copy, which the store makes
// under a name that nobody else knows.
func (b *Bundles) look(ctx context.Context, upload *ent.BundleUpload, f NewFile, file *blob.ListObject) (checked, error) {
	if file.Size != f.Size { // before it is read: it may be anything
		return checked{wrong: fmt.Sprintf("%d bytes, not %d", file.Size, f.Size)}, nil
	}
	name := file.Key
	if at, _ := placeOf(name); at.incoming {
		copied, err := b.copyOf(ctx, at)
		if gcerrors.Code(err) == gcerrors.NotFound {
			return b.checkedMeanwhile(ctx, upload, f)
		}
		if err != nil {
			return checked{}, err
		}
		name = copied
	}
	came, err := b.read(ctx, name)
	if err != nil {
		return checked{}, err
	}
	if came.size != f.Size || came.md5() != f.MD5 {
		return checked{wrong: fmt.Sprintf("%d bytes and the MD5 %s, not %d and %s", came.size, came.md5(), f.Size, f.MD5)}, nil
	}
	arrival := &ent.BundleArrival{UploadID: upload.ID, Md5: f.MD5, Sha256: came.sha256(), StoredAs: name}
	if err := b.arrived(ctx, arrival); err != nil {
		return checked{}, err
	}
	if name != file.Key {
		_ = b.bucket.Delete(ctx, file.Key) // else the sweep does
	}
	return checked{arrival: arrival}, nil
}

// copyOf has the store copy what came to it, and gives the copy's name. Each try
// has a name of its own: one that seems to have failed may be carried out late,
// when the file is another already.
func (b *Bundles) copyOf(ctx context.Context, at place) (string, error) {
	return backoff.Retry(ctx, func() (string, error) {
		name := newCopy(at.fileID, at.md5)
		err := b.bucket.Copy(ctx, name, incomingAs(at.fileID, at.md5), nil)
		if gcerrors.Code(err) == gcerrors.NotFound {
			return "", backoff.Permanent(err)
		}
		return name, err
	}, backoff.WithMaxTries(copyTries))
}

// checkedMeanwhile is what another server has found of a file that it has just
// taken away.
func (b *Bundles) checkedMeanwhile(ctx context.Context, upload *ent.BundleUpload, f NewFile) (checked, error) {
	arrival, err := b.db.BundleArrival.Query().Where(bundlearrival.UploadID(upload.ID), bundlearrival.Md5(f.MD5)).Only(ctx)
	if ent.IsNotFound(err) {
		return checked{}, nil
	}
	return checked{arrival: arrival}, err
}

func (b *Bundles) read(ctx context.Context, name string) (*fingerprint, error) {
	r, err := b.bucket.NewReader(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	came := newFingerprint()
	_, err = io.CopyBuffer(came, r, make([]byte, bufferSize))
	return came, err
}
