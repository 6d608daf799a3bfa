package demo

import (
	"fmt"
	"image"
	"math"
	"time"

	"tagma/internal/base/contour"
	"tagma/internal/base/instant"
	"tagma/internal/domain/annotations"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
)

// The size of the photographs, in pixels.
const (
	width  = 640
	height = 480
)

// trap is one of the traps, which stand close together.
type trap struct {
	device              string
	delay               time.Duration // of its photographs, after the first trap's
	latitude, longitude float64       // degrees; 0, 0 if the GPS has failed
	altitude            float64       // metres
	warmerBy            float64       // °C, compared with the first trap
	catch               float64       // number of insects as a multiple of the first trap's
	version             string        // of the software; if set, the trap writes the later form of metadata
}

var traps = []trap{
	{device: "0a5bb6f4", latitude: 47.3712, longitude: 8.5423, altitude: 412, catch: 1},
	{device: "0a17c2e9", delay: 7 * time.Minute, warmerBy: -1.2, catch: 0.6},
	{device: "5c0de42b", delay: 13 * time.Minute, latitude: 47.3718, longitude: 8.5431, altitude: 409, warmerBy: 0.7, catch: 1.4, version: "3.1.0"},
}

// night is one of the nights: dusk is the time of the first photograph, celsius the
// temperature then.
type night struct {
	dusk    instant.Instant
	celsius float64 // °C
	seed    uint64
}

var nights = []night{
	{dusk: 1592685665_000, celsius: 21.4, seed: 20}, // 2020-06-20T20:41:05Z
	{dusk: 1593549665_000, celsius: 18.1, seed: 30}, // 2020-06-30T20:41:05Z
}

// shotInterval is the time between two photographs of a trap.
const shotInterval = 50 * time.Minute

// coolingCurve is the course of a night, by photograph: coolerBy is the cooling since dusk
// in °C, insects the number of insects on the card.
var coolingCurve = []struct {
	coolerBy float64
	insects  float64
}{
	{0, 5}, {1.5, 7}, {2.9, 9}, {4.1, 11}, {5.2, 13}, {6.1, 15}, {6.8, 16}, {7.3, 17}, {7.6, 18}, {7.2, 19},
}

// Shot is one photograph of the demo.
type Shot struct {
	Name       photo.Name
	scene      scene.Options
	firstNight bool
}

// Shots returns the photographs, by trap and time.
func Shots() []Shot {
	var shots []Shot
	for t, trap := range traps {
		for n, night := range nights {
			for k, step := range coolingCurve {
				takenAt := night.dusk.Add(trap.delay + time.Duration(k)*shotInterval)
				options := scene.Options{
					Width: width, Height: height,
					// The card stays the same for a night, and insects are added: the seed
					// determines the places of the insects, in order.
					Seed:    night.seed + uint64(t),
					Insects: int(math.Round(step.insects * trap.catch)),
				}
				celsius := night.celsius + trap.warmerBy - step.coolerBy
				options.Make, options.UserComment = trap.metadata(takenAt, celsius, 57+4.6*step.coolerBy)
				shots = append(shots, Shot{photo.Name{Device: trap.device, TakenAt: takenAt}, options, n == 0})
			}
		}
	}
	return shots
}

// metadata returns the metadata of a photograph in one of two forms: the maker note or the
// user comment.
func (t trap) metadata(takenAt instant.Instant, celsius, humidity float64) (maker, userComment string) {
	if t.version != "" {
		return "", fmt.Sprintf("v,T,H,B,L,lat,lng,a,l,b\n%s,%.1f,%.1f,81,0.40,%.4f,%.4f,%.1f,%d,0",
			t.version, celsius, humidity, t.latitude, t.longitude, t.altitude, takenAt.Time().Unix())
	}
	// The traps of 2020 exchange the names of latitude and longitude.
	return fmt.Sprintf("{'lng': %.4f, 'lat': %.4f, 'alt': %.1f, 'datetime': '%s', 'no_flash_exposure_time': (124990, 1000000), "+
		"'no_flash_iso': 400, 'no_flash_bv': (12, 100), 'no_flash_shutter_speed': (3000115, 1000000), 'temp': %.1f, 'hum': %.1f}",
		t.latitude, t.longitude, t.altitude, takenAt.Time().Format(time.DateTime), celsius, humidity), ""
}

// JPEG returns the drawn photograph. The bytes are always the same.
func (s Shot) JPEG() []byte { return scene.JPEG(s.scene) }

// detector is the algorithm of the demo's annotations. Version 1 annotates only the first
// night, with boxes.
const detector = "demo-insect-detector"

// annotations returns the annotations of the photograph by both versions, without the key of
// the image, which is known after the upload.
func (s Shot) annotations() []annotations.Addition {
	outlines := annotations.Addition{Algorithm: annotations.Algorithm{Name: detector, Version: "2"}}
	boxes := annotations.Addition{Algorithm: annotations.Algorithm{Name: detector, Version: "1"}}
	red, blue := "#ff0000", "#0000ff"
	for _, box := range s.scene.Boxes() {
		outlines.Objects = append(outlines.Objects, annotations.NewObject{
			Name: kind(box), Contour: contour.NewInput(ellipse(box)), StrokeColour: &blue,
		})
		boxes.Objects = append(boxes.Objects, annotations.NewObject{
			Name: "insect", Contour: contour.NewInput(rectangle(box)), StrokeColour: &red,
		})
	}
	if s.firstNight {
		return []annotations.Addition{boxes, outlines}
	}
	return []annotations.Addition{outlines}
}

// kind returns a name for an insect by the size and shape of its box.
func kind(box image.Rectangle) string {
	switch w, h := box.Dx(), box.Dy(); {
	case w*h < 300:
		return "midge"
	case w > 2*h || h > 2*w:
		return "caddisfly"
	case w*h > 1500:
		return "moth"
	}
	return "beetle"
}

// ellipse returns the outline of the ellipse in a box, rounded to a tenth of a pixel.
func ellipse(box image.Rectangle) []any {
	const vertices = 16
	outline := make([]any, vertices)
	for i := range outline {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / vertices)
		x := float64(box.Min.X) + float64(box.Dx())*(1+cos)/2
		y := float64(box.Min.Y) + float64(box.Dy())*(1+sin)/2
		outline[i] = []any{math.Round(10*x) / 10, math.Round(10*y) / 10}
	}
	return outline
}

func rectangle(box image.Rectangle) []any {
	return []any{
		[]any{box.Min.X, box.Min.Y}, []any{box.Max.X, box.Min.Y},
		[]any{box.Max.X, box.Max.Y}, []any{box.Min.X, box.Max.Y},
	}
}
