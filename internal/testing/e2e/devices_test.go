package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	ent "tagma/ent/generated"
)

func TestDevices_AreFoundByPatternAndPagedWithTheirImages(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		addDevices(t, db, "0a5bb6f4", "0a5bb6ff", "1b74105a", "ffffffff")
		var rows []*ent.ImageCreate
		for n := range 5 {
			rows = append(rows, row(db, "0a5bb6f4", n), row(db, "1b74105a", 10+n))
		}
		addRows(t, db, append(rows, row(db, "0a5bb6ff", 3))...)

		for pattern, want := range map[string]string{
			"%": "0a5bb6f4 0a5bb6ff 1b74105a ffffffff", "0A5%": "0a5bb6f4 0a5bb6ff", "_a%": "0a5bb6f4 0a5bb6ff",
			"%f": "0a5bb6ff ffffffff", "": "", "1b74105a": "1b74105a", `1b74105\_`: "",
		} {
			for _, size := range []int{1, 2, 50} {
				var names []string
				var after *string
				for {
					var got struct {
						Devices connectionOf[struct{ Name string }]
					}
					admin.must(&got, `query($match: String!, $first: Int, $after: String) { devices(match: $match, first: $first, after: $after) {
					  totalCount nodes { name } pageInfo { hasNextPage endCursor } } }`, vars{"match": pattern, "first": size, "after": after})
					for _, node := range got.Devices.Nodes {
						names = append(names, node.Name)
					}
					if got.Devices.TotalCount != len(strings.Fields(want)) {
						t.Errorf("%q has the total %d", pattern, got.Devices.TotalCount)
					}
					if after = got.Devices.PageInfo.EndCursor; !got.Devices.PageInfo.HasNextPage {
						break
					}
				}
				if got := strings.Join(names, " "); got != want {
					t.Errorf("%q by %d is %q, want %q", pattern, size, got, want)
				}
			}
		}
		if got := admin.do(`{ devices(match: "a\\") { nodes { name } } }`, nil); got.code() != "BAD_USER_INPUT" {
			t.Errorf("a pattern that is none is answered %s", got.Body)
		}

		type device struct {
			Name                      string
			ImageCount                int
			FirstTakenAt, LastTakenAt *string
			Images                    connectionOf[place]
		}
		var got struct{ Devices connectionOf[device] }
		nested := func(arguments string) []device {
			admin.must(&got, `{ devices { nodes { name imageCount firstTakenAt lastTakenAt
			  images`+arguments+` { totalCount nodes { takenAt } edges { cursor } pageInfo { hasNextPage hasPreviousPage endCursor } } } } }`, nil)
			return got.Devices.Nodes
		}
		all := nested("(first: 2)")
		if one := all[0]; one.ImageCount != 5 || *one.FirstTakenAt != at(0) || *one.LastTakenAt != at(4) ||
			one.Images.TotalCount != 5 || len(one.Images.Nodes) != 2 || one.Images.Nodes[1].TakenAt != at(1) || !one.Images.PageInfo.HasNextPage {
			t.Errorf("the first device is %+v", one)
		}
		if one := all[1]; one.Images.TotalCount != 1 || len(one.Images.Nodes) != 1 || one.Images.PageInfo.HasNextPage {
			t.Errorf("the second is %+v", one)
		}
		if one := all[3]; one.ImageCount != 0 || one.FirstTakenAt != nil || one.LastTakenAt != nil || one.Images.TotalCount != 0 || len(one.Images.Nodes) != 0 {
			t.Errorf("the empty one is %+v", one)
		}
		after := nested(fmt.Sprintf("(first: 2, after: %q)", all[0].Images.Edges[1].Cursor))
		if one := after[0]; len(one.Images.Nodes) != 2 || one.Images.Nodes[0].TakenAt != at(2) || one.Images.TotalCount != 5 || !one.Images.PageInfo.HasPreviousPage || !one.Images.PageInfo.HasNextPage {
			t.Errorf("the next page of the first is %+v", one)
		}
		within := nested(fmt.Sprintf("(start: %q, end: %q)", at(3), at(11)))
		for n, want := range []int{2, 1, 1, 0} {
			if one := within[n]; one.Images.TotalCount != want || len(one.Images.Nodes) != want || one.Images.PageInfo.HasNextPage {
				t.Errorf("within a time, %s has %+v", one.Name, one.Images)
			}
		}
		var single struct{ Upper, None *struct{ Name string } }
		admin.must(&single, `{ upper: device(name: "0A5BB6F4") { name } none: device(name: "00000000") { name } }`, nil)
		if single.Upper == nil || single.Upper.Name != "0a5bb6f4" || single.None != nil {
			t.Errorf("by name there are %+v", single)
		}

		var walked struct {
			Image struct {
				Previous, Next *struct {
					TakenAt string
					Next    *struct{ TakenAt string }
				}
			}
		}
		const neighbours = `query($device: String!, $takenAt: DateTime!) { image(device: $device, takenAt: $takenAt) { previous { takenAt next { takenAt } } next { takenAt next { takenAt } } } }`
		admin.must(&walked, neighbours, key("0a5bb6f4", 3))
		if i := walked.Image; i.Previous.TakenAt != at(2) || i.Previous.Next.TakenAt != at(3) || i.Next.TakenAt != at(4) || i.Next.Next != nil {
			t.Errorf("the neighbours are %+v", i)
		}
		admin.must(&walked, neighbours, key("0a5bb6ff", 3))
		if i := walked.Image; i.Previous != nil || i.Next != nil {
			t.Errorf("the only one has neighbours: %+v", i)
		}
	})
}

func TestImages_TenThousandKeysAndFingerprintsAreOneRequestOfLessThanAMebibyte(t *testing.T) {
	const there, asked = 1000, 10_000
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		addDevices(t, db, trap)
		var rows []*ent.ImageCreate
		keys, prints := make([]vars, asked), make([]vars, asked)
		for n := range asked {
			md5 := hexOf(fmt.Sprint(trap, ".", n))
			if n < there {
				rows = append(rows, row(db, trap, n))
			}
			if n%3 == 1 {
				md5 = hexOf("another")
			}
			// Backwards, so that the answer's order shows.
			keys[asked-1-n], prints[asked-1-n] = key(trap, n), vars{"device": trap, "takenAt": at(n), "md5": md5}
		}
		addRows(t, db, rows...)

		var diff struct {
			DiffImages []struct {
				Device, TakenAt, Verdict string
				Image                    *struct{ TakenAt string }
			}
		}
		const diffImages = `query($images: [ImageFingerprint!]!) { diffImages(images: $images) { device takenAt verdict image { takenAt } } }`
		admin.must(&diff, diffImages, vars{"images": prints})
		if len(diff.DiffImages) != asked {
			t.Fatalf("there are %d answers", len(diff.DiffImages))
		}
		for i, got := range diff.DiffImages {
			n, want := asked-1-i, "NEW"
			switch {
			case n < there && n%3 == 1:
				want = "CONFLICT"
			case n < there:
				want = "SAME"
			}
			if got.Verdict != want || got.Device != trap || got.TakenAt != at(n) || (got.Image != nil) != (want != "NEW") || got.Image != nil && got.Image.TakenAt != at(n) {
				t.Fatalf("answer %d is %+v, want %s", i, got, want)
			}
		}
		// Twice the same, in upper case; and what is no fingerprint.
		same := vars{"device": strings.ToUpper(trap), "takenAt": at(0), "md5": strings.ToUpper(hexOf(trap + ".0"))}
		admin.must(&diff, diffImages, vars{"images": []vars{same, same}})
		if len(diff.DiffImages) != 2 || diff.DiffImages[0].Verdict != "SAME" || diff.DiffImages[1].Image == nil || diff.DiffImages[1].Device != trap {
			t.Errorf("the same twice is %+v", diff)
		}
		wrong := admin.do(diffImages, vars{"images": []vars{same, {"device": trap, "takenAt": at(0), "md5": "x"}}})
		if wrong.code() != "BAD_USER_INPUT" || !slices.Equal(wrong.Errors[0].Extensions.Problems[0].Path, []string{"images", "1", "md5"}) {
			t.Errorf("no fingerprint is answered %s", wrong.Body)
		}

		var images struct{ Images []struct{ TakenAt string } }
		const byKeys = `query($keys: [ImageKey!]!) { images(keys: $keys) { takenAt } }`
		admin.must(&images, byKeys, vars{"keys": append(slices.Clone(keys[:asked-10]), keys[asked-20:asked-10]...)})
		if len(images.Images) != there-10 {
			t.Fatalf("there are %d images", len(images.Images))
		}
		for i, got := range images.Images {
			if got.TakenAt != at(there-1-i) {
				t.Fatalf("image %d is of %s, want %s", i, got.TakenAt, at(there-1-i))
			}
		}
		wrong = admin.do(byKeys, vars{"keys": append(keys, keys[0])})
		if wrong.code() != "TOO_LARGE" {
			t.Errorf("one too many is answered %.300s", wrong.Body)
		}
	})
}

func TestDelete_CountsFirstThenTakesRowsAnnotationsAndFilesAndThenFindsNothing(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		sent := admin.upload("REFUSE", snapshot(trap, 0, 1), snapshot(trap, 1, 1), snapshot(trap, 2, 1))
		admin.put(true, addition(trap, 0, sent[0].Image.Md5, "1"), addition(trap, 0, sent[0].Image.Md5, "2"), addition(trap, 2, sent[2].Image.Md5, "1"))
		link, stays := admin.link(trap, 0, "ORIGINAL"), admin.link(trap, 2, "ORIGINAL")
		type counts struct{ Images, Annotations, Files int }
		remove := func(dryRun bool) counts {
			var got struct{ DeleteImages counts }
			admin.must(&got, `mutation($images: [ImageKey!]!, $dryRun: Boolean) { deleteImages(images: $images, dryRun: $dryRun) { images annotations files } }`,
				vars{"images": []vars{key(trap, 0), key(strings.ToUpper(trap), 1), key(trap, 0), key(trap, 7), key("ffffffff", 0)}, "dryRun": dryRun})
			return got.DeleteImages
		}
		want := counts{2, 2, 6}
		for range 2 {
			if got := remove(true); got != want {
				t.Errorf("the dry run counts %+v, want %+v", got, want)
			}
		}
		if files := s.stored(); len(files) != 9 || len(admin.versions(0)) != 2 {
			t.Fatalf("the dry run has changed something: %q", files)
		}
		if got := remove(false); got != want {
			t.Errorf("what went is %+v, want %+v", got, want)
		}
		if files := s.stored(); len(files) != 3 {
			t.Errorf("one image has the files %q", files)
		}
		if got := get(t, s.URL+link, nil); got.StatusCode != http.StatusNotFound {
			t.Errorf("a deleted file is answered %d", got.StatusCode)
		}
		if got := get(t, s.URL+stays, nil); got.StatusCode != http.StatusOK {
			t.Errorf("the file that stays is answered %d", got.StatusCode)
		}
		for _, dryRun := range []bool{false, true} {
			if got := remove(dryRun); got != (counts{}) {
				t.Errorf("once more, what went is %+v", got)
			}
		}
		if left := admin.versions(2); len(left) != 1 {
			t.Errorf("the image that stays has the annotations %v", left)
		}
		if got := admin.upload("REFUSE", snapshot(trap, 0, 1))[0]; got.Verdict != "CREATED" || got.Image.ID == sent[0].Image.ID || len(admin.versions(0)) != 0 {
			t.Errorf("sent anew it is %+v", got)
		}
	})
}
