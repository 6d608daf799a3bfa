package dataset

import "tagma/internal/photo/scene"

// Photograph returns a JPEG file as large as a trap's, in pixels and in bytes.
func Photograph() []byte {
	return scene.JPEG(scene.Options{
		Width: Width, Height: Height, Seed: 1, Insects: 40, Grain: 80,
		Make: `{"temp": 21.5, "hum": 60.25, "lat": 49.26, "lng": -123.25, "alt": 70.1}`,
	})
}
