package e2e

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"os/exec"
	"testing"

	"tagma/internal/photo"
)

// corner is a JPEG of 640 × 480 pixels with a light upper left corner, so that
// turned images look different.
func corner(t *testing.T) []byte {
	t.Helper()
	canvas := image.NewGray(image.Rect(0, 0, 640, 480))
	for y := range 160 {
		for x := range 200 {
			canvas.SetGray(x, y, color.Gray{Y: 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, canvas, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The comparison is in web/playground/test/orientation.mjs. Needs Node.js and
// `npm ci` in web/playground, which brings Chromium too.
func TestOrientation_ABrowserShowsTheThumbnailsLikeTheOriginal(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(playground + "/node_modules"); err != nil {
		t.Fatal("web/playground/node_modules is not there: run `npm ci` in web/playground")
	}
	s := start(t, "")
	admin := s.admin()
	type links struct {
		Original  string `json:"original"`
		Thumbnail string `json:"thumbnail"`
		Mini      string `json:"mini"`
	}
	var addresses []links
	for orientation := 1; orientation <= 8; orientation++ {
		sent := admin.upload("REFUSE", file{snapshot(trap, orientation, 0).Name, photo.WithOrientation(corner(t), orientation)})[0]
		if sent.Verdict != "CREATED" {
			t.Fatalf("orientation %d: got %s, %+v, want CREATED", orientation, sent.Verdict, sent.Problem)
		}
		var got struct {
			Image struct {
				Orientation, Width, Height int
				Original, Thumbnail, Mini  struct{ URL string }
			}
		}
		admin.must(&got, `query($device: String!, $takenAt: DateTime!) { image(device: $device, takenAt: $takenAt) { orientation width height
		  original: file { url } thumbnail: file(variant: THUMBNAIL) { url } mini: file(variant: THUMBNAIL_MINI) { url } } }`, key(trap, orientation))
		i := got.Image
		if i.Orientation != orientation || i.Width != 640 || i.Height != 480 {
			t.Errorf("got orientation %d and %d × %d pixels, want %d and 640 × 480, as stored", i.Orientation, i.Width, i.Height, orientation)
		}
		addresses = append(addresses, links{s.address(i.Original.URL), s.address(i.Thumbnail.URL), s.address(i.Mini.URL)})
	}
	text, err := json.Marshal(addresses)
	if err != nil {
		t.Fatal(err)
	}
	script := exec.CommandContext(t.Context(), "node", "test/orientation.mjs")
	script.Dir = playground
	script.Env = append(os.Environ(), "ORIENTATION_LINKS="+string(text), "TMPDIR="+t.TempDir()) // Chromium is unpacked there
	if output, err := script.CombinedOutput(); err != nil {
		t.Fatalf("node test/orientation.mjs: got %v, want exit status 0\n%s", err, output)
	}
}
