package bundles_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	ent "tagma/ent/generated"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/domain/bundles"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/bucket/buckettest"
	"tagma/internal/storage/database"
	"tagma/internal/storage/localblob"
	"tagma/internal/storage/s3store"
	"tagma/internal/testing/testenv"
)

// world is bundles in a new database and store, with a clock that the test
// moves, and two writers.
type world struct {
	*bundles.Service
	t            *testing.T
	db           *database.DB
	bucket       bucket.Bucket
	ahead        atomic.Int64 // milliseconds by which the clock is ahead of the machine's
	statements   atomic.Int64
	once         atomic.Pointer[func()] // called before the next statement, if set
	maria, jonas context.Context
	straight     bool // files are sent to the store itself
}

// each runs a test on both databases, and on both stores.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newWorld(t, testenv.Postgres(t))) })
	t.Run("S3", func(t *testing.T) { test(t, newWorldInS3(t)) })
}

func newWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	bucket, err := localblob.Open(t.TempDir())
	must(t, err)
	return newWorldIn(t, databaseURL, bucket)
}

// newWorldInS3 is one whose files are in an S3 store, to which clients send
// them.
func newWorldInS3(t *testing.T) *world {
	t.Helper()
	server := testenv.S3(t)
	server.Enter(t)
	w := newWorldIn(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"), inS3(t, server.URL()))
	w.straight = true
	return w
}

func inS3(t *testing.T, address string) bucket.Bucket {
	t.Helper()
	store, err := s3store.Open(t.Context(), address, slog.New(slog.DiscardHandler))
	must(t, err)
	return store
}

func newWorldIn(t *testing.T, databaseURL string, bucket bucket.Bucket) *world {
	t.Helper()
	w := &world{t: t, bucket: bucket}
	var err error
	w.db, err = database.Open(t.Context(), databaseURL, database.Options{
		Observe: func(context.Context, string) {
			w.statements.Add(1)
			if do := w.once.Swap(nil); do != nil {
				(*do)()
			}
		},
	})
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(bucket.Close(), w.db.Close())) })
	clock := func() instant.Instant { return instant.System() + instant.Instant(w.ahead.Load()) }
	w.Service = bundles.New(w.db, bucket, clock, bundles.Limits{
		Page: page.Limits{Default: 10, Max: 100}, Files: 3000, FileBytes: 1 << 20, Bytes: 2 << 20,
	})
	w.maria, w.jonas = w.writer("maria"), w.writer("jonas")
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) writer(name string) context.Context {
	w.t.Helper()
	user, err := w.db.User.Create().SetUsername(name).SetRole(caller.Writer).SetPasswordHash("-").SetCreatedAt(0).Save(w.t.Context())
	must(w.t, err)
	return caller.With(w.t.Context(), &caller.Caller{UserID: user.ID, Role: caller.Writer})
}

// folder is the files of a bundle, by key.
type folder map[string]string

func md5Of(content string) string {
	sum := md5.Sum([]byte(content))
	return hex.EncodeToString(sum[:])
}

func sha256Of(content string) *string {
	sum := sha256.Sum256([]byte(content))
	text := hex.EncodeToString(sum[:])
	return &text
}

// manifest is what a client would say of the folder, in no order.
func (f folder) manifest() []bundles.NewFile {
	var all []bundles.NewFile
	for key, content := range f {
		all = append(all, bundles.NewFile{Key: key, MD5: md5Of(content), Size: int64(len(content)), ModifiedAt: 1000})
	}
	return all
}

func (w *world) request(ctx context.Context, name string, f folder) *bundles.Upload {
	w.t.Helper()
	upload, err := w.Request(ctx, name, f.manifest())
	must(w.t, err)
	return upload
}

func (w *world) send(upload *bundles.Upload, f folder) {
	w.t.Helper()
	for _, file := range upload.Requested {
		must(w.t, w.take(file, f[file.Key]))
	}
}

// take does what a file's target does with it.
func (w *world) take(file bundles.RequestedFile, content string) error {
	if w.straight {
		return w.bucket.Create(w.t.Context(), file.Incoming, strings.NewReader(content))
	}
	return w.Receive(w.t.Context(), file.StoredAs, file.Size, strings.NewReader(content))
}

// unchecked is where a file is that nobody has looked at: in the store itself,
// or because a server was killed.
func (w *world) unchecked(file bundles.RequestedFile) string {
	if w.straight {
		return file.Incoming
	}
	return file.StoredAs
}

// push is what a client does with a folder.
func (w *world) push(ctx context.Context, name string, f folder) *bundles.PublishResult {
	w.t.Helper()
	upload := w.request(ctx, name, f)
	w.send(upload, f)
	published, err := w.Publish(ctx, upload.ID)
	must(w.t, err)
	return published
}

// holds fails the test unless the version has these files, with these bytes in
// the store.
func (w *world) holds(v *ent.BundleVersion, want folder) {
	w.t.Helper()
	files, err := w.Files(w.t.Context(), []*ent.BundleVersion{v}, bundles.All)
	must(w.t, err)
	if len(files[v.ID]) != len(want) {
		w.t.Errorf("the version has %d files, not %d", len(files[v.ID]), len(want))
	}
	for _, f := range files[v.ID] {
		content, err := bucket.ReadAll(w.t.Context(), w.bucket, f.StoredAs)
		if err != nil || string(content) != want[f.Key] || f.MD5 != md5Of(want[f.Key]) || f.SHA256 != *sha256Of(want[f.Key]) || f.Size != int64(len(content)) {
			w.t.Errorf("file %s: got %q, %v, %+v, want %q with its sums and size", f.Key, content, err, f, want[f.Key])
		}
	}
}

func keys(wanted []bundles.RequestedFile) []string {
	var list []string
	for _, file := range wanted {
		list = append(list, file.Key)
	}
	return list
}

// refused fails the test unless an error says all of this.
func refused(t *testing.T, err error, code fault.Code, texts ...string) {
	t.Helper()
	refusal, ok := errors.AsType[*fault.Error](err)
	if !ok || refusal.Code != code {
		t.Errorf("not %s: %v", code, err)
		return
	}
	text := refusal.Message
	for _, p := range refusal.Problems {
		text += "\n" + strings.Join(p.Path, ".") + ": " + p.Message
	}
	for _, want := range texts {
		if !strings.Contains(text, want) {
			t.Errorf("it is not said that %q: %s", want, text)
		}
	}
}

var insects = folder{
	"data/a.svg": "<svg/>", "data/b.svg": "<svg></svg>", "config/config.yaml": "x: 1\n", "output/model_final.pth": "weights", "README.md": "",
}

func with(f folder, key, content string) folder {
	changed := folder{key: content}
	for k, c := range f {
		if k != key {
			changed[k] = c
		}
	}
	return changed
}

func TestPublish_ASecondVersionSendsOnlyWhatHasChangedAndTheFirstStays(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.push(w.maria, "insects", insects)
		if first.Verdict != bundles.Created || first.Version.Number != 1 || *first.Version.CreatedByID != 1 {
			t.Errorf("first version: got %+v, want CREATED, number 1, by person 1", first)
		}
		changed := with(insects, "output/model_final.pth", "better weights")
		upload := w.request(w.jonas, "insects", changed)
		if !slices.Equal(keys(upload.Requested), []string{"output/model_final.pth"}) || len(upload.Unchanged) != 4 {
			t.Errorf("changed files: got wanted %v, unchanged %v, want output/model_final.pth and 4 others", upload.Requested, upload.Unchanged)
		}
		w.send(upload, changed)
		second, err := w.Publish(w.jonas, upload.ID)
		must(t, err)
		if second.Verdict != bundles.Created || second.Version.Number != 2 || *second.Version.CreatedByID != 2 || second.Version.Md5 == first.Version.Md5 {
			t.Errorf("second version: got %+v, want CREATED, number 2, by person 2, another MD5", second)
		}
		w.holds(first.Version, insects)
		w.holds(second.Version, changed)
		// In another bundle, nothing at all need be sent.
		if repeat := w.request(w.maria, "uid", insects); len(repeat.Requested) != 0 {
			t.Errorf("the same files in another bundle: got wanted %v, want none", repeat.Requested)
		}
		third := w.push(w.maria, "uid", insects)
		if third.Version.Number != 1 || third.Version.Md5 != first.Version.Md5 {
			t.Errorf("another bundle: got %+v, want number 1 with the MD5 of the first version", third)
		}
		w.holds(third.Version, insects)
	})
}

func TestPublish_TheSameAgainIsTheSameVersion(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		upload := w.request(w.maria, "insects", insects)
		w.send(upload, insects)
		first, err := w.Publish(w.maria, upload.ID)
		must(t, err)
		repeat, err := w.Publish(w.maria, upload.ID) // whose answer was lost
		must(t, err)
		other := w.push(w.jonas, "insects", insects)
		for _, p := range []*bundles.PublishResult{repeat, other} {
			if p.Verdict != bundles.Unchanged || p.Version.ID != first.Version.ID {
				t.Errorf("unchanged files: got %+v, want UNCHANGED and the last version", p)
			}
		}
		second := w.push(w.maria, "insects", with(insects, "data/c.svg", "<c/>"))
		// An upload stays what it became, and what was the last once can be again.
		if repeat, err := w.Publish(w.maria, upload.ID); err != nil || repeat.Version.ID != first.Version.ID {
			t.Errorf("second publication of an upload: got %+v, error %v, want its version", repeat, err)
		}
		third := w.push(w.maria, "insects", insects)
		if second.Version.Number != 2 || third.Version.Number != 3 || third.Verdict != bundles.Created || third.Version.Md5 != first.Version.Md5 {
			t.Errorf("got versions %+v and %+v, want numbers 2 and 3, CREATED, with the first MD5", second, third)
		}
	})
}

func TestPublish_WhatIsMissingOrWrongIsToldAsAWholeAndNothingIsSeen(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		upload := w.request(w.maria, "insects", insects)
		for _, file := range upload.Requested {
			switch file.Key {
			case "data/a.svg": // as a store takes it that checks nothing
				must(t, bucket.WriteAll(t.Context(), w.bucket, w.unchecked(file), []byte("<SVG/>")))
			case "config/config.yaml": // as after a crash: whole, and not recorded
				must(t, bucket.WriteAll(t.Context(), w.bucket, w.unchecked(file), []byte(insects[file.Key])))
			case "README.md":
				must(t, w.Receive(t.Context(), file.StoredAs, file.Size, strings.NewReader("")))
			}
		}
		_, err := w.Publish(w.maria, upload.ID)
		refused(t, err, fault.BadInput, "upload.data/a.svg", md5Of("<SVG/>"), "upload.data/b.svg", "upload.output/model_final.pth", "has not come")
		if refusal, _ := errors.AsType[*fault.Error](err); len(refusal.Problems) != 3 {
			t.Errorf("got problems %+v, want 3", refusal.Problems)
		}
		if row, err := w.ByName(t.Context(), "insects"); row != nil || err != nil {
			t.Errorf("there is %v, %v", row, err)
		}
		// The name of the wrong bytes is used up, and so is the upload.
		repeat := w.request(w.maria, "insects", insects)
		if repeat.ID == upload.ID || len(repeat.Requested) != 5 {
			t.Errorf("new request: got upload %d with wanted %v, want another upload with 5 files", repeat.ID, repeat.Requested)
		}
		w.send(repeat, insects)
		published, err := w.Publish(w.maria, repeat.ID)
		must(t, err)
		w.holds(published.Version, insects)
	})
}

func TestReceive_OtherBytesThanWereAnnouncedLeaveNothingAndTheRightOnesAreTakenOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		upload := w.request(w.maria, "insects", folder{"output/w": "weights"})
		to := upload.Requested[0]
		receive := func(size int64, content string) error {
			return w.Receive(t.Context(), to.StoredAs, size, strings.NewReader(content))
		}
		refused(t, receive(to.Size, "WEIGHTS"), fault.BadInput, md5Of("WEIGHTS"), md5Of("weights"))
		refused(t, receive(to.Size, "weight"), fault.BadInput, "6 bytes")
		refused(t, receive(5, "weights"), fault.BadInput, "7 bytes", "not 5")
		refused(t, w.Receive(t.Context(), to.StoredAs, to.Size, iotest.ErrReader(errors.New("reset"))), fault.BadInput, "broke off")
		refused(t, w.Receive(t.Context(), "images/x.jpg", to.Size, strings.NewReader("weights")), fault.NotFound)
		refused(t, w.Receive(t.Context(), strings.Replace(to.StoredAs, upload.FileID, "0123456789abcdef", 1), to.Size, strings.NewReader("weights")), fault.NotFound)
		if names := buckettest.Keys(w.t, w.bucket); len(names) != 0 {
			t.Errorf("there is %q", names)
		}
		must(t, receive(to.Size, "weights"))
		refused(t, receive(to.Size, "weights"), fault.Conflict)
		published, err := w.Publish(w.maria, upload.ID)
		must(t, err)
		refused(t, receive(to.Size, "weights"), fault.NotFound)
		w.holds(published.Version, folder{"output/w": "weights"})
	})
}

func TestPublish_ManyAtOnceGetDistinctNumbersAndKeepSharedContentsOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const publishers, versions = 8, 4
		var together sync.WaitGroup
		for p := range publishers {
			together.Go(func() {
				for v := range versions {
					name := []string{"insects", "birds"}[(p+v)%2]
					f := folder{"data/shared": "shared", "data/of": fmt.Sprint(v), "output/w": fmt.Sprint(p, v)}
					upload, err := w.Request(w.maria, name, f.manifest())
					if err == nil {
						for _, file := range upload.Requested {
							err = errors.Join(err, w.take(file, f[file.Key]))
						}
					}
					if err == nil {
						_, err = w.Publish(w.maria, upload.ID)
					}
					if err != nil {
						t.Errorf("publish: got error %v, want nil", err)
					}
				}
			})
		}
		together.Wait()
		total := 0
		for _, name := range []string{"insects", "birds"} {
			row, err := w.ByName(t.Context(), name)
			must(t, err)
			pages, err := w.Versions(t.Context(), []*ent.Bundle{row}, page.Request{First: new(100)})
			must(t, err)
			for n, v := range pages[row.ID].Nodes {
				if v.Number != n+1 {
					t.Errorf("the version %d of %s has the number %d", n+1, name, v.Number)
				}
				total++
			}
		}
		if contents := w.db.BundleContent.Query().CountX(t.Context()); total != publishers*versions || contents != 1+versions+publishers*versions {
			t.Errorf("%d versions, %d contents", total, contents)
		}
	})
}

func TestPublish_OneUploadByManyAtOnceIsOneVersion(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		upload := w.request(w.maria, "insects", insects)
		w.send(upload, insects)
		created := atomic.Int64{}
		var together sync.WaitGroup
		for range 8 {
			together.Go(func() {
				published, err := w.Publish(w.maria, upload.ID)
				if err != nil || published.Version.Number != 1 {
					t.Errorf("concurrent publication: got %+v, error %v, want number 1", published, err)
				} else if published.Verdict == bundles.Created {
					created.Add(1)
				}
			})
		}
		together.Wait()
		if created.Load() != 1 {
			t.Errorf("it was made %d times", created.Load())
		}
	})
}

func TestPublish_ALateSecondTryDoesNotBringAnOldVersionBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		upload := w.request(w.maria, "insects", insects)
		w.send(upload, insects)
		var first, second *bundles.PublishResult
		// The second try has seen that the upload is not published; then the
		// first gets through, and somebody else's version too.
		interleave := func() {
			var err error
			first, err = w.Publish(w.maria, upload.ID)
			must(t, err)
			second = w.push(w.jonas, "insects", with(insects, "README.md", "better"))
		}
		repeat, err := w.publishAfterLooking(upload, interleave)
		must(t, err)
		if second.Version.Number != 2 || repeat.Verdict != bundles.Unchanged || repeat.Version.ID != first.Version.ID {
			t.Errorf("got %+v, %+v, %+v, want the first and last to be one version and UNCHANGED", first, second, repeat)
		}
	})
}

// publishAfterLooking publishes an upload, and calls meanwhile when it has been
// looked up: before the second statement.
func (w *world) publishAfterLooking(upload *bundles.Upload, interleave func()) (*bundles.PublishResult, error) {
	second := func() { w.once.Store(&interleave) }
	w.once.Store(&second)
	return w.Publish(w.maria, upload.ID)
}

func TestSweep_TakesWhatWasNotPublishedWithinADayAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		published := w.push(w.maria, "insects", insects)
		unpublished := folder{"output/w": "waits"}
		upload := w.request(w.maria, "insects", unpublished)
		w.send(upload, unpublished)
		stray := "bundles/0123456789abcdef/" + md5Of("stray")
		for _, name := range []string{stray, "bundles/readme.txt", "images/x.jpg"} {
			must(t, bucket.WriteAll(t.Context(), w.bucket, name, []byte("x")))
		}
		sweep := func(ahead time.Duration, want int) {
			t.Helper()
			w.ahead.Store(ahead.Milliseconds())
			if removed, err := w.Sweep(t.Context()); removed != want || err != nil {
				t.Errorf("%d are removed, not %d: %v", removed, want, err)
			}
		}
		sweep(0, 0)
		sweep(2*time.Hour, 1) // the stray one
		w.request(w.maria, "insects", unpublished)
		sweep(25*time.Hour, 0) // it was asked for again meanwhile
		sweep(27*time.Hour, 1)
		_, err := w.Publish(w.maria, upload.ID)
		refused(t, err, fault.NotFound, "kept for a day")
		w.holds(published.Version, insects)
		if remaining := buckettest.Keys(w.t, w.bucket); len(remaining) != len(insects)+2 {
			t.Errorf("there are left %q", remaining)
		}
		if uploads, arrivals := w.db.BundleUpload.Query().CountX(t.Context()), w.db.BundleArrival.Query().CountX(t.Context()); uploads+arrivals != 0 {
			t.Errorf("%d uploads and %d arrivals are left", uploads, arrivals)
		}
	})
}

func TestPublish_ThousandsOfFilesAreOneVersion(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		many := folder{}
		for n := range 2500 {
			many[fmt.Sprintf("data/%04d.txt", n)] = fmt.Sprint(n % 10)
		}
		upload := w.request(w.maria, "insects", many)
		if len(upload.Requested) != 10 || len(upload.Unchanged) != 2490 {
			t.Errorf("%d are wanted", len(upload.Requested))
		}
		w.send(upload, many)
		published, err := w.Publish(w.maria, upload.ID)
		must(t, err)
		w.holds(published.Version, many)
	})
}
