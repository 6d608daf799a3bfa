package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/testenv"
)

// linked is an image with links to its files.
type linked struct {
	TakenAt               string
	Original, Small, Mini struct {
		URL       string
		ExpiresAt time.Time
	}
}

func (c *client) linked() []linked {
	c.t.Helper()
	var got struct{ ImageSeries connectionOf[linked] }
	c.must(&got, `query($series: [SeriesInput!]!) { imageSeries(series: $series) { nodes { takenAt
	  original: file { url expiresAt } small: file(variant: THUMBNAIL) { url expiresAt } mini: file(variant: THUMBNAIL_MINI) { url expiresAt } } } }`,
		vars{"series": []vars{whole("%")}})
	return got.ImageSeries.Nodes
}

func TestS3_PhotographsComeAreServedByTheStoreItselfAndGo(t *testing.T) {
	t.Parallel()
	s := startInS3(t)
	admin := s.admin()
	first, second, third := snapshot(trap, 0, 1), snapshot(trap, 1, 1), snapshot(trap, 2, 1)
	if got := verdicts(admin.upload("REFUSE", first, second, third)); got["CREATED"] != 3 {
		t.Fatal(got)
	}
	if got := verdicts(admin.upload("REFUSE", first)); got["UNCHANGED"] != 1 {
		t.Error(got)
	}
	if got := s.stored(); len(got) != 9 {
		t.Errorf("the store has %q", got)
	}

	all := admin.linked()
	another := &server{t: t, Data: filepath.Join(t.TempDir(), "data"), Database: s.Database, Password: s.Password, args: s.args, env: s.env, s3: s.s3}
	another.begin()
	if len(all) != 3 || !slices.Equal(all, admin.linked()) || !slices.Equal(all, another.admin().linked()) {
		t.Errorf("the links change from one question to the next, or from server to server: %+v", all)
	}
	link := all[0].Original
	if left := time.Until(link.ExpiresAt); left < 5*time.Minute-time.Second || left > time.Hour || !strings.HasPrefix(link.URL, "http://"+s.s3.Host+"/") {
		t.Errorf("link: got %+v, want one at %s for 5 minutes to 1 hour", link, s.s3.Host)
	}
	file := s.fetch(link.URL, nil)
	for name, want := range map[string]string{
		"Content-Type": "image/jpeg", "Cache-Control": "private, max-age=31536000, immutable",
		"Content-Disposition": "inline; filename=" + first.Name, "Content-Length": strconv.Itoa(len(first.Content)),
	} {
		if file.Header.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, file.Header.Get(name), want)
		}
	}
	if file.StatusCode != http.StatusOK || file.Body != string(first.Content) || file.Header.Get("ETag") == "" {
		t.Errorf("the file is answered %d %v", file.StatusCode, file.Header)
	}
	if part := s.fetch(link.URL, http.Header{"Range": {"bytes=10-19"}}); part.StatusCode != http.StatusPartialContent || part.Body != string(first.Content[10:20]) {
		t.Errorf("a range is answered %d with %d bytes", part.StatusCode, len(part.Body))
	}
	if kept := s.fetch(link.URL, http.Header{"If-None-Match": {file.Header.Get("ETag")}}); kept.StatusCode != http.StatusNotModified {
		t.Errorf("what the browser has is answered %d", kept.StatusCode)
	}
	for _, small := range []string{all[0].Small.URL, all[0].Mini.URL} {
		if got := s.fetch(small, nil); got.StatusCode != http.StatusOK || !strings.HasPrefix(got.Body, "\xff\xd8") {
			t.Errorf("%s is answered %d", small, got.StatusCode)
		}
	}
	path, query, _ := strings.Cut(link.URL, "?")
	other, _, _ := strings.Cut(all[1].Original.URL, "?")
	for what, url := range map[string]string{"no signature": path, "another file": other + "?" + query, "a longer life": strings.Replace(link.URL, "Expires=3600", "Expires=7200", 1)} {
		if got := s.fetch(url, nil); got.StatusCode != http.StatusForbidden {
			t.Errorf("%s is answered %d", what, got.StatusCode)
		}
	}
	if got := get(t, s.URL+"/files/images/x.jpg", nil); got.StatusCode != http.StatusNotFound {
		t.Errorf("the server itself serves files: %d", got.StatusCode)
	}

	// The one that is replaced goes, and so does the one that is deleted.
	anew := snapshot(trap, 0, 2)
	if got := verdicts(admin.upload("REPLACE", anew)); got["REPLACED"] != 1 {
		t.Error(got)
	}
	admin.must(nil, `mutation($images: [ImageKey!]!) { deleteImages(images: $images) { images } }`, vars{"images": []vars{key(trap, 1)}})
	for _, gone := range []string{link.URL, all[1].Original.URL, all[1].Mini.URL} {
		if got := s.fetch(gone, nil); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s is answered %d", gone, got.StatusCode)
		}
	}
	left := admin.linked()
	if len(left) != 2 || s.fetch(left[0].Original.URL, nil).Body != string(anew.Content) || s.fetch(left[1].Original.URL, nil).Body != string(third.Content) {
		t.Errorf("%d are left, and other ones", len(left))
	}
	if got := s.stored(); len(got) != 6 {
		t.Errorf("the store has %q", got)
	}
}

func TestS3_WhatACrashLeftIsSweptAndNothingElse(t *testing.T) {
	t.Parallel()
	s := startInS3(t)
	s.admin().upload("REFUSE", snapshot(trap, 0, 1))
	const folder = "images/" + trap + "/2020-06/"
	orphan, fresh := trap+".2020-06-20_21-33-24.0123456789abcdef.jpg", trap+".2020-06-20_21-33-25.0123456789abcdef.jpg"
	kept := append(s.stored(), fresh)
	s.stop()
	for _, name := range append(s.stored(), orphan, fresh) {
		path := filepath.Join(s.s3.Folder, s.s3.Bucket, folder, name)
		if name == orphan || name == fresh {
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if name != fresh {
			s.s3.Age(t, folder+name, time.Now().Add(-25*time.Hour))
		}
	}
	s.boot()
	for patience := time.After(time.Minute); slices.Contains(s.stored(), orphan); {
		select {
		case <-patience:
			t.Fatal("it is still there")
		case <-time.After(20 * time.Millisecond):
		}
	}
	got := s.stored()
	slices.Sort(got)
	slices.Sort(kept)
	if !slices.Equal(got, kept) {
		t.Errorf("there are %q, want %q", got, kept)
	}
	for _, one := range s.admin().linked() {
		if got := s.fetch(one.Original.URL, nil); got.StatusCode != http.StatusOK {
			t.Errorf("the file of %s is answered %d", one.TakenAt, got.StatusCode)
		}
	}
}

func TestS3_AStoreThatCannotBeUsedIsToldInOneLine(t *testing.T) {
	t.Parallel()
	store := testenv.S3(t)
	wrong := map[string][2]string{
		"another bucket": {strings.Replace(store.URL(), "s3://photographs", "s3://photos", 1), "there is no such bucket"},
		"a secret in it": {strings.Replace(store.URL(), "s3://", "s3://key:verysecret@", 1), "credentials do not belong in the address"},
		"no signature":   {store.URL(), "the secret key is not that of the access key"},
	}
	for what, c := range wrong {
		command := exec.Command(binary, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--storage", c[0])
		command.Env = append(os.Environ(), store.Environment()...)
		if what == "no signature" {
			command.Env = append(command.Env, "AWS_SECRET_ACCESS_KEY=verysecret")
		}
		said, err := command.CombinedOutput()
		if err == nil || !strings.HasPrefix(string(said), "tagma: --storage: ") || !strings.Contains(string(said), c[1]) ||
			strings.Count(string(said), "\n") != 1 || strings.Contains(string(said), "verysecret") {
			t.Errorf("--storage with %s: got %v, want a failure with one line that contains %q\n%s", what, err, c[1], said)
		}
	}

	s := startInS3(t)
	bucket := filepath.Join(s.s3.Folder, s.s3.Bucket)
	until(t, "the mark that is written at the start, and would make the bucket again", 30*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(bucket, "pairing"))
		return err == nil
	})
	if err := os.RemoveAll(bucket); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s.URL+"/readyz", nil); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.Body, "storage") {
		t.Errorf("without its bucket it is ready: %d %s", got.StatusCode, got.Body)
	}
	s.stop()
	if !strings.Contains(s.logs.String(), "there is no such bucket") || strings.Contains(s.logs.String(), s.s3.SecretKey) {
		t.Error(s.logs.String())
	}
}
