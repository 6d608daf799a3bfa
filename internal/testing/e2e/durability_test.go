package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// ledger is what a server has acknowledged, and what it may have done besides.
type ledger struct {
	mu     sync.Mutex
	images map[imageKey]*entry
	acks   chan struct{} // one for each acknowledgement
}

type imageKey struct {
	device string
	n      int
}

// entry is what is known of one image.
type entry struct {
	may     []string            // the MD5s that it may have; empty for an image that is not there
	made    map[string][]string // the versions of the annotations that were acknowledged, by MD5
	content map[string]string   // SHA-256 of the small files, once they were seen, by their link's path
}

// begin notes what an image may be from now on, and end that it is so.
func (l *ledger) begin(key imageKey, md5 string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.images[key]
	if e == nil {
		e = &entry{may: []string{""}, made: map[string][]string{}, content: map[string]string{}}
		l.images[key] = e
	}
	e.may = append(e.may, md5)
}

func (l *ledger) end(key imageKey, md5 string) {
	l.mu.Lock()
	l.images[key].may = []string{md5}
	l.mu.Unlock()
	l.acks <- struct{}{}
}

func (l *ledger) annotated(key imageKey, md5, version string) {
	l.mu.Lock()
	made := l.images[key].made
	made[md5] = append(made[md5], version)
	l.mu.Unlock()
	l.acks <- struct{}{}
}

// work uploads, annotates, replaces and deletes images of one device from n on
// until the server dies. It gives the n to go on with, and the error it died
// of.
func (l *ledger) work(c *client, device string, n int) (int, error) {
	upload := func(n int, seed uint64, policy string) (string, error) {
		f, key := snapshot(device, n, seed), imageKey{device, n}
		l.begin(key, md5Of(f))
		got, err := c.tryUpload(policy, f)
		if err != nil {
			return "", err
		}
		if v := got[0].Verdict; v != "CREATED" && v != "REPLACED" {
			return "", fmt.Errorf("%s is answered %s", f.Name, v)
		}
		l.end(key, md5Of(f))
		return md5Of(f), nil
	}
	for ; ; n++ {
		md5, err := upload(n, 1, "REFUSE")
		if err != nil {
			return n + 1, err
		}
		if n%2 == 0 {
			one := addition(device, n, md5, "1", insect("moth", n%100))
			if err := c.tryDo(nil, putAnnotations, vars{"input": []vars{one}}); err != nil {
				return n + 1, err
			}
			l.annotated(imageKey{device, n}, md5, "1")
		}
		if n%5 == 4 {
			if _, err := upload(n, 2, "REPLACE"); err != nil {
				return n + 1, err
			}
		}
		if n%3 == 2 {
			key := imageKey{device, n}
			l.begin(key, "")
			if err := c.tryDo(nil, `mutation($images: [ImageKey!]!) { deleteImages(images: $images) { images } }`, vars{"images": []vars{{"device": device, "takenAt": at(n)}}}); err != nil {
				return n + 1, err
			}
			l.end(key, "")
		}
	}
}

// kept is an image as the server gives it after a crash.
type kept struct {
	Device                struct{ Name string }
	TakenAt, Md5, Sha256  string
	Original, Small, Mini struct{ URL string }
	Annotations           []struct{ Algorithm struct{ Version string } }
}

// check compares a server with the ledger.
func (l *ledger) check(t *testing.T, c *client) {
	t.Helper()
	there := map[imageKey]kept{}
	arguments := vars{"series": []vars{whole("%")}}
	for {
		var got struct{ ImageSeries connectionOf[kept] }
		c.must(&got, `query Kept($series: [SeriesInput!]!, $after: String) { imageSeries(series: $series, first: 500, after: $after) {
		  nodes { device { name } takenAt md5 sha256 annotations { algorithm { version } }
		    original: file { url } small: file(variant: THUMBNAIL) { url } mini: file(variant: THUMBNAIL_MINI) { url } }
		  pageInfo { hasNextPage endCursor } } }`, arguments)
		for _, one := range got.ImageSeries.Nodes {
			key := imageKey{one.Device.Name, secondsOf(t, one.TakenAt)}
			if _, twice := there[key]; twice {
				t.Errorf("%v is there twice", key)
			}
			there[key] = one
		}
		if !got.ImageSeries.PageInfo.HasNextPage {
			break
		}
		arguments["after"] = got.ImageSeries.PageInfo.EndCursor
	}
	for key, one := range there {
		e := l.images[key]
		if e == nil {
			t.Errorf("%v was never sent", key)
			continue
		}
		l.checkFiles(t, c, key, one, e)
	}
	for key, e := range l.images {
		one := there[key]
		if !slices.Contains(e.may, one.Md5) {
			t.Errorf("%v is %q, and may be %q", key, one.Md5, e.may)
			continue
		}
		e.may = []string{one.Md5} // so it came out
		var versions []string
		for _, a := range one.Annotations {
			versions = append(versions, a.Algorithm.Version)
		}
		for _, version := range e.made[one.Md5] {
			if one.Md5 != "" && !slices.Contains(versions, version) {
				t.Errorf("%v has the annotations %q and lacks %q", key, versions, version)
			}
		}
	}
}

func (l *ledger) checkFiles(t *testing.T, c *client, key imageKey, one kept, e *entry) {
	t.Helper()
	for name, url := range map[string]string{"original": one.Original.URL, "small": one.Small.URL, "mini": one.Mini.URL} {
		got := c.s.fetch(url, nil)
		sum := sha256.Sum256([]byte(got.Body))
		text := hex.EncodeToString(sum[:])
		was, known := e.content[name+one.Md5]
		switch {
		case got.StatusCode != http.StatusOK || got.Body == "":
			t.Errorf("%v has a row and lacks its file %s: %d", key, name, got.StatusCode)
		case name == "original" && (text != one.Sha256 || hexOf(got.Body) != one.Md5):
			t.Errorf("%v has another file than it says", key)
		case known && was != text:
			t.Errorf("%v has another file %s than before", key, name)
		}
		e.content[name+one.Md5] = text
	}
}

// secondsOf is n of the time at(n).
func secondsOf(t testing.TB, takenAt string) int {
	t.Helper()
	taken, err := time.Parse(time.RFC3339, takenAt)
	if err != nil {
		t.Fatal(err)
	}
	return int(taken.Sub(night.Time()).Seconds())
}

func TestServer_KilledAtAnyMomentKeepsWhatItAcknowledgedAndNoRowLacksItsFiles(t *testing.T) {
	each(t, func(t *testing.T, s *server) { survive(t, s, 15) })
	t.Run("PostgreSQL and S3", func(t *testing.T) {
		t.Parallel()
		survive(t, startInS3(t), 5)
	})
}

// survive kills a server so many times at work.
func survive(t *testing.T, s *server, kills int) {
	const workers = 4
	admin := s.admin()
	l := &ledger{images: map[imageKey]*entry{}, acks: make(chan struct{}, 1000)}
	next := make([]int, workers)
	for range kills {
		dying := make(chan struct{})
		ended := make(chan struct{}, workers)
		for w := range workers {
			go func() {
				defer func() { ended <- struct{}{} }()
				var err error
				next[w], err = l.work(admin, fmt.Sprintf("0000000%d", w), next[w])
				select {
				case <-dying:
				default:
					t.Errorf("before the server was killed: %v", err)
				}
			}()
		}
		for range 1 + rand.N(25) {
			select {
			case <-l.acks:
			case <-time.After(time.Minute):
				t.Fatal("the server acknowledges nothing")
			}
		}
		<-time.After(rand.N(20 * time.Millisecond)) // somewhere between two of them
		close(dying)
		s.kill()
		for range workers {
			<-ended
		}
		s.boot()
		l.check(t, admin)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d images were sent", len(l.images))
}
