package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"testing"
)

// document is an annotation in the Sticky Pi API's own form.
const document = `{
  "annotations": [
    {"contour": [[[10, 12]], [[40, 12]], [[40, 30]], [[10, 30]]], "name": "insect",
     "stroke_colour": "#0000ff", "fill_colour": "#ff0000", "value": 0},
    {"contour": [[[60.5, 60]], [[80, 60]], [[70, 90.25]]], "name": "moth", "stroke_colour": "#0000ff"}
  ],
  "metadata": {"algo_name": "detector", "algo_version": "1598113346-ad2cd78d",
               "device": "0a5bb6f4", "datetime": "2020-06-20_20-00-10", "md5": %q}
}`

func TestJourney_PhotographsAndContoursGoInAndComeOutAsASeriesOfOneNight(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		files := []file{snapshot("0a5bb6f4", 10, 1), snapshot("0a5bb6f4", 20, 2), snapshot("1b74105a", 10, 3)}
		sent := admin.upload("REFUSE", files...)
		for n, result := range sent {
			if result.Verdict != "CREATED" || result.Filename != files[n].Name {
				t.Fatalf("file %d: %+v", n, result)
			}
		}
		for n, result := range admin.upload("REFUSE", files...) {
			if result.Verdict != "UNCHANGED" || result.Image.ID != sent[n].Image.ID {
				t.Errorf("file %d, sent again: %+v", n, result)
			}
		}

		var doc struct {
			Annotations []struct {
				Contour      any     `json:"contour"`
				Name         string  `json:"name"`
				StrokeColour *string `json:"stroke_colour"`
				FillColour   *string `json:"fill_colour"`
				Value        *int    `json:"value"`
			} `json:"annotations"`
		}
		text := []byte(fmt.Sprintf(document, sent[0].Image.Md5))
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		var objects []vars
		for _, a := range doc.Annotations {
			objects = append(objects, vars{"name": a.Name, "contour": a.Contour, "fillColour": a.FillColour, "strokeColour": a.StrokeColour, "value": a.Value})
		}
		admin.must(nil, `mutation($input: [AnnotationInput!]!) { putAnnotations(input: $input) { results { annotation { id } } } }`,
			vars{"input": []vars{{
				"image": vars{"device": "0a5bb6f4", "takenAt": "2020-06-20_20-00-10"}, "md5": sent[0].Image.Md5,
				"algorithm": vars{"name": "detector", "version": "1598113346-ad2cd78d"}, "objects": objects,
			}}})

		var got struct {
			ImageSeries struct {
				TotalCount int
				Nodes      []struct {
					TakenAt     string
					Temperature float64
					UploadedBy  struct{ Username string }
					File        struct{ URL string }
					Next        *struct{ TakenAt string }
					Annotations []struct {
						ObjectCount int
						Document    any
						Objects     []struct {
							Name        string
							Contour     [][]float64
							BoundingBox struct{ X, Y, Width, Height float64 }
							Area        float64
						}
					}
				}
			}
		}
		admin.must(&got, `query Night { imageSeries(series: [{device: "0a5bb6f4", start: "2020-06-20T20:00:00Z", end: "2020-06-20T20:00:21Z"}]) {
		  totalCount
		  nodes { takenAt temperature uploadedBy { username } file { url } next { takenAt }
		    annotations { objectCount document objects { name contour boundingBox { x y width height } area } } } } }`, nil)
		nodes := got.ImageSeries.Nodes
		if got.ImageSeries.TotalCount != 2 || len(nodes) != 2 || nodes[0].TakenAt != "2020-06-20T20:00:10Z" {
			t.Fatalf("the series is %+v", got)
		}
		if nodes[0].Temperature != 20.5 || nodes[0].UploadedBy.Username != "admin" || nodes[0].Next.TakenAt != nodes[1].TakenAt || nodes[1].Next != nil {
			t.Errorf("the image is %+v", nodes[0])
		}
		if len(nodes[0].Annotations) != 1 || len(nodes[1].Annotations) != 0 {
			t.Fatalf("the annotations are %+v", nodes)
		}
		annotation := nodes[0].Annotations[0]
		var want any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(annotation.Document, want) {
			t.Errorf("the document came back as %v", annotation.Document)
		}
		if o := annotation.Objects[0]; annotation.ObjectCount != 2 || o.Area != 540 || o.BoundingBox != struct{ X, Y, Width, Height float64 }{10, 12, 30, 18} {
			t.Errorf("the object is %+v", o)
		}
		if content := fetch(t, s.URL+nodes[0].File.URL); string(content) != string(files[0].Content) {
			t.Errorf("the file came back with %d bytes, not %d", len(content), len(files[0].Content))
		}
	})
}

// fetch gets a file by its link.
func fetch(t testing.TB, url string) []byte {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s is answered %d, %v", url, response.StatusCode, err)
	}
	return content
}
