package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tagma/internal/photo/scene"
)

func TestUpload_EachFileHasItsOwnVerdictInTheOrderInWhichTheyWereSent(t *testing.T) {
	good, other := snapshot(trap, 0, 1), snapshot(trap, 1, 1)
	bare := scene.JPEG(scene.Options{Width: 160, Height: 120, Seed: 9})
	large := scene.JPEG(scene.Options{Width: 400, Height: 300})
	named := func(name string) file { return file{name, good.Content} }
	holding := func(content string) file { return file{snapshot(trap, 5, 1).Name, []byte(content)} }
	whole := string(good.Content)
	cases := []struct {
		file            file
		verdict, reason string
	}{
		{good, "CREATED", ""},
		{named("photograph.jpg"), "REJECTED", "BAD_USER_INPUT"},
		{named("0a5bb6f.2020-06-20_20-00-05.jpg"), "REJECTED", "BAD_USER_INPUT"},
		{named("0a5bb6fg.2020-06-20_20-00-05.jpg"), "REJECTED", "BAD_USER_INPUT"},
		{named("0a5bb6f4.2020-02-30_20-00-05.jpg"), "REJECTED", "BAD_USER_INPUT"},
		{named("0a5bb6f4.2019-10-31_23-59-59.jpg"), "REJECTED", "BAD_USER_INPUT"},
		{named("0a5bb6f4.2020-06-20 20:00:05.jpg"), "REJECTED", "BAD_USER_INPUT"},
		{named("0a5bb6f4.2020-06-20_20-00-05.png"), "REJECTED", "BAD_USER_INPUT"},
		{holding(""), "REJECTED", "BAD_USER_INPUT"},
		{holding("not a photograph"), "REJECTED", "BAD_USER_INPUT"},
		{holding("\x89PNG\r\n\x1a\n" + whole), "REJECTED", "BAD_USER_INPUT"},
		{holding(whole[:len(whole)/2]), "REJECTED", "BAD_USER_INPUT"},
		{holding(whole[:len(whole)-100]), "REJECTED", "BAD_USER_INPUT"},
		{holding(string(large)), "REJECTED", "TOO_LARGE"},
		{file{"C:\\traps\\0A5BB6F4.2020-06-20_20-00-06.JPEG", bare}, "CREATED", ""},
		{other, "CREATED", ""},
	}
	files := make([]file, len(cases))
	for n, c := range cases {
		files[n] = c.file
	}
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		for n, got := range admin.upload("REFUSE", files...) {
			want := cases[n]
			switch {
			case got.Verdict != want.verdict || got.AnnotationsDeleted != 0:
				t.Errorf("upload %s: got %+v, want %s and no deleted annotations", want.file.Name, got, want.verdict)
			case want.reason == "":
				if got.Problem != nil || got.Image == nil || got.Image.Md5 != md5Of(want.file) {
					t.Errorf("upload %s: got %+v, want an image with MD5 %s", want.file.Name, got, md5Of(want.file))
				}
			case got.Problem == nil || got.Image != nil || got.Problem.Code != want.reason || got.Problem.Message == "" ||
				!slices.Equal(got.Problem.Path, []string{"files", fmt.Sprint(n)}):
				t.Errorf("upload %s: got %+v with problem %+v, want %s at files.%d", want.file.Name, got, got.Problem, want.reason, n)
			}
		}
		if files := s.stored(); len(files) != 9 {
			t.Errorf("three images have the files %q", files)
		}
	}, "--max-pixels", "100000")
}

func TestUpload_OfTheSameFileTwiceInOneRequestCreatesOneImage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		got := s.admin().upload("REFUSE", snapshot(trap, 0, 1), snapshot(trap, 0, 1))
		if count := verdicts(got); count["CREATED"] != 1 || count["UNCHANGED"] != 1 || got[0].Image.ID != got[1].Image.ID {
			t.Errorf("the verdicts are %v", count)
		}
		if files := s.stored(); len(files) != 3 {
			t.Errorf("one image has the files %q", files)
		}
	})
}

func TestUpload_TwentyAtOnceOfTheSameImageCreateItOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, f := s.admin(), snapshot(trap, 0, 1)
		all := together(t, 20, func(int) ([]uploaded, error) { return admin.tryUpload("REFUSE", f) })
		if count := verdicts(all...); count["CREATED"] != 1 || count["UNCHANGED"] != 19 {
			t.Errorf("the verdicts are %v", count)
		}
		for _, got := range all {
			if got[0].Image.ID != all[0][0].Image.ID {
				t.Errorf("the images are %v and %v", *got[0].Image, *all[0][0].Image)
			}
		}
		if files := s.stored(); len(files) != 3 {
			t.Errorf("one image has the files %q", files)
		}
	})
}

func TestUpload_AnotherImageOfTheSameTimeIsAConflictAndChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, first := s.admin(), snapshot(trap, 0, 1)
		there := admin.upload("REFUSE", first)[0].Image
		got := admin.upload("REFUSE", snapshot(trap, 0, 2), snapshot(trap, 1, 2))
		if got[0].Verdict != "CONFLICT" || *got[0].Image != *there || got[0].Problem.Code != "CONFLICT" || !slices.Equal(got[0].Problem.Path, []string{"files", "0"}) {
			t.Errorf("the conflict is %+v", got[0])
		}
		if got[1].Verdict != "CREATED" {
			t.Errorf("the file beside it: %+v", got[1])
		}
		if content := fetch(t, s.URL+admin.link(trap, 0, "ORIGINAL")); string(content) != string(first.Content) {
			t.Error("the image is not the one that was there")
		}
		if files := s.stored(); len(files) != 6 {
			t.Errorf("two images have the files %q", files)
		}
	})
}

// link is where a file of an image is.
func (c *client) link(device string, n int, variant string) string {
	c.t.Helper()
	var got struct {
		Image *struct{ File struct{ URL string } }
	}
	c.must(&got, `query Link($device: String!, $takenAt: DateTime!, $variant: ImageVariant!) {
	  image(device: $device, takenAt: $takenAt) { file(variant: $variant) { url } } }`,
		vars{"device": device, "takenAt": at(n), "variant": variant})
	if got.Image == nil {
		c.t.Fatalf("there is no image of %s at %s", device, at(n))
	}
	return got.Image.File.URL
}

func TestUpload_AReplacedImageTakesItsAnnotationsAndFilesWithIt(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, second := s.admin(), snapshot(trap, 0, 2)
		old := admin.upload("REPLACE", snapshot(trap, 0, 1))[0]
		if old.Verdict != "CREATED" {
			t.Fatalf("where nothing is in the way: %+v", old)
		}
		admin.put(true, addition(trap, 0, old.Image.Md5, "1"), addition(trap, 0, old.Image.Md5, "2"))
		before := admin.link(trap, 0, "THUMBNAIL")
		got := admin.upload("REPLACE", second)[0]
		if got.Verdict != "REPLACED" || got.AnnotationsDeleted != 2 || got.Image.ID == old.Image.ID || got.Image.Md5 != md5Of(second) {
			t.Errorf("the replacement is %+v", got)
		}
		var left struct {
			Node  any
			Image struct{ Annotations []any }
		}
		admin.must(&left, `query($id: ID!, $device: String!, $takenAt: DateTime!) {
		  node(id: $id) { id } image(device: $device, takenAt: $takenAt) { annotations { id } } }`,
			vars{"id": old.Image.ID, "device": trap, "takenAt": at(0)})
		if left.Node != nil || len(left.Image.Annotations) != 0 {
			t.Errorf("what is left is %+v", left)
		}
		if response := get(t, s.URL+before, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("the old file is answered %d", response.StatusCode)
		}
		if files := s.stored(); len(files) != 3 {
			t.Errorf("one image has the files %q", files)
		}

		admin.put(true, addition(trap, 0, got.Image.Md5, "1"))
		again := admin.upload("REPLACE", second)[0]
		if again.Verdict != "UNCHANGED" || again.AnnotationsDeleted != 0 || *again.Image != *got.Image {
			t.Errorf("the same once more: %+v", again)
		}
		admin.must(&left, `query($id: ID!, $device: String!, $takenAt: DateTime!) {
		  node(id: $id) { id } image(device: $device, takenAt: $takenAt) { annotations { id } } }`,
			vars{"id": old.Image.ID, "device": trap, "takenAt": at(0)})
		if len(left.Image.Annotations) != 1 {
			t.Error("the same once more has lost an annotation")
		}
	})
}

func TestUpload_OfManyReplacementsAtOnceOneStaysWithItsOwnFiles(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		all := together(t, 12, func(n int) ([]uploaded, error) {
			return admin.tryUpload("REPLACE", snapshot(trap, 0, uint64(n/2))) // two of each
		})
		count := verdicts(all...)
		if count["CREATED"] != 1 || count["CREATED"]+count["REPLACED"]+count["UNCHANGED"] != 12 {
			t.Errorf("the verdicts are %v", count)
		}
		var got struct {
			ImageSeries struct{ Nodes []struct{ Md5 string } }
		}
		admin.must(&got, `{ imageSeries(series: [{device: "%", start: "2020-01-01T00:00:00Z", end: "2021-01-01T00:00:00Z"}]) { nodes { md5 } } }`, nil)
		if len(got.ImageSeries.Nodes) != 1 {
			t.Fatalf("there are the images %+v", got)
		}
		if content := fetch(t, s.URL+admin.link(trap, 0, "ORIGINAL")); hexOf(string(content)) != got.ImageSeries.Nodes[0].Md5 {
			t.Error("the file is another image's")
		}
		if files := s.stored(); len(files) != 3 {
			t.Errorf("one image has the files %q", files)
		}
	})
}

func TestUpload_WhileImagesAreReplacedNoAnnotationGetsOnOtherBytesAndEachIsAccountedFor(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		pictures := []file{snapshot(trap, 0, 1), snapshot(trap, 0, 2)}
		admin.upload("REFUSE", pictures[0])
		type tally struct{ added, deleted int }
		tallies := together(t, 6, func(worker int) (tally, error) {
			var sum tally
			for n := range 15 {
				if worker < 2 {
					results, err := admin.tryUpload("REPLACE", pictures[(n+worker)%2])
					if err != nil {
						return sum, err
					}
					sum.deleted += results[0].AnnotationsDeleted
					continue
				}
				made := md5Of(pictures[worker%2])
				var got struct {
					PutAnnotations struct{ Results []put }
				}
				err := admin.tryDo(&got, putAnnotations, vars{"atomic": false, "input": []vars{
					addition(trap, 0, made, fmt.Sprint(made, "-", worker, "-", n), insect("moth", 10)),
				}})
				if err != nil {
					return sum, err
				}
				if got.PutAnnotations.Results[0].Annotation != nil {
					sum.added++
				}
				if _, err := admin.annotated(); err != nil {
					return sum, err
				}
			}
			return sum, nil
		})
		var sum tally
		for _, one := range tallies {
			sum.added += one.added
			sum.deleted += one.deleted
		}
		left, err := admin.annotated()
		if err != nil {
			t.Error(err)
		}
		if sum.added == 0 || sum.added != sum.deleted+left {
			t.Errorf("%d were added, %d went with images, %d are there", sum.added, sum.deleted, left)
		}
	})
}

// annotated counts the annotations of the image at 0, each of which has a
// version that begins with the MD5 it was made on: another one is an error.
func (c *client) annotated() (int, error) {
	var got struct {
		Image struct {
			Md5         string
			Annotations []struct{ Algorithm struct{ Version string } }
		}
	}
	err := c.tryDo(&got, `query($device: String!, $takenAt: DateTime!) { image(device: $device, takenAt: $takenAt) { md5 annotations { algorithm { version } } } }`, key(trap, 0))
	for _, one := range got.Image.Annotations {
		if !strings.HasPrefix(one.Algorithm.Version, got.Image.Md5) {
			return 0, fmt.Errorf("on %s there is %s", got.Image.Md5, one.Algorithm.Version)
		}
	}
	return len(got.Image.Annotations), err
}

func TestUpload_WhatTheCameraWroteIsCleanedAndAlsoKeptAsItWas(t *testing.T) {
	cases := []struct {
		make, comment string
		want          string // of the cleaned fields that are not null, and the raw ones
	}{
		{
			`{'lat': 49.25, 'lng': -123.5, 'alt': 97.5, 'temp': 13.5, 'hum': 80.25, 'device_version': '1.0.0', 'no_flash_bv': (46, 100), 'no_flash_exposure_time': (1, 8), 'no_flash_shutter_speed': (3, 1), 'no_flash_iso': 400, 'datetime': '2020-06-20 04:50:10', 'md5': 'x'}`, "",
			`{"latitude": 49.25, "longitude": -123.5, "altitude": 97.5, "temperature": 13.5, "humidity": 80.25, "deviceVersion": "1.0.0",
			  "noFlashBrightness": 0.46, "noFlashExposureTime": 0.125, "noFlashShutterSpeed": 3, "noFlashIso": 400,
			  "metadata": {"lat": 49.25, "lng": -123.5, "alt": 97.5, "temp": 13.5, "hum": 80.25, "device_version": "1.0.0", "no_flash_bv": [46, 100], "no_flash_exposure_time": [1, 8], "no_flash_shutter_speed": [3, 1], "no_flash_iso": 400, "datetime": "2020-06-20 04:50:10", "md5": "x"}}`,
		},
		{
			"", "v,T,H,B,L,lat,lng,a,l,b\n3.1.0,20.6,42.6,72,1.20,49.26,-123.25,97.3,1652813182,1",
			`{"latitude": 49.26, "longitude": -123.25, "altitude": 97.3, "temperature": 20.6, "humidity": 42.6, "deviceVersion": "3.1.0",
			  "luminosity": 1.2, "battery": 72, "button": true,
			  "metadata": {"v": "3.1.0", "T": 20.6, "H": 42.6, "B": 72, "L": 1.2, "lat": 49.26, "lng": -123.25, "a": 97.3, "l": 1652813182, "b": 1}}`,
		},
		{
			"", "ver,temp,hum,bat,lum,lat,lng,alt,lsy,b\n3.0.0,20.6,42.6,72,1.20,49.26,-123.25,97.3,2021-11-17 12:00:00,0",
			`{"latitude": 49.26, "longitude": -123.25, "altitude": 97.3, "temperature": 20.6, "humidity": 42.6, "deviceVersion": "3.0.0",
			  "luminosity": 1.2, "battery": 72, "button": false,
			  "metadata": {"ver": "3.0.0", "temp": 20.6, "hum": 42.6, "bat": 72, "lum": 1.2, "lat": 49.26, "lng": -123.25, "alt": 97.3, "lsy": "2021-11-17 12:00:00", "b": 0}}`,
		},
		{`{'lat': 8.5, 'lng': 47.25}`, "", `{"latitude": 47.25, "longitude": 8.5, "metadata": {"lat": 8.5, "lng": 47.25}}`},
		{`{'lat': 0.0, 'lng': 0.0, 'alt': 0.0, 'temp': 5.0}`, "", `{"temperature": 5, "metadata": {"lat": 0, "lng": 0, "alt": 0, "temp": 5}}`},
		{`{'lat': -121.75, 'lng': 49.25, 'alt': 12.0}`, "", `{"latitude": 49.25, "longitude": -121.75, "altitude": 12, "metadata": {"lat": -121.75, "lng": 49.25, "alt": 12}}`},
		{`{'temp': -300.0, 'hum': 0.0}`, "", `{"metadata": {"temp": -300, "hum": 0}}`},
		{`{'temp': 100.5, 'hum': 100.5}`, "", `{"metadata": {"temp": 100.5, "hum": 100.5}}`},
		{`__import__('os').system('true')`, "nothing to read", `{"metadata": {}}`},
		{`{'device_version': 'a\x00\ud800b', 'note': '\x00"\\'}`, "", ""},
		{"", "", `{"metadata": {}}`},
	}
	files := make([]file, len(cases))
	for n, c := range cases {
		files[n] = file{snapshot(trap, n, 0).Name, scene.JPEG(scene.Options{Width: 32, Height: 24, Seed: uint64(n), Make: c.make, UserComment: c.comment})}
	}
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		for n, got := range admin.upload("REFUSE", files...) {
			if got.Verdict != "CREATED" {
				t.Fatalf("file %d: %+v %+v", n, got, got.Problem)
			}
		}
		var got struct {
			ImageSeries struct{ Nodes []map[string]any }
		}
		admin.must(&got, `{ imageSeries(series: [{device: "%", start: "2020-01-01T00:00:00Z", end: "2021-01-01T00:00:00Z"}]) { nodes {
		  deviceVersion altitude latitude longitude temperature humidity luminosity battery button
		  noFlashShutterSpeed noFlashExposureTime noFlashBrightness noFlashIso metadata } } }`, nil)
		for n, c := range cases {
			if c.want == "" {
				continue // it is there, and that is all
			}
			var want map[string]any
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			image := got.ImageSeries.Nodes[n]
			for name, value := range image {
				if value == nil {
					delete(image, name)
				}
			}
			if !reflect.DeepEqual(image, want) {
				t.Errorf("%s%s\ngives %v\nwant  %v", c.make, c.comment, image, want)
			}
		}
	})
}
