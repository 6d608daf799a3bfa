// Package export owns the output forms of a series: CSV, for tables and
// statistics, or JSON, a line per image, for programs. A writer writes each
// image at once and stores no image. Package export does not own the query of
// the series.
package export

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"tagma/internal/base/contour"
	"tagma/internal/cli/client/generated"
)

// Writer writes images. When Write returns, the images are in the output.
type Writer interface {
	Write(images []generated.Image) error
}

// jsonLines writes a line per image, with the names of the contract.
type jsonLines struct {
	out         *json.Encoder
	annotations bool
}

// JSON returns a Writer with a line per image. With annotations, each image
// includes the documents of its annotations.
func JSON(w io.Writer, annotations bool) Writer { return jsonLines{json.NewEncoder(w), annotations} }

func (j jsonLines) Write(images []generated.Image) error {
	for _, i := range images {
		line := struct {
			Device string `json:"device"`
			generated.Image
			Annotations *[]json.RawMessage `json:"annotations,omitempty"`
		}{Device: i.Device.Name, Image: i}
		if j.annotations {
			documents := make([]json.RawMessage, len(i.Annotations))
			for n, a := range i.Annotations {
				documents[n] = a.Document
			}
			line.Annotations = &documents
		}
		if err := j.out.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// table writes CSV as in RFC 4180, below a line of names.
type table struct {
	out         *csv.Writer
	annotations bool
}

// CSV returns a Writer with a line per image or, with annotations, a line per
// object. An image or annotation without objects has a single line with empty
// cells.
func CSV(w io.Writer, annotations bool) (Writer, error) {
	t := table{csv.NewWriter(w), annotations}
	names := []string{
		"device", "taken_at", "md5", "size", "width", "height", "device_version",
		"latitude", "longitude", "altitude", "temperature", "humidity",
		"no_flash_shutter_speed", "no_flash_exposure_time", "no_flash_brightness", "no_flash_iso",
	}
	if annotations {
		names = append(names, "algorithm", "version", "object", "name", "value",
			"box_x", "box_y", "box_width", "box_height", "area", "contour")
	}
	if err := t.out.Write(names); err != nil {
		return nil, err
	}
	t.out.Flush()
	return t, t.out.Error()
}

func (t table) Write(images []generated.Image) error {
	for _, i := range images {
		line := []string{
			i.Device.Name, i.TakenAt.String(), i.Md5, strconv.FormatInt(i.Size, 10), strconv.Itoa(i.Width), strconv.Itoa(i.Height),
			text(i.DeviceVersion), text(i.Latitude), text(i.Longitude), text(i.Altitude), text(i.Temperature), text(i.Humidity),
			text(i.NoFlashShutterSpeed), text(i.NoFlashExposureTime), text(i.NoFlashBrightness), text(i.NoFlashIso),
		}
		if !t.annotations {
			_ = t.out.Write(line) // t.out.Error returns the error
			continue
		}
		if len(i.Annotations) == 0 {
			_ = t.out.Write(append(line, make([]string, 11)...))
		}
		for _, a := range i.Annotations {
			if err := t.annotation(line, a.Document); err != nil {
				return fmt.Errorf("the annotations of %s, %s: %w", i.Device.Name, i.TakenAt, err)
			}
		}
	}
	t.out.Flush()
	return t.out.Error()
}

// annotation writes a line for each object, after the cells of the image.
func (t table) annotation(image []string, document json.RawMessage) error {
	var d struct {
		Annotations []struct {
			Contour any    `json:"contour"`
			Name    string `json:"name"`
			Value   *int   `json:"value"`
		} `json:"annotations"`
		Metadata struct {
			AlgoName    string `json:"algo_name"`
			AlgoVersion string `json:"algo_version"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return err
	}
	line := append(image[:len(image):len(image)], d.Metadata.AlgoName, d.Metadata.AlgoVersion)
	if len(d.Annotations) == 0 {
		return t.out.Write(append(line, make([]string, 9)...))
	}
	for n, o := range d.Annotations {
		polygon, err := contour.Parse(o.Contour)
		if err != nil {
			return err
		}
		cells := append(line[:len(line):len(line)], strconv.Itoa(n), o.Name, text(o.Value))
		for _, v := range polygon.Box() {
			cells = append(cells, string(contour.AppendNumber(nil, v)))
		}
		cells = append(cells, string(contour.AppendNumber(nil, polygon.Area())), string(polygon.AppendJSON(nil)))
		if err := t.out.Write(cells); err != nil {
			return err
		}
	}
	return nil
}

// text returns a value as text, or "" for nil.
func text[T any](v *T) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(*v)
}
