package e2e

import (
	"fmt"
	"testing"

	ent "tagma/ent/generated"
)

// everything is every edge of an image, two levels deep where there are as
// many.
const everything = `
  id takenAt md5 metadata file { url } uploadedBy { username }
  device { imageCount firstTakenAt lastTakenAt images(first: 2) { nodes { id } totalCount } }
  annotations { algorithm { name } objectCount objects { name } document createdBy { username } image { id } }
  previous { id device { name } } next { id }`

// compiled is every edge that package selection knows.
const compiled = `
  id takenAt md5 metadata file { url } uploadedBy { username } device { name }
  annotations { algorithm { name } objectCount objects { name } document createdBy { username } }`

func TestStatements_AreAsManyForOneRowAsForAHundred(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		few, many := vars{}, vars{}
		// Ten traps with ten images each, an annotation on every one.
		var images, devices, annotations []string
		var keys, prints, additions []vars
		for d := range 10 {
			name := fmt.Sprintf("000000%02d", d)
			addDevices(t, db, name)
			var rows []*ent.ImageCreate
			for n := range 10 {
				rows = append(rows, row(db, name, n).SetUploadedByID(1))
				keys = append(keys, key(name, n))
				md5 := hexOf(fmt.Sprint(name, ".", n))
				prints = append(prints, vars{"device": name, "takenAt": at(n), "md5": md5})
				additions = append(additions, addition(name, n, md5, "1", insect("moth", 10)))
			}
			addRows(t, db, rows...)
		}
		for _, one := range admin.put(true, additions...) {
			annotations = append(annotations, one.Annotation.ID)
		}
		var got struct {
			ImageSeries struct{ Nodes []struct{ ID string } }
			Devices     struct{ Nodes []struct{ ID string } }
		}
		admin.must(&got, `query($series: [SeriesInput!]!) { imageSeries(series: $series, first: 100) { nodes { id } } devices { nodes { id } } }`, vars{"series": []vars{whole("%")}})
		for _, one := range got.ImageSeries.Nodes {
			images = append(images, one.ID)
		}
		for _, one := range got.Devices.Nodes {
			devices = append(devices, one.ID)
		}
		few["series"], many["series"] = []vars{{"device": "00000000", "start": at(5), "end": at(6)}}, []vars{whole("%")}
		few["keys"], many["keys"] = keys[5:6], keys
		few["prints"], many["prints"] = prints[5:6], prints
		few["match"], many["match"] = "00000000", "%"
		few["ids"] = []string{images[5], devices[0], annotations[5]}
		many["ids"] = append(append(append([]string{}, images...), devices...), annotations...)

		for _, c := range []struct {
			name, head, body string
			want             int
		}{
			{"Plain", `($series: [SeriesInput!]!)`, `imageSeries(series: $series, first: 100) { nodes { id takenAt md5 file { url } } pageInfo { hasNextPage } }`, 1},
			{"Counted", `($series: [SeriesInput!]!)`, `imageSeries(series: $series, first: 100) { nodes { id } totalCount }`, 2},
			{"Everything", `($series: [SeriesInput!]!)`, `imageSeries(series: $series, first: 100) { nodes { ` + everything + ` } edges { node { device { name } } } }`, 11},
			{"Keys", `($keys: [ImageKey!]!)`, `images(keys: $keys) { id device { name } annotations { id } }`, 3},
			{"Diff", `($prints: [ImageFingerprint!]!)`, `diffImages(images: $prints) { verdict image { id device { name } } }`, 2},
			{"Devices", `($match: String!)`, `devices(match: $match) { nodes { name imageCount lastTakenAt images(first: 3) { nodes { id metadata } totalCount } } totalCount }`, 4},
			{"Activity", `($series: [SeriesInput!]!)`, `activity(series: $series, every: "PT1H") { device start images objects temperature { mean } }`, 1},
			{"Weather", `($series: [SeriesInput!]!)`, `activity(series: $series, every: "PT1H") { device start images temperature { mean } }`, 1},
			{"OfKeys", `($keys: [ImageKey!]!)`, `annotations(images: $keys) { id objects { name } image { device { name } } createdBy { username } }`, 4},
			{"OfSeries", `($series: [SeriesInput!]!)`, `annotationSeries(series: $series, first: 100) { nodes { id document image { md5 } createdBy { username } } totalCount }`, 4},
			{"Compiled", `($series: [SeriesInput!]!)`, `imageSeries(series: $series, first: 100) { nodes { ` + compiled + ` } edges { cursor node { device { name } } } pageInfo { endCursor } totalCount }`, 6},
			{"Nodes", `($ids: [ID!]!)`, `nodes(ids: $ids) { id ... on Image { device { name } } ... on Device { imageCount } ... on Annotation { image { id } } }`, 6},
		} {
			query := "query " + c.name + c.head + " { " + c.body + " }"
			for _, variables := range []vars{few, many} {
				before := s.statements(c.name)
				admin.must(nil, query, variables)
				if got := s.statements(c.name) - before; got != c.want {
					t.Errorf("%s of %d: %d statements, want %d", c.name, len(variables["keys"].([]vars)), got, c.want)
				}
			}
		}
	})
}

func TestStatements_OfWritesAreAsManyForOneAsForAHundred(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		addDevices(t, db, trap)
		var rows []*ent.ImageCreate
		var keys, additions []vars
		for n := range 202 {
			rows = append(rows, row(db, trap, n))
			keys = append(keys, key(trap, n))
			additions = append(additions, addition(trap, n, hexOf(fmt.Sprint(trap, ".", n)), "1", insect("moth", 10)))
		}
		addRows(t, db, rows...)
		spent := func(operation string, do func()) int {
			before := s.statements(operation)
			do()
			return s.statements(operation) - before
		}
		for _, some := range [][]vars{additions[:1], additions[1:101]} {
			if got := spent("Put", func() { admin.put(true, some...) }); got != 4 {
				t.Errorf("to put %d annotations takes %d statements", len(some), got)
			}
			if got := spent("Put", func() { admin.put(true, some...) }); got != 3 {
				t.Errorf("to put %d again takes %d statements", len(some), got)
			}
		}
		for _, some := range [][]vars{keys[:1], keys[1:101]} {
			const remove = `mutation Remove($images: [ImageKey!]!) { deleteImages(images: $images) { images annotations } }`
			if got := spent("Remove", func() { admin.must(nil, remove, vars{"images": some}) }); got != 3 {
				t.Errorf("to delete %d images takes %d statements", len(some), got)
			}
		}
		for _, count := range []int{1, 10} {
			files := make([]file, count)
			for n := range files {
				files[n] = snapshot("1b74105a", 100*count+n, 1)
			}
			if got := spent("Upload", func() { admin.upload("REFUSE", files...) }); got != 3*count {
				t.Errorf("to upload %d images takes %d statements", count, got)
			}
			if got := spent("Upload", func() { admin.upload("REFUSE", files...) }); got != count {
				t.Errorf("to upload %d again takes %d statements", count, got)
			}
			for n := range files {
				files[n] = snapshot("1b74105a", 100*count+n, 2)
			}
			if got := spent("Upload", func() { admin.upload("REPLACE", files...) }); got != 6*count {
				t.Errorf("to replace %d images takes %d statements", count, got)
			}
		}
	})
}
