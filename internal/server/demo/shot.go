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

// The photographs' size, in pixels.
const (
	width  = 640
	height = 480
)

// trap is one of the traps: they stand on one meadow, a little apart.
type trap struct {
	device              string
	delay               time.Duration // how much later than the first it takes its photographs
	latitude, longitude float64       // degrees; 0, 0 where the GPS has failed
	altitude            float64       // metres
	warmerBy            float64       // °C, than the first
	catch               float64       // insects, for each that the first one catches
	version             string        // of the software, for a trap that writes the later form of metadata
}

var traps = []trap{
	{device: "0a5bb6f4", latitude: 47.3712, longitude: 8.5423, altitude: 412, catch: 1},
	{device: "0a17c2e9", delay: 7 * time.Minute, warmerBy: -1.2, catch: 0.6},
	{device: "5c0de42b", delay: 13 * time.Minute, latitude: 47.3718, longitude: 8.5431, altitude: 409, warmerBy: 0.7, catch: 1.4, version: "3.1.0"},
}

// night is one of the nights: when its first photograph is taken, and how warm
// it is then.
type night struct {
	dusk    instant.Instant
	celsius float64 // °C
	seed    uint64
}

var nights = []night{
	{dusk: 1592685665_000, celsius: 21.4, seed: 20}, // 2020-06-20T20:41:05Z
	{dusk: 1593549665_000, celsius: 18.1, seed: 30}, // 2020-06-30T20:41:05Z
}

// every is the time between two photographs of a trap.
const shotInterval = 50 * time.Minute

// course is how a night goes, photograph by photograph: by how much it has
// cooled down since dusk, in °C, and how many insects stick to the card.
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
	firstNight bool // of the two nights
}

// Shots are the photographs, by trap and time.
func Shots() []Shot {
	var shots []Shot
	for t, trap := range traps {
		for n, night := range nights {
			for k, step := range coolingCurve {
				takenAt := night.dusk.Add(trap.delay + time.Duration(k)*shotInterval)
				options := scene.Options{
					Width: width, Height: height,
					// One card for the night, on which more and more insects
					// stick: the seed says where, one after the other.
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

// metadata is what the trap writes into a photograph, in one of the two forms.
func (t trap) metadata(takenAt instant.Instant, celsius, humidity float64) (maker, userComment string) {
	if t.version != "" {
		return "", fmt.Sprintf("v,T,H,B,L,lat,lng,a,l,b\n%s,%.1f,%.1f,81,0.40,%.4f,%.4f,%.1f,%d,0",
			t.version, celsius, humidity, t.latitude, t.longitude, t.altitude, takenAt.Time().Unix())
	}
	return fmt.Sprintf("{'lng': %.4f, 'lat': %.4f, 'alt': %.1f, 'datetime': '%s', 'no_flash_exposure_time': (124990, 1000000), "+
		"'no_flash_iso': 400, 'no_flash_bv': (12, 100), 'no_flash_shutter_speed': (3000115, 1000000), 'temp': %.1f, 'hum': %.1f}",
		t.longitude, t.latitude, t.altitude, takenAt.Time().Format(time.DateTime), celsius, humidity), ""
}

// JPEG paints the photograph: the same bytes each time.
func (s Shot) JPEG() []byte { return scene.JPEG(s.scene) }

// detector is the algorithm that the demo's annotations are by. Its first
// version has looked at the first night only, and knew only boxes.
const detector = "demo-insect-detector"

// annotations are what the detector's versions saw in the photograph. They
// lack the image, which is known once it is uploaded.
func (s Shot) annotations() []annotations.Addition {
	outlines := annotations.Addition{Algorithm: annotations.Algorithm{Name: detector, Version: "2"}}
	boxes := annotations.Addition{Algorithm: annotations.Algorithm{Name: detector, Version: "1"}}
	red, blue := "#ff0000", "#0000ff"
	for _, box := range s.scene.Boxes() {
		outlines.Objects = append(outlines.Objects, annotations.NewObject{
			Name: kind(box), Contour: contour.Uncheck(ellipse(box)), StrokeColour: &blue,
		})
		boxes.Objects = append(boxes.Objects, annotations.NewObject{
			Name: "insect", Contour: contour.Uncheck(rectangle(box)), StrokeColour: &red,
		})
	}
	if s.firstNight {
		return []annotations.Addition{boxes, outlines}
	}
	return []annotations.Addition{outlines}
}

// kind is what an insect of that size and shape may be taken for.
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

// ellipse is the outline of the ellipse that fills a box, to a tenth of a
// pixel.
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
