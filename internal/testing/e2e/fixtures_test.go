package e2e

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	ent "tagma/ent/generated"
	"tagma/internal/base/instant"
	"tagma/internal/base/rawjson"
	"tagma/internal/storage/database"
)

// tryUpload is upload for a goroutine of its own, or for a server that may be
// dying.
func (c *client) tryUpload(policy string, files ...file) ([]uploaded, error) {
	body, contentType := form(c.t, uploadImages, policy, files...)
	got, err := c.try(body, contentType)
	if err != nil {
		return nil, err
	}
	var data struct {
		UploadImages struct{ Results []uploaded }
	}
	err = got.read(&data)
	return data.UploadImages.Results, err
}

// tryDo is must for a goroutine of its own, or for a server that may be dying.
func (c *client) tryDo(to any, query string, variables vars) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	got, err := c.try(bytes.NewReader(body), "application/json")
	if err != nil {
		return err
	}
	return got.read(to)
}

// read reads the data of an answer that must have no error.
func (a *answer) read(to any) error {
	if len(a.Errors) > 0 || a.Data == nil {
		return fmt.Errorf("answered %d: %s", a.Status, a.Body)
	}
	if to == nil {
		return nil
	}
	return json.Unmarshal(a.Data, to)
}

// together runs do n times at once and gives what each gave. The first error
// fails the test.
func together[T any](t testing.TB, n int, do func(n int) (T, error)) []T {
	t.Helper()
	results, errs := make([]T, n), make([]error, n)
	start, done := make(chan struct{}), make(chan struct{})
	for i := range n {
		go func() {
			defer func() { done <- struct{}{} }()
			<-start
			results[i], errs[i] = do(i)
		}()
	}
	close(start)
	for range n {
		<-done
	}
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return results
}

// verdicts counts results by verdict.
func verdicts(results ...[]uploaded) map[string]int {
	counts := map[string]int{}
	for _, some := range results {
		for _, one := range some {
			counts[one.Verdict]++
		}
	}
	return counts
}

// stored is the names of all files in the server's store, without the mark by
// which it knows that they are its own.
func (s *server) stored() []string {
	s.t.Helper()
	folder := filepath.Join(s.Data, "files")
	if s.s3 != nil {
		folder = filepath.Join(s.s3.Folder, s.s3.Bucket, "images")
	}
	var names []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "pairing" {
			names = append(names, d.Name())
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return names
}

// tables opens the server's own database, to put rows into it that would take
// too long to upload.
func (s *server) tables() *database.DB {
	s.t.Helper()
	name := s.Database
	if name == "" {
		name = "sqlite:" + filepath.Join(s.Data, "tagma.db")
	}
	db, err := database.Open(s.t.Context(), name, database.Options{Connections: 2})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	return db
}

// hexOf is the MD5 of a text, as a file's would be.
func hexOf(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

func md5Of(f file) string { return hexOf(string(f.Content)) }

// row is an image without files: of the device, n seconds into the night.
func row(db *database.DB, device string, n int) *ent.ImageCreate {
	name := fmt.Sprint(device, ".", n)
	return db.Image.Create().
		SetDeviceID(device).SetTakenAt(night + instant.Instant(n*1000)).
		SetMd5(hexOf(name)).SetSha256(strings.Repeat("0", 64)).SetSize(1000).
		SetWidth(160).SetHeight(120).SetFileID(hexOf(name)[:16]).
		SetMetadata(rawjson.Value(`{}`)).SetCreatedAt(night)
}

// addDevices puts devices into the database.
func addDevices(t testing.TB, db *database.DB, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := db.Device.Create().SetID(name).SetCreatedAt(night).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// addRows puts images without files into the database.
func addRows(t testing.TB, db *database.DB, rows ...*ent.ImageCreate) {
	t.Helper()
	const atOnce = 500
	for len(rows) > 0 {
		some := rows[:min(atOnce, len(rows))]
		rows = rows[len(some):]
		if err := db.Image.CreateBulk(some...).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// key is the key of the snapshot n of a device.
func key(device string, n int) vars { return vars{"device": device, "takenAt": at(n)} }

// addition is an annotation to add to that image, made on the file with that
// MD5, by that version of an algorithm.
func addition(device string, n int, md5, version string, objects ...vars) vars {
	if objects == nil {
		objects = []vars{}
	}
	return vars{
		"image": key(device, n), "md5": md5,
		"algorithm": vars{"name": "detector", "version": version}, "objects": objects,
	}
}

// insect is an object to annotate: a square.
func insect(name string, x int) vars {
	return vars{"name": name, "contour": [][2]int{{x, 10}, {x + 10, 10}, {x + 10, 20}, {x, 20}}}
}

const putAnnotations = `mutation Put($input: [AnnotationInput!]!, $atomic: Boolean! = true) {
  putAnnotations(input: $input, atomic: $atomic) { results { annotation { id objectCount } problems { code path message } } }
}`

// put is what became of one annotation.
type put struct {
	Annotation *struct {
		ID          string
		ObjectCount int
	}
	Problems []problem
}

// put adds annotations, and fails the test if that is answered with an error.
func (c *client) put(atomic bool, input ...vars) []put {
	c.t.Helper()
	var got struct {
		PutAnnotations struct{ Results []put }
	}
	c.must(&got, putAnnotations, vars{"input": input, "atomic": atomic})
	return got.PutAnnotations.Results
}
