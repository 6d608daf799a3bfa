package labelrepo

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo/bare"
	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
)

// kinds runs a test with each kind of remote, and without a remote.
func kinds(t *testing.T, test func(t *testing.T, cfg Config, remoteDir string)) {
	t.Run("over smart HTTP", func(t *testing.T) {
		h := newHost(t)
		test(t, config(t, h.Address()), h.Dir)
	})
	t.Run("on a path", func(t *testing.T) {
		dir := newBare(t)
		test(t, config(t, dir), dir)
	})
	t.Run("without a remote", func(t *testing.T) {
		cfg := config(t, "")
		test(t, cfg, cfg.Dir)
	})
}

func TestPush_APersonWithGitSeesWhoLabelledWhatAndWhen(t *testing.T) {
	kinds(t, func(t *testing.T, cfg Config, remote string) {
		r := open(t, cfg)
		results := mustPush(t, r, label(1, "one"), label(2, "two"))
		got := gittest.Git(t, remote, "log", "main", "--format=%H|%an|%ae|%aI|%cn|%ce|%cI|%s|%(trailers:key=Submission-Id,valueonly,separator=)")
		want := fmt.Sprintf("%s|Ana Ruiz|ana@example.org|2024-05-01T12:00:02+00:00|Tagma|tagma@example.org|2024-05-01T13:00:00+00:00|annotation: 2|two-2\n"+
			"%s|Ana Ruiz|ana@example.org|2024-05-01T12:00:01+00:00|Tagma|tagma@example.org|2024-05-01T13:00:00+00:00|annotation: 1|one-1\n",
			results[1].SHA, results[0].SHA)
		if got != want {
			t.Errorf("git log: got\n%swant\n%s", got, want)
		}
		if got := show(t, remote, "annotations/02/000002.json"); got != "{\"text\": \"two\"}\n" {
			t.Errorf("annotations/02/000002.json: got %q, want the text two", got)
		}
		fsck(t, remote)
		fsck(t, cfg.Dir)
	})
}

func TestPush_WhatIsThereAlreadyMakesNoCommit(t *testing.T) {
	kinds(t, func(t *testing.T, cfg Config, remote string) {
		r := open(t, cfg)
		first := mustPush(t, r, label(1, "one"))[0]
		again := mustPush(t, r, label(1, "one"))[0]
		if again.Changed || again.SHA != first.SHA {
			t.Errorf("pushed again: got %+v, want the unchanged %+v", again, first)
		}
		mixed := mustPush(t, r, label(1, "one"), label(1, "other"), label(1, "one"), label(1, "one"))
		if mixed[0].Changed || !mixed[1].Changed || !mixed[2].Changed || mixed[3].Changed {
			t.Errorf("one, other, one, one in a batch: got %+v, want only the second and third changed", mixed)
		}
		if n := commitCount(t, remote); n != 3 {
			t.Errorf("got %d commits, want 3", n)
		}
		fsck(t, remote)
	})
}

func TestPush_APushOfSomebodyElseInBetweenLosesNothing(t *testing.T) {
	kinds(t, func(t *testing.T, cfg Config, remote string) {
		r := open(t, cfg)
		mustPush(t, r, label(1, "ours"))
		work := gittest.Clone(t, remote)
		pushForeign(t, work, "annotations/01/000001.json", "theirs\n") // the same file
		pushForeign(t, work, "README.md", "read me\n")
		theirs := strings.TrimSpace(gittest.Git(t, work, "rev-parse", "HEAD"))

		mustPush(t, r, label(1, "ours again"), label(2, "new"))
		if got := show(t, remote, "annotations/01/000001.json"); !strings.Contains(got, "ours again") {
			t.Errorf("annotations/01/000001.json: got %q, want the later content, which is ours", got)
		}
		if got := show(t, remote, "README.md"); got != "read me\n" {
			t.Errorf("README.md: got %q, want what others pushed", got)
		}
		gittest.Git(t, remote, "merge-base", "--is-ancestor", theirs, "main") // still an ancestor: the push was not forced
		if n := commitCount(t, remote); n != 5 {
			t.Errorf("got %d commits, want 5", n)
		}
		fsck(t, remote)
		fsck(t, cfg.Dir)
	})
}

func TestPush_OneImpossibleCommitDoesNotStopTheOthers(t *testing.T) {
	r := open(t, config(t, ""))
	mustPush(t, r, Commit{Path: "taken", Content: "a file\n", Author: ana})
	paths := map[string]bool{ // whether the commit succeeds
		"taken/x.json": false, "annotations/ok.json": true, "annotations": false, "../x": false, "/x": false, "a//b": false,
		".git/config": false, "a/.GIT/x": false, "a/GIT~1": false, "": false, "a\x00b": false, "a\nb": false, "a/b.": false, "a:b": false,
		strings.Repeat("x", 300): false, "\xff": false, "ümläut/ß.json": true,
	}
	var commits []Commit
	for _, path := range []string{"taken/x.json", "annotations/ok.json", "annotations", "../x", "/x", "a//b", ".git/config",
		"a/.GIT/x", "a/GIT~1", "", "a\x00b", "a\nb", "a/b.", "a:b", strings.Repeat("x", 300), "\xff", "ümläut/ß.json"} {
		commits = append(commits, Commit{Path: path, Content: "x", Author: ana})
	}
	results, err := push(t.Context(), r, commits...)
	if err != nil {
		t.Fatal(err)
	}
	for i, result := range results {
		path := commits[i].Path
		if (result.Err == nil) != paths[path] {
			t.Errorf("the path %.40q: got %v, want success %v", path, result.Err, paths[path])
		}
	}
	fsck(t, r.cfg.Dir)
}

func TestPush_StrangeNamesAndMessagesStayStrictlyValid(t *testing.T) {
	cfg := config(t, "")
	r := open(t, cfg)
	odd := []Identity{{}, {Name: "<script>"}, {Name: "a\nb", Email: "x>y"}, {Name: " . ", Email: "a b@c"}, {Name: "Zoë 🐾", Email: "z@x"}, {Name: "\xff\xfe"}}
	for i, who := range odd {
		mustPush(t, r, Commit{Path: fmt.Sprint(i), Content: string([]byte{byte(i)}), Author: who,
			Message: "odd\x00\r\nmessage\n\n\n\xff", AuthorTime: instant.Instant(-5_000_000)})
	}
	fsck(t, cfg.Dir)
	if got := gittest.Git(t, cfg.Dir, "log", "-1", "--format=%an", "main~1"); got != "Zoë 🐾\n" {
		t.Errorf("got the author %q, want Zoë 🐾", got)
	}
}

func TestPush_AFlatFolderOfManyFilesWorks(t *testing.T) {
	cfg := config(t, newBare(t))
	r := open(t, cfg)
	var commits []Commit
	for i := range 500 {
		c := label(i*7919%500, "text")
		c.Path = fmt.Sprintf("annotations/%d.json", i*7919%500) // unsorted, and of different lengths
		commits = append(commits, c)
	}
	mustPush(t, r, commits[:300]...)
	mustPush(t, r, commits[300:]...)
	if n := strings.Count(gittest.Git(t, cfg.Remote, "ls-tree", "main", "annotations/"), "\n"); n != 500 {
		t.Errorf("got %d files, want 500", n)
	}
	fsck(t, cfg.Remote)
	fsck(t, cfg.Dir)
}

func TestPush_TwoServersAtOneRemoteLoseNothing(t *testing.T) {
	h := newHost(t)
	const pushes = 8
	// Busy cores make a lost race more likely, and each race longer.
	busy, stop := context.WithCancel(t.Context())
	defer stop()
	for range 4 {
		go func() {
			for busy.Err() == nil {
				sha256.Sum256(make([]byte, 1<<12))
			}
		}()
	}
	var wg sync.WaitGroup
	for s := range 2 {
		r := open(t, config(t, h.Address()))
		wg.Go(func() {
			for i := range pushes {
				if _, err := push(t.Context(), r, label(s*1000+i, "x"), label(s*1000+500+i, "y")); err != nil {
					t.Errorf("server %d, push %d: got %v, want no error", s, i, err)
				}
			}
		})
	}
	wg.Wait()
	stop()
	if got := commitCount(t, h.Dir); got != 2*2*pushes {
		t.Errorf("got %d commits, want %d", got, 2*2*pushes)
	}
	if got := strings.Count(gittest.Git(t, h.Dir, "ls-tree", "-r", "main"), "\n"); got != 2*2*pushes {
		t.Errorf("got %d files, want %d", got, 2*2*pushes)
	}
	fsck(t, h.Dir)
}

func TestPush_TheLocalRepositoryIsSharedWithAnOrdinaryGit(t *testing.T) {
	cfg := config(t, "")
	r := open(t, cfg)
	mustPush(t, r, label(0, "first"))
	work := gittest.Clone(t, cfg.Dir)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 40 {
			if _, err := push(t.Context(), r, label(i+1, "ours")); err != nil {
				t.Errorf("push %d: got %v, want no error", i, err)
			}
		}
	})
	pushed := 0
	for i := range 5 {
		path := filepath.Join(work, fmt.Sprintf("theirs-%d", i))
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		gittest.Git(t, work, "add", ".")
		gittest.Git(t, work, "commit", "-qm", "theirs")
		for range 100 { // the pushes above move the branch all the time
			gittest.Git(t, work, "pull", "-q", "--rebase", "origin", "main")
			if _, err := githost.Git(work, "push", "-q", "origin", "HEAD:main"); err == nil {
				pushed++
				break
			}
		}
	}
	gittest.Git(t, cfg.Dir, "gc", "--quiet", "--prune=now")
	wg.Wait()
	mustPush(t, r, label(100, "after git gc"))
	if n := commitCount(t, cfg.Dir); n != 42+pushed || pushed != 5 {
		t.Errorf("got %d commits, %d of them theirs, want 47 and 5", n, pushed)
	}
	fsck(t, cfg.Dir)
}

func TestPush_ADamagedCacheIsMadeAgainByItself(t *testing.T) {
	damages := map[string]func(t *testing.T, dir string){
		"an empty reference": func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, "refs/heads/main")) },
		"an emptied pack": func(t *testing.T, dir string) {
			packs, _ := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
			for _, path := range packs {
				truncate(t, path)
			}
		},
		"packs gone": func(t *testing.T, dir string) { os.RemoveAll(filepath.Join(dir, "objects/pack")) },
	}
	for name, damage := range damages {
		t.Run(name+", before a start", func(t *testing.T) {
			cfg := config(t, newBare(t))
			r := open(t, cfg)
			mustPush(t, r, label(1, "one"))
			r.Close()
			damage(t, cfg.Dir)
			r = open(t, cfg)
			mustPush(t, r, label(2, "two"))
			if n := commitCount(t, cfg.Remote); n != 2 {
				t.Errorf("got %d commits, want 2", n)
			}
			fsck(t, cfg.Dir)
		})
	}
	t.Run("without a remote it is an error that says what to do", func(t *testing.T) {
		cfg := config(t, "")
		r := open(t, cfg)
		mustPush(t, r, label(1, "one"))
		r.Close()
		truncate(t, filepath.Join(cfg.Dir, "refs/heads/main"))
		if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v, want ErrDamaged", err)
		}
	})
	t.Run("while running", func(t *testing.T) {
		cfg := config(t, newBare(t))
		r := open(t, cfg)
		mustPush(t, r, label(1, "one"))
		damages["packs gone"](t, cfg.Dir)
		r.trees.Clear() // the next commit must read its folders from the disk
		r.store.Close()
		var err error
		if r.store, err = bare.Open(cfg.Dir, "main", true); err != nil {
			t.Fatal(err)
		}
		mustPush(t, r, label(2, "two"))
		fsck(t, cfg.Dir)
	})
}

func truncate(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_AnAddressWithSecretsOrWithoutEncryptionIsRefused(t *testing.T) {
	for _, remote := range []string{
		"https://robot:s3cret@example.org/x.git", "https://s3cret@example.org/x.git", "ssh://git:s3cret@example.org/x.git",
		"https://example.org/x.git?access_token=s3cret", "http://example.org/x.git", "git://example.org/x.git", "https:///x.git", "https://%zzs3cret@x/",
	} {
		cfg := config(t, remote)
		_, err := Open(t.Context(), cfg)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want an error without the secret", remote, err)
		}
	}
	for _, remote := range []string{"https://example.org/x.git", "ssh://git@example.org/x.git", "git@example.org:x.git", "/tmp/x.git", "http://127.0.0.1:1/x.git"} {
		if _, err := parseRemote(remote); err != nil {
			t.Errorf("%s: got %v, want no error", remote, err)
		}
	}
	cfg := config(t, "")
	cfg.Branch = "a..b"
	if _, err := Open(t.Context(), cfg); err == nil {
		t.Error("the branch a..b: got no error, want one")
	}
}

func TestSigner_GitVerifiesTheSignature(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"ed25519": ed, "rsa": big} {
		t.Run(name, func(t *testing.T) {
			signer, err := ssh.NewSignerFromKey(key)
			if err != nil {
				t.Fatal(err)
			}
			cfg := config(t, "")
			cfg.Signer = signer
			r := open(t, cfg)
			mustPush(t, r, label(1, "one"), label(2, "two"))
			allowed := filepath.Join(t.TempDir(), "allowed_signers")
			line := service.Email + " " + string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
			if err := os.WriteFile(allowed, []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
			out := gittest.Git(t, cfg.Dir, "-c", "gpg.ssh.allowedSignersFile="+allowed, "log", "--format=%G? %GS", "main")
			if out != "G tagma@example.org\nG tagma@example.org\n" {
				t.Errorf("git log: got %q, want two good signatures of tagma@example.org", out)
			}
			fsck(t, cfg.Dir)
		})
	}
}

func TestPush_EndsWithItsContext(t *testing.T) {
	r := open(t, config(t, ""))
	r.turn <- struct{}{} // another writer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := push(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	<-r.turn
}
