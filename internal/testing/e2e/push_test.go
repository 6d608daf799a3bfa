package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// says fails the test unless a command has printed a line of these words, with
// any white space between them.
func (r ran) says(t *testing.T, words ...string) {
	t.Helper()
	for n, word := range words {
		words[n] = regexp.QuoteMeta(word)
	}
	if !regexp.MustCompile(`(?m)^` + strings.Join(words, `\s+`)).MatchString(r.Out) {
		t.Errorf("no line says %q:\n%s%s", words, r.Out, r.Said)
	}
}

func TestPush_WhatTheServerHasIsNotSentAgain(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, proxy := s.admin(), before(t, s)
		d := deskAt(t, proxy.URL, admin.Token)
		photos := folder(t, snapshots("0a5bb6f4", 40)...)
		fill(t, filepath.Join(photos, "another", "trap"), snapshots("1b74105a", 3)...)
		fill(t, photos, file{"notes.txt", []byte("cloudy")}, file{"holiday.jpg", []byte("a beach")})

		got := d.must("push", "images", photos)
		got.says(t, "CREATED", "43 photographs")
		got.says(t, "Files with other names, passed over: 2")
		if n := admin.images(); n != 43 {
			t.Errorf("the server has %d images", n)
		}
		if n := proxy.Uploads.Load(); n < 2 || n > 10 {
			t.Errorf("43 photographs took %d uploads", n)
		}

		uploads, bytes := proxy.Uploads.Load(), proxy.Bytes.Load()
		d.must("push", "images", photos).says(t, "UNCHANGED", "43 photographs")
		if proxy.Uploads.Load() != uploads || proxy.Bytes.Load() != bytes {
			t.Error("what the server has was sent again")
		}

		fresh := snapshot("1b74105a", 3, 3)
		fill(t, photos, fresh)
		got = d.must("push", "images", "--dry-run", photos)
		got.says(t, "WOULD SEND", "1 photograph")
		if proxy.Uploads.Load() != uploads {
			t.Error("a dry run sends")
		}
		got = d.must("push", "images", photos)
		got.says(t, "CREATED", "1 photograph")
		got.says(t, "UNCHANGED", "43 photographs")
		if sent := proxy.Bytes.Load() - bytes; sent < int64(len(fresh.Content)) || sent > int64(len(fresh.Content))+2000 {
			t.Errorf("%d bytes were sent for a file of %d", sent, len(fresh.Content))
		}
	})
}

func TestPush_AnotherPhotographTakesThePlaceOnlyWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	d := deskAt(t, s.URL, admin.Token)
	old := snapshot("0a5bb6f4", 0, 1)
	admin.upload("REFUSE", old)
	admin.put(true, addition("0a5bb6f4", 0, md5Of(old), "1"))
	other := snapshot("0a5bb6f4", 0, 2)
	photos := folder(t, other, snapshot("0a5bb6f4", 1, 1))

	got := d.run("", "push", "images", photos)
	got.says(t, "CONFLICT", filepath.Join(photos, other.Name), "the server has another photograph")
	got.says(t, "CREATED", "1 photograph")
	if got.OK {
		t.Error("a push with a conflict succeeds")
	}
	got = d.must("push", "images", "--replace", photos)
	got.says(t, "REPLACED", "1 photograph")
	got.says(t, "Annotations deleted with the photographs that were replaced: 1")
	var there struct{ Image struct{ Md5 string } }
	admin.must(&there, `query($at: DateTime!) { image(device: "0a5bb6f4", takenAt: $at) { md5 } }`, vars{"at": at(0)})
	if there.Image.Md5 != md5Of(other) {
		t.Errorf("the server has %s", there.Image.Md5)
	}
}

func TestPush_WhatIsRefusedIsInTheTableAndTheRestArrives(t *testing.T) {
	t.Parallel()
	good := snapshots("0a5bb6f4", 3)
	large := snapshot("0a5bb6f4", 4, 4)
	large.Content = append(large.Content, make([]byte, 60_000)...)
	s := start(t, "", "--max-file-bytes", "50000")
	admin := s.admin()
	d := deskAt(t, s.URL, admin.Token)

	broken := snapshot("0a5bb6f4", 3, 3)
	broken.Content = broken.Content[:len(broken.Content)/2]
	early := file{"0a5bb6f4.2001-01-01_00-00-00.jpg", good[0].Content}
	photos := folder(t, append(good, broken, early, large)...)
	again, other := filepath.Join(photos, "z-again"), filepath.Join(photos, "z-other")
	fill(t, again, good[0])
	fill(t, other, snapshot("0a5bb6f4", 0, 77))
	if err := os.Symlink("nowhere", filepath.Join(photos, "0a5bb6f4.2020-06-20_23-00-00.jpg")); err != nil {
		t.Fatal(err)
	}

	got := d.run("", "push", "images", photos)
	got.says(t, "CREATED", "3 photographs")
	got.says(t, "UNCHANGED", "1 photograph") // the same, in another folder
	got.says(t, "REJECTED", "4 photographs")
	got.says(t, "CONFLICT", "1 photograph")
	got.says(t, "REJECTED", filepath.Join(photos, broken.Name))
	got.says(t, "REJECTED", filepath.Join(photos, early.Name), `"0a5bb6f4.2001-01-01_00-00-00.jpg"`)
	got.says(t, "REJECTED", filepath.Join(photos, large.Name), fmt.Sprintf("it has %d bytes, and the server takes at most 50000", len(large.Content)))
	got.says(t, "REJECTED", filepath.Join(photos, "0a5bb6f4.2020-06-20_23-00-00.jpg"))
	got.says(t, "CONFLICT", filepath.Join(other, good[0].Name), filepath.Join(photos, good[0].Name)+" is of the same trap and time")
	if got.OK || !strings.Contains(got.Said, "photographs refused: 5") {
		t.Errorf("it ends well: %v, %s", got.OK, got.Said)
	}
	if n := admin.images(); n != 3 {
		t.Errorf("the server has %d images", n)
	}
}

func TestPush_GoesOnWhenTheServerIsKilledAndStartedAgain(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, proxy := s.admin(), before(t, s)
		token := s.token(admin)
		d := deskAt(t, proxy.URL, token)
		const n = 150
		photos := folder(t, snapshots("0a5bb6f4", n)...)

		second := make(chan struct{})
		proxy.on(func(upload int64) {
			if upload == 2 {
				close(second)
			}
		})
		ended := make(chan ran, 1)
		go func() { ended <- d.run("", "push", "images", "--parallel", "1", photos) }()
		<-second
		s.kill()
		s.boot()
		proxy.to(t, s)
		got := <-ended
		if !got.OK || !strings.Contains(got.Said, "cannot be reached") || !strings.Contains(got.Said, "trying again in") {
			t.Fatalf("the push: %v\n%s%s", got.OK, got.Out, got.Said)
		}
		// Files whose row the kill has prevented lie there until they are swept.
		if images, files := s.admin().images(), len(s.stored()); images != n || files < 3*n {
			t.Errorf("after the push: got %d images and %d files, want %d and at least %d", images, files, n, 3*n)
		}
	})
}

func TestPush_AnInterruptedPushIsTakenUpByTheNext(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin, proxy := s.admin(), before(t, s)
	d := deskAt(t, proxy.URL, admin.Token)
	const n = 100
	photos := folder(t, snapshots("0a5bb6f4", n)...)

	var out, said bytes.Buffer
	cmd := d.command(t.Context(), "push", "images", "--parallel", "1", photos)
	cmd.Stdout, cmd.Stderr = &out, &said
	started := make(chan struct{})
	proxy.on(func(upload int64) {
		if upload == 2 {
			<-started
			_ = cmd.Process.Signal(syscall.SIGINT)
		}
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	close(started)
	if err := cmd.Wait(); err == nil {
		t.Error("an interrupted push succeeds")
	}
	got := ran{Out: out.String(), Said: said.String()}
	got.says(t, "NOT SENT")
	if !strings.Contains(got.Said, "tagma: interrupt") {
		t.Errorf("it says %q", got.Said)
	}
	before := admin.images()
	if before == 0 || before == n {
		t.Fatalf("the server has %d images after the interruption", before)
	}
	proxy.on(nil)
	got = d.must("push", "images", photos)
	got.says(t, "CREATED", fmt.Sprint(n-before)+" photographs")
	if there := admin.images(); there != n {
		t.Errorf("the server has %d images", there)
	}
}

func TestPush_ATrapsTokenPushesItsOwnAndAReadersIsTurnedAway(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	photos := folder(t, snapshots("0a5bb6f4", 2)...)
	maker := deskAt(t, s.URL, admin.Token)
	trap := deskAt(t, s.URL, strings.TrimSpace(maker.must("token", "create", "--name", "roof", "--device", "0a5bb6f4").Out))
	trap.must("push", "images", photos).says(t, "CREATED", "2 photographs")

	fill(t, photos, snapshot("0a5bb6f4", 2, 2))
	reader := deskAt(t, s.URL, strings.TrimSpace(maker.must("token", "create", "--name", "look", "--role", "reader").Out))
	got := reader.run("", "push", "images", photos)
	got.says(t, "NOT SENT", "1 photograph")
	if got.OK || !strings.Contains(got.Said, "your role is READER") {
		t.Errorf("push as a reader: got success %v, %q, want a failure that names the role READER", got.OK, got.Said)
	}
}

func TestPush_ATooSmallLimitInFrontOfTheServerOnlySlowsItDown(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--max-files", "2", "--max-body-bytes", "5000")
	admin, proxy := s.admin(), before(t, s)
	d := deskAt(t, proxy.URL, admin.Token)
	d.must("push", "images", folder(t, snapshots("0a5bb6f4", 60)...)).says(t, "CREATED", "60 photographs")
	if n := proxy.Uploads.Load(); n != 30 {
		t.Errorf("%d uploads", n)
	}
}

// token is one that outlives a session.
func (s *server) token(c *client) string {
	s.t.Helper()
	var got struct{ CreateAccessToken struct{ Token string } }
	c.must(&got, `mutation { createAccessToken(input: {name: "test"}) { token } }`, nil)
	return got.CreateAccessToken.Token
}
