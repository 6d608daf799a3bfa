package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tagma/internal/photo/scene"
)

// replica is a server that may be killed and booted anew under its callers.
type replica struct {
	*client
	calls  sync.RWMutex // held to read by callers, and to write while it boots
	killed atomic.Bool
}

// ask calls until there is an answer: a call that a kill has cut off is made
// again, as its caller would.
func (r *replica) ask(call func() error) error {
	for {
		r.calls.RLock()
		err := call()
		cut := r.killed.Load()
		r.calls.RUnlock()
		if err == nil || !cut {
			return err
		}
	}
}

func (r *replica) restart() {
	r.killed.Store(true)
	r.s.kill()
	r.calls.Lock()
	defer r.calls.Unlock()
	r.s.boot()
	r.killed.Store(false)
}

// replicas is two of them, on one database and one bucket.
type replicas [2]*replica

// both asks both at once.
func (r replicas) both(call func(side int) error) error {
	var failed [2]error
	var all sync.WaitGroup
	for side := range r {
		all.Go(func() { failed[side] = r[side].ask(func() error { return call(side) }) })
	}
	all.Wait()
	return errors.Join(failed[:]...)
}

// sent is the file of an image for either replica: the same, or other bytes of
// the same image.
func sent(device string, n, side int) file {
	f := file{Name: snapshotName(device, n)}
	seed := uint64(n)
	if n%3 == 1 {
		seed += uint64(side) * 1_000_000
	}
	f.Content = scene.JPEG(scene.Options{Width: 64, Height: 48, Insects: 2, Seed: seed})
	return f
}

// race sends some images to both replicas at once, and then annotations of
// them, and notes in the ledger what came out. It gives the ids of the
// annotations.
func (r replicas) race(l *ledger, device string, from, to int, policy string) (ids []string, err error) {
	var files [2][]file
	for n := from; n < to; n++ {
		for side := range files {
			files[side] = append(files[side], sent(device, n, side))
			l.begin(imageKey{device, n}, md5Of(files[side][n-from]))
		}
	}
	var became [2][]uploaded
	err = r.both(func(side int) (err error) {
		became[side], err = r[side].tryUpload(policy, files[side]...)
		return err
	})
	if err != nil {
		return nil, err
	}
	var additions [2][]vars
	for n := range to - from {
		won, err := settled(policy, files[0][n], files[1][n], became[0][n], became[1][n])
		if err != nil {
			return nil, err
		}
		key := imageKey{device, from + n}
		l.mu.Lock()
		e := l.images[key]
		l.mu.Unlock()
		e.may = won // by none but this racer
		if len(won) > 1 {
			continue // one has replaced the other, and its annotations would have gone with it
		}
		e.made[won[0]] = []string{"1", "2"}
		for side := range additions {
			additions[side] = append(additions[side],
				addition(device, from+n, won[0], "1", insect("moth", n)),
				addition(device, from+n, won[0], "2", insect("fly", n%2*side)))
		}
	}
	var puts [2]struct{ PutAnnotations struct{ Results []put } }
	err = r.both(func(side int) error {
		return r[side].tryDo(&puts[side], putAnnotations, vars{"input": additions[side], "atomic": false})
	})
	for n := range additions[0] {
		a, b := puts[0].PutAnnotations.Results[n], puts[1].PutAnnotations.Results[n]
		switch {
		case a.Annotation != nil && b.Annotation != nil && a.Annotation.ID == b.Annotation.ID:
			ids = append(ids, a.Annotation.ID)
		case a.Annotation != nil && b.Annotation == nil && b.Problems[0].Code == "CONFLICT":
			ids = append(ids, a.Annotation.ID)
		case a.Annotation == nil && b.Annotation != nil && a.Problems[0].Code == "CONFLICT":
			ids = append(ids, b.Annotation.ID)
		default:
			err = errors.Join(err, fmt.Errorf("annotations %v and %v are answered %+v and %+v", additions[0][n], additions[1][n], a, b))
		}
	}
	return ids, err
}

// settled is the MD5s that an image may have after both files of it were
// answered.
func settled(policy string, a, b file, gotA, gotB uploaded) ([]string, error) {
	verdict := func(wanted ...string) bool {
		pair := []string{gotA.Verdict, gotB.Verdict}
		slices.Sort(pair)
		return slices.Equal(pair, wanted)
	}
	same := md5Of(a) == md5Of(b)
	switch {
	// Where one was killed between the deed and its answer, UNCHANGED is what is
	// heard of it later.
	case same && (verdict("CREATED", "UNCHANGED") || verdict("UNCHANGED", "UNCHANGED")):
		return []string{md5Of(a)}, nil
	case !same && policy == "REFUSE" && (verdict("CONFLICT", "CREATED") || verdict("CONFLICT", "UNCHANGED")):
		if gotA.Verdict == "CONFLICT" {
			a = b
		}
		return []string{md5Of(a)}, nil
	case !same && policy == "REPLACE" && (verdict("CREATED", "REPLACED") || verdict("CREATED", "UNCHANGED") ||
		verdict("REPLACED", "UNCHANGED") || verdict("REPLACED", "REPLACED")):
		return []string{md5Of(a), md5Of(b)}, nil
	}
	return nil, fmt.Errorf("%s: two files of it (%t: the same) are answered %+v and %+v", a.Name, same, gotA, gotB)
}

func TestReplicas_TwoOnOneDatabaseAndBucketRaceAndAreKilledAndNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	// Each image is sent twice, and then two annotations of it, twice.
	const images, atOnce, racers = 360, 5, 3
	first := startInS3(t)
	admin := first.admin()
	second := startAs(t, &server{Data: filepath.Join(t.TempDir(), "data"), Database: first.Database, Password: first.Password, args: first.args, env: first.env, s3: first.s3})
	r := replicas{{client: admin}, {client: &client{t: t, s: second, Token: admin.Token}}}

	l := &ledger{images: map[imageKey]*entry{}}
	var turns atomic.Int64
	done, ended := make(chan []string, images/atOnce), make(chan error, racers)
	for range racers {
		go func() {
			ended <- func() error {
				for {
					turn := int(turns.Add(1)) - 1
					if turn*atOnce >= images {
						return nil
					}
					policy := "REFUSE"
					if turn%5 == 4 {
						policy = "REPLACE"
					}
					ids, err := r.race(l, fmt.Sprintf("0000000%d", turn%10), turn*atOnce, (turn+1)*atOnce, policy)
					if err != nil {
						return err
					}
					done <- ids
				}
			}()
		}()
	}
	var annotations []string
	for turn, running := 0, racers; running > 0; {
		select {
		case ids := <-done:
			annotations = append(annotations, ids...)
			switch turn++; turn {
			case images / atOnce / 3:
				r[1].restart()
			case images / atOnce * 2 / 3:
				r[0].restart()
			}
		case err := <-ended:
			running--
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	close(done)
	for ids := range done {
		annotations = append(annotations, ids...)
	}
	if sent := 2*len(l.images) + 2*len(annotations); sent < 2000 {
		t.Fatalf("only %d uploads and annotations were sent", sent)
	}

	l.check(t, r[0].client)
	slices.Sort(annotations)
	for _, one := range r {
		if there := one.annotationIDs(); !slices.Equal(there, annotations) {
			t.Errorf("%d annotations were acknowledged, and %d others or more are there", len(annotations), len(there))
		}
	}
	args := append([]string{"verify", "--data", first.Data, "--database", first.Database}, first.args...)
	if out, said, ok := tagma(t, first.env, args...); !ok || !strings.Contains(out, fmt.Sprintf("%d files and ", 3*images)) || !strings.Contains(out, " 0 are left.") {
		t.Errorf("verify says %s%s", out, said)
	}
}

// annotationIDs is those of all annotations, sorted.
func (c *client) annotationIDs() []string {
	c.t.Helper()
	var ids []string
	arguments := vars{"series": []vars{whole("%")}}
	for {
		var got struct {
			AnnotationSeries connectionOf[struct{ ID string }]
		}
		c.must(&got, `query($series: [SeriesInput!]!, $after: String) { annotationSeries(series: $series, first: 500, after: $after) {
		  nodes { id } pageInfo { hasNextPage endCursor } } }`, arguments)
		for _, one := range got.AnnotationSeries.Nodes {
			ids = append(ids, one.ID)
		}
		if !got.AnnotationSeries.PageInfo.HasNextPage {
			slices.Sort(ids)
			return ids
		}
		arguments["after"] = got.AnnotationSeries.PageInfo.EndCursor
	}
}
