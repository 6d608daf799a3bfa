// Package dataset owns the generated data for measurements: devices with images and
// annotations. The same options generate the same data.
//
// The package inserts rows directly, because this is fast. Package annotations encodes the
// objects. The images have no files.
package dataset

import (
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"tagma/internal/base/contour"
	"tagma/internal/base/instant"
	"tagma/internal/base/rawjson"
	"tagma/internal/domain/annotations"
)

// Options determine the data.
type Options struct {
	Devices int
	Images  int // of each device
	Objects int // of each annotation
	Points  int // of each object's contour
	Seed    uint64
	Every   time.Duration // between two images of a device; 0 means the constant Every

	// OneOf is n if every nth image of a device has an annotation; 0 means every image.
	OneOf int
	// Batch is the number of images of a device inserted together, before images of the next
	// device; 0 means all images of the device.
	Batch int
}

// The size of all photographs in pixels, as taken by a trap.
const (
	Width  = 2592
	Height = 1944
)

// Every is the default time between two images of a device.
const Every = 10 * time.Minute

// The algorithm of all annotations.
const (
	algorithm        = "detector"
	algorithmVersion = "1598113346-ad2cd78d"
)

// start is the time of the first image: 2020-06-01T00:00:00Z.
const start instant.Instant = 1_590_969_600_000

// Total is the number of images.
func (o Options) Total() int { return o.Devices * o.Images }

// Device returns the name of a device. Names are sorted by number, and spread over all
// prefixes.
func (o Options) Device(number int) string {
	return fmt.Sprintf("%08x", uint32(number)*(math.MaxUint32/uint32(o.Devices)))
}

// TakenAt returns the time of a device's image. No two devices take an image at the same time,
// if there are fewer devices than seconds between two images.
func (o Options) TakenAt(device, number int) instant.Instant {
	every := o.Every
	if every == 0 {
		every = Every
	}
	return start.Add(time.Duration(number)*every + time.Duration(device)*time.Second)
}

// End returns a time after all images.
func (o Options) End() instant.Instant { return o.TakenAt(o.Devices, o.Images) }

// MD5 returns the MD5 of an image's file.
func (o Options) MD5(device, number int) string { return o.digits(device, number, 16) }

// digits returns the hex digits of pseudorandom bytes. The same image has the same digits in
// each run.
func (o Options) digits(device, number, bytes int) string {
	random := rand.New(rand.NewPCG(o.Seed, uint64(device)<<32|uint64(number)))
	b := make([]byte, 0, bytes)
	for len(b) < bytes {
		b = append(b, byte(random.Uint32()))
	}
	return hex.EncodeToString(b)
}

// The columns of the rows below, without columns that stay null.
var (
	deviceColumns     = []string{"id", "created_at"}
	annotationColumns = []string{"id", "image_id", "algorithm_name", "algorithm_version", "object_count", "objects", "created_at"}
	imageColumns      = []string{
		"id", "device", "taken_at", "md5", "sha256", "size", "width", "height", "file_id", "device_version",
		"altitude", "latitude", "longitude", "temperature", "humidity",
		"no_flash_shutter_speed", "no_flash_exposure_time", "no_flash_brightness", "no_flash_iso", "metadata", "created_at",
	}
)

func (o Options) devices() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for d := range o.Devices {
			if !yield([]any{o.Device(d), int64(o.TakenAt(d, 0))}) {
				return
			}
		}
	}
}

// each returns the rows of all images in the order of insertion, which is the order of ids. Row
// may return nil for no row.
func (o Options) each(row func(id, device, number int) []any) iter.Seq[[]any] {
	batch := o.Batch
	if batch == 0 {
		batch = o.Images
	}
	return func(yield func([]any) bool) {
		id := 0
		for from := 0; from < o.Images; from += batch {
			for d := range o.Devices {
				for n := from; n < min(from+batch, o.Images); n++ {
					id++
					if one := row(id, d, n); one != nil && !yield(one) {
						return
					}
				}
			}
		}
	}
}

func (o Options) image(id, device, number int) []any {
	random := rand.New(rand.NewPCG(o.Seed+1, uint64(id)))
	taken := o.TakenAt(device, number)
	round := func(x float64) float64 { return math.Round(x*100) / 100 }
	day := math.Sin(2 * math.Pi * float64(taken) / float64((24 * time.Hour).Milliseconds()))
	var temperature any // null where the sensor failed
	if random.IntN(100) > 0 {
		temperature = round(16 - 8*day + random.Float64())
	}
	sha256 := o.digits(device, number, 32)
	return []any{
		id, o.Device(device), int64(taken), o.MD5(device, number), sha256, 1_900_000 + random.IntN(300_000), Width, Height,
		sha256[48:], "1598113346-ad2cd78dfaca12821046dfb8994724d5",
		round(70 + random.Float64()), 49.26 + float64(device)/1000, -123.25 - float64(device)/1000,
		temperature, round(60 + 20*day + random.Float64()),
		round(4 + random.Float64()), 0.0625, round(-1 + random.Float64()), 100 + random.IntN(700),
		fmt.Sprintf(`{"Make": "Raspberry Pi", "Model": "RP_imx219", "temp": %.2f, "hum": %.2f, "lat": 49.26, "lng": -123.25, "alt": 70.1, "dev_id": %q, "datetime": %q}`,
			16+random.Float64(), 60+random.Float64(), o.Device(device), taken.Trap()),
		int64(taken),
	}
}

// distinct is the number of generated annotations. The images share these annotations, because
// generation takes longer than insertion.
const distinct = 1000

func (o Options) annotations() (iter.Seq[[]any], error) {
	kept, err := o.Annotated(min(distinct, o.Total()))
	if err != nil {
		return nil, err
	}
	return o.each(func(id, device, number int) []any {
		if o.OneOf > 0 && number%o.OneOf > 0 {
			return nil
		}
		return []any{id, id, algorithm, algorithmVersion, o.Objects, kept[id%len(kept)], int64(o.TakenAt(device, number))}
	}), nil
}

// Annotated returns the objects of annotations, as stored in the database.
func (o Options) Annotated(annotations int) ([]string, error) {
	kept := make([]string, annotations)
	random := rand.New(rand.NewPCG(o.Seed, 2))
	for n := range kept {
		objects, err := o.objects(random)
		if err != nil {
			return nil, err
		}
		kept[n] = string(objects)
	}
	return kept, nil
}

// objects returns the objects of an annotation: outlines of insects, in whole pixels as in
// OpenCV's contours.
func (o Options) objects(random *rand.Rand) (rawjson.Value, error) {
	red, blue := "#ff0000", "#0000ff"
	objects := make([]annotations.NewObject, o.Objects)
	for n := range objects {
		radius := 10 + 60*random.Float64()
		x, y := radius+random.Float64()*(Width-2*radius), radius+random.Float64()*(Height-2*radius)
		outline := make([]any, o.Points)
		for p := range outline {
			angle := 2 * math.Pi * float64(p) / float64(o.Points)
			r := radius * (0.7 + 0.3*random.Float64())
			outline[p] = []any{math.Round(x + r*math.Cos(angle)), math.Round(y + r*math.Sin(angle))}
		}
		value := n
		objects[n] = annotations.NewObject{
			Name: []string{"insect", "insect", "insect", "moth", "background"}[random.IntN(5)], Contour: contour.NewInput(outline),
			FillColour: &red, StrokeColour: &blue, Value: &value,
		}
	}
	return annotations.Encode(objects)
}
