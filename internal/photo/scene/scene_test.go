package scene_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"testing"

	"tagma/internal/photo"
	"tagma/internal/photo/scene"
)

func TestJPEG_IsAPhotographOfTheSizeAskedForWithItsMetadata(t *testing.T) {
	for _, size := range []image.Point{{320, 240}, {1, 1}, {33, 7}} {
		b := scene.JPEG(scene.Options{
			Width: size.X, Height: size.Y, Seed: 7, Insects: 3,
			Make: "{'temp': 13.5}", UserComment: "H,v\n80.5,3.1.0",
		})
		picture, err := jpeg.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if got := picture.Bounds().Size(); got != size {
			t.Errorf("size %v, want %v", got, size)
		}
		m := photo.ReadMetadata(b)
		if m.Temperature == nil || *m.Temperature != 13.5 || m.Humidity == nil || *m.Humidity != 80.5 {
			t.Errorf("metadata %s", m.Raw)
		}
	}
}

func TestJPEG_TheSameOptionsGiveTheSameBytesAndAnotherSeedOthers(t *testing.T) {
	a := scene.JPEG(scene.Options{Seed: 1, Insects: 2})
	if !bytes.Equal(a, scene.JPEG(scene.Options{Seed: 1, Insects: 2})) {
		t.Error("the same options gave other bytes")
	}
	if bytes.Equal(a, scene.JPEG(scene.Options{Seed: 2, Insects: 2})) {
		t.Error("another seed gave the same bytes")
	}
}

func TestBoxes_TheInsectsAreThere(t *testing.T) {
	o := scene.Options{Width: 640, Height: 480, Seed: 3, Insects: 20}
	picture, err := jpeg.Decode(bytes.NewReader(scene.JPEG(o)))
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Boxes()) != 20 {
		t.Fatalf("%d boxes, want 20", len(o.Boxes()))
	}
	for _, box := range o.Boxes() {
		if !box.In(picture.Bounds()) {
			t.Errorf("%v is outside", box)
		}
		middle := box.Min.Add(box.Max).Div(2)
		if r, _, _, _ := picture.At(middle.X, middle.Y).RGBA(); r>>8 > 150 {
			t.Errorf("there is no insect in %v", box)
		}
	}
}
