package bundles_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	ent "tagma/ent/generated"
	"tagma/internal/base/page"
	"tagma/internal/domain/bundles"
)

func TestFiles_APartIsThatPart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		all := with(with(insects, "database/x", "x"), "data", "")
		delete(all, "data/a.svg")
		delete(all, "data/b.svg")
		all = with(all, "Data/A.svg", "<A/>")
		first := w.push(w.maria, "insects", insects).Version
		second := w.push(w.maria, "insects", all).Version
		for part, want := range map[bundles.Part][2][]string{
			bundles.All:   {{"README.md", "config/config.yaml", "data/a.svg", "data/b.svg", "output/model_final.pth"}, {"Data/A.svg", "README.md", "config/config.yaml", "data", "database/x", "output/model_final.pth"}},
			bundles.Data:  {{"config/config.yaml", "data/a.svg", "data/b.svg"}, {"config/config.yaml"}},
			bundles.Model: {{"config/config.yaml", "output/model_final.pth"}, {"config/config.yaml", "output/model_final.pth"}},
		} {
			before := w.statements.Load()
			files, err := w.Files(t.Context(), []*ent.BundleVersion{first, second}, part)
			must(t, err)
			if n := w.statements.Load() - before; n != 1 {
				t.Errorf("files of %s: got %d statements, want 1", part, n)
			}
			for n, v := range []*ent.BundleVersion{first, second} {
				var got []string
				for _, f := range files[v.ID] {
					got = append(got, f.Key)
				}
				if !slices.Equal(got, want[n]) {
					t.Errorf("%s of version %d is %q", part, n+1, got)
				}
			}
		}
	})
}

func TestVersionsOfAlgorithms_AnAlgorithmSpeaksOfAVersionByItsNumberNameOrMD5(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		other := w.push(w.maria, "other", insects).Version // of the same files
		first := w.push(w.maria, "insects", insects).Version
		second := w.push(w.maria, "insects", with(insects, "config/config.yaml", "x: 2\n")).Version // with the same weights
		weights, picture := md5Of("weights"), md5Of("<svg/>")
		want := map[bundles.Algorithm]*ent.BundleVersion{
			{Name: "insects", Version: "1"}:                                    first,
			{Name: "insects", Version: "v2"}:                                   second,
			{Name: "insects", Version: "3"}:                                    nil,
			{Name: "insects", Version: "0"}:                                    nil,
			{Name: "insects", Version: "99999999999999"}:                       nil,
			{Name: "maria", Version: "1"}:                                      nil,
			{Name: "maria", Version: "insects@2"}:                              second,
			{Name: "insects", Version: "other@1"}:                              other,
			{Name: "insects", Version: "other@2"}:                              nil,
			{Name: "insects", Version: first.Md5}:                              first,
			{Name: "maria", Version: first.Md5}:                                other, // the oldest
			{Name: "maria", Version: second.Md5}:                               second,
			{Name: "insects", Version: "1598113346-" + weights}:                first, // the oldest of that name
			{Name: "maria", Version: "1598113346-" + strings.ToUpper(weights)}: other,
			{Name: "maria", Version: picture}:                                  nil, // no weights
			{Name: "maria", Version: "x" + weights}:                            nil,
			{Name: "maria", Version: strings.Repeat("0", 32)}:                  nil,
			{Name: "maria", Version: "2020-07"}:                                nil,
			{Name: "insects", Version: "1.0"}:                                  nil,
		}
		var algorithms []bundles.Algorithm
		for a := range want {
			algorithms = append(algorithms, a)
		}
		before := w.statements.Load()
		got, err := w.VersionsOfAlgorithms(t.Context(), algorithms)
		must(t, err)
		if n := w.statements.Load() - before; n != 4 {
			t.Errorf("versions of %d algorithms: got %d statements, want 4", len(algorithms), n)
		}
		for a, v := range want {
			if match := got[a]; (match == nil) != (v == nil) || v != nil && match.ID != v.ID {
				t.Errorf("version of %v: got %v, want %v", a, match, v)
			}
		}
		if got, err := w.VersionsOfAlgorithms(t.Context(), nil); len(got) != 0 || err != nil {
			t.Errorf("no algorithms: got %v, error %v, want none", got, err)
		}
	})
}

func TestList_BundlesAndVersionsComeByPages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for n := range 5 {
			w.push(w.maria, "insects", folder{"a": fmt.Sprint(n)})
		}
		w.push(w.maria, "birds", folder{"a": "1"})
		w.push(w.maria, "in_ects", folder{"a": "1"})
		all, err := w.List(t.Context(), `in\_%`, page.Request{})
		must(t, err)
		if len(all.Nodes) != 1 || all.Nodes[0].Name != "in_ects" {
			t.Errorf("bundles that match in\\_%%: got %v, want in_ects", all.Nodes)
		}
		all, err = w.List(t.Context(), "%", page.Request{First: new(2)})
		must(t, err)
		if total, err := all.TotalCount(t.Context()); len(all.Nodes) != 2 || all.Nodes[0].Name != "birds" || !all.PageInfo.HasNextPage || total != 3 || err != nil {
			t.Errorf("first page: got %v, %+v, total %d, error %v, want 2 of 3 from birds on", all.Nodes, all.PageInfo, total, err)
		}
		insects, err := w.ByName(t.Context(), "insects")
		must(t, err)
		parents := []*ent.Bundle{insects, all.Nodes[0]}
		before := w.statements.Load()
		first, err := w.Versions(t.Context(), parents, page.Request{First: new(3)})
		must(t, err)
		if got := w.statements.Load() - before; got != 1 {
			t.Errorf("versions of two bundles: got %d statements, want 1", got)
		}
		next, err := w.Versions(t.Context(), parents, page.Request{After: first[insects.ID].PageInfo.EndCursor})
		must(t, err)
		if got := next[insects.ID].Nodes; len(got) != 2 || got[0].Number != 4 || got[1].Number != 5 || len(first[parents[1].ID].Nodes) != 1 || len(next[parents[1].ID].Nodes) != 0 {
			t.Errorf("pages of versions: got %v, then %v, want numbers 4 and 5 on the second", first, next)
		}
		if total, err := first[insects.ID].TotalCount(t.Context()); total != 5 || err != nil {
			t.Errorf("total of versions: got %d, error %v, want 5", total, err)
		}
		latest, err := w.Latest(t.Context(), parents)
		must(t, err)
		numbered, err := w.ByNumber(t.Context(), parents, 4)
		must(t, err)
		if latest[insects.ID].Number != 5 || latest[parents[1].ID].Number != 1 || numbered[insects.ID].Number != 4 || numbered[parents[1].ID] != nil {
			t.Errorf("got latest %v and numbered %v, want numbers 5 and 1, and 4 and none", latest, numbered)
		}
		for _, name := range []string{"nothing", "", "a\x00b", "../insects"} {
			if match, err := w.ByName(t.Context(), name); match != nil || err != nil {
				t.Errorf("bundle %q: got %v, error %v, want nil", name, match, err)
			}
		}
	})
}
