package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tagma/internal/testing/githost"
	"tagma/internal/testing/testenv"
)

// labeller submits frames of its own until the server dies.
type labeller struct {
	frame int // of 10,000 that are its own
	acked []string
}

func (l *labeller) work(c *client, acks chan<- struct{}) error {
	for {
		l.frame++
		// Every fifth is another version of the same file.
		frame, nose := l.frame-l.frame%5/4, float64(l.frame%5)
		got, err := c.trySubmit(submission(frame, nose), 0)
		if err != nil {
			return err
		}
		if got.Outcome != "ACCEPTED" {
			return fmt.Errorf("answered %+v", got)
		}
		l.acked = append(l.acked, got.Submission.ID)
		select {
		case acks <- struct{}{}:
		default:
		}
	}
}

func TestLabels_KilledAtAnyMomentNothingAcknowledgedIsLostOrPushedTwice(t *testing.T) {
	t.Parallel()
	const kills, workers = 15, 4
	for name, kind := range map[string]struct {
		database func(testing.TB) string
		remote   func(testing.TB) *remote
	}{
		"SQLite, local":    {func(testing.TB) string { return "" }, nil},
		"PostgreSQL, HTTP": {testenv.Postgres, newRemote},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var args []string
			var dir string
			if kind.remote != nil {
				r := kind.remote(t)
				args, dir = r.args, r.Dir
			}
			s := start(t, kind.database(t), args...)
			if dir == "" {
				dir = filepath.Join(s.Data, "labels.git")
			}
			admin := s.admin()
			labellers := make([]*labeller, workers)
			for w := range labellers {
				labellers[w] = &labeller{frame: 10_000 * w}
			}
			for round := range kills {
				acks := make(chan struct{}, 1000)
				dying := make(chan struct{})
				ended := make(chan struct{}, workers)
				for _, l := range labellers {
					go func() {
						defer func() { ended <- struct{}{} }()
						err := l.work(admin, acks)
						select {
						case <-dying:
						default:
							t.Errorf("before the server was killed: %v", err)
						}
					}()
				}
				for range 1 + rand.N(40) {
					select {
					case <-acks:
					case <-time.After(time.Minute):
						t.Fatal("the server acknowledges nothing")
					}
				}
				<-time.After(rand.N(30 * time.Millisecond))
				close(dying)
				s.kill()
				for range workers {
					<-ended
				}
				if kind.remote == nil {
					fsck(t, dir)
				} else {
					reached := filepath.Join(t.TempDir(), "reached.git")
					if err := githost.Copy(dir, reached); err != nil {
						t.Fatal(err)
					}
					fsck(t, reached)
				}
				s.boot()
				if t.Failed() {
					t.Fatalf("in round %d", round)
				}
			}
			admin.settle(2 * time.Minute)
			all := admin.submissions("")
			there := map[string]bool{}
			for _, one := range all {
				there[one.ID] = true
			}
			acked := 0
			for _, l := range labellers {
				for _, id := range l.acked {
					if acked++; !there[id] {
						t.Errorf("%s was acknowledged and is lost", id)
					}
				}
			}
			pushedOnce(t, dir, all)
			fsck(t, dir)
			s.stop()
			s.verify(t)
			t.Logf("%d kills: %d acknowledged, %d pushed", kills, acked, len(all))
		})
	}
}

// flock is servers on one database.
func flock(t *testing.T, n int, args []string) []*server {
	t.Helper()
	database := testenv.Postgres(t)
	servers := []*server{start(t, database, args...)}
	for len(servers) < n {
		servers = append(servers, startAs(t, &server{Database: database, Password: servers[0].Password, args: args}))
	}
	return servers
}

func TestLabels_OfTwoServersOnOneDatabaseOnePushesAndTheOtherGoesOnWhenItIsKilled(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	servers := flock(t, 2, r.args)
	admin := servers[0].admin()
	other := &client{t: t, s: servers[1], Token: admin.Token}
	// The second server does not push, and its caller may wait all the same.
	if got := other.submit(submission(0, 1), 20); got.Submission.Status != "PUSHED" {
		t.Errorf("a submission to the one that follows is answered %+v", got.Submission)
	}
	var frame atomic.Int64
	acked := make(chan string, 10_000)
	dying, ended := make(chan struct{}), make(chan error, 8)
	for n := range cap(ended) {
		c := []*client{admin, other}[n%2]
		go func() {
			ended <- func() error {
				for range 40 {
					got, err := c.trySubmit(submission(int(frame.Add(1)), 1), 0)
					if err != nil {
						select {
						case <-dying:
							if c == admin {
								return nil
							}
						default:
						}
						return err
					}
					acked <- got.Submission.ID
				}
				return nil
			}()
		}()
	}
	ids := []string{}
	for range 60 {
		ids = append(ids, <-acked)
	}
	close(dying)
	servers[0].kill()
	var failed error
	for range cap(ended) {
		failed = errors.Join(failed, <-ended)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	close(acked)
	for id := range acked {
		ids = append(ids, id)
	}
	if got := other.submit(submission(90_000, 1), 20); got.Submission.Status != "PUSHED" {
		t.Errorf("after the leader was killed a submission is answered %+v", got.Submission)
	}
	other.settle(time.Minute)
	all := other.submissions("")
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(one submitted) bool { return one.ID == id }) {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	commits := history(t, r.Dir)
	once := map[string]bool{}
	for _, one := range commits {
		if once[one.ID] {
			t.Errorf("submission %s is pushed twice", one.ID)
		}
		once[one.ID] = true
	}
	if len(commits) != len(all) || other.count("PUSHED") != len(all) {
		t.Errorf("%d submissions and %d commits", len(all), len(commits))
	}
	fsck(t, r.Dir)
	servers[1].stop()
	servers[1].verify(t)
}

func TestLabels_TwoLabsThatPushToOneRemoteLoseNothing(t *testing.T) {
	t.Parallel()
	const each = 60
	r := newRemote(t)
	labs := []*client{start(t, "", r.args...).admin(), start(t, testenv.Postgres(t), r.args...).admin()}
	together(t, 4, func(n int) (any, error) {
		lab := labs[n%2]
		for i := range each {
			if _, err := lab.trySubmit(submission(1000*n+i, 1), 0); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	for n, lab := range labs {
		// Each looks at what the other has when it pushes again.
		lab.settle(time.Minute)
		lab.submit(submission(50_000+n, 1), 20)
	}
	labs[0].submit(submission(60_000, 1), 20)
	commits := history(t, r.Dir)
	files := map[string]int{}
	for _, one := range commits {
		files[one.Path]++
	}
	if len(commits) != 4*each+3 || len(files) != len(commits) {
		t.Errorf("there are %d commits of %d files", len(commits), len(files))
	}
	fsck(t, r.Dir)
	for n, lab := range labs {
		want := len(commits) - n // the second has not heard of the last one
		until(t, "each lab has the labels of both", time.Minute, func() bool { return lab.count("PUSHED") >= want })
	}
	for _, lab := range labs {
		lab.s.stop()
		if out, _ := lab.s.labels(t, "verify"); strings.Contains(out, "only in the database") || strings.Contains(out, "not the same") {
			t.Errorf("verify says %s", out)
		}
	}
}
