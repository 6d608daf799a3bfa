package labels

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"tagma/ent/generated/labelset"
)

func TestEnsure_TheDefaultSetIsThereOnceHoweverManyServersStart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var wait sync.WaitGroup
		for range 10 {
			wait.Go(func() {
				if err := w.Ensure(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		sets, err := w.Sets(t.Context())
		must(t, err)
		if len(sets) != 1 || sets[0].Name != "paws" || sets[0].Version != 1 {
			t.Errorf("got %v", sets)
		}
		all, err := Definitions(sets[0])
		must(t, err)
		same(t, "its labels", all, paws)
	})
}

func TestEnsure_ADefaultSetThatWasChangedStaysAsItIs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, err := w.CreateSet(t.Context(), DefaultSet, []Definition{{"nose", "Nose"}})
		must(t, err)
		must(t, w.Ensure(t.Context()))
		set, err := w.Set(t.Context(), DefaultSet)
		must(t, err)
		same(t, "version", set.Version, 2)
	})
}

func TestCreateSet_AChangedSetIsANewVersionAndTheSameOneIsNot(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two := []Definition{{"a", "A"}, {"b", "<B> & Ä"}}, []Definition{{"b", "<B> & Ä"}, {"a", "A"}}
		for n, c := range []struct {
			labels  []Definition
			version int
		}{{one, 1}, {one, 1}, {two, 2}, {two, 2}, {one, 3}} {
			made, err := w.CreateSet(t.Context(), "Hände", c.labels)
			must(t, err)
			if made.Version != c.version {
				t.Errorf("step %d: version %d, want %d", n, made.Version, c.version)
			}
			got, err := Definitions(made)
			must(t, err)
			same(t, "labels", got, c.labels)
		}
		sets, err := w.Sets(t.Context())
		must(t, err)
		if len(sets) != 2 || sets[0].Name != "Hände" || sets[0].Version != 3 || sets[1].Name != "paws" {
			t.Errorf("got %v", sets)
		}
		if none, err := w.Set(t.Context(), "none"); none != nil || err != nil {
			t.Errorf("got %v, %v", none, err)
		}
	})
}

func TestCreateSet_ThoseWhoChangeItAtOnceMakeAVersionEach(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var wait sync.WaitGroup
		for n := range 20 {
			wait.Go(func() {
				// Each of ten sets by two at once.
				if _, err := w.CreateSet(t.Context(), "racing", []Definition{{fmt.Sprint("label", n/2), "x"}}); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		versions, err := w.db.LabelSet.Query().Where(labelset.Name("racing")).Order(labelset.ByVersion()).All(t.Context())
		must(t, err)
		for n, v := range versions {
			if v.Version != n+1 {
				t.Errorf("version %d at place %d", v.Version, n+1)
			}
			if n > 0 && string(v.Labels) == string(versions[n-1].Labels) {
				t.Errorf("version %d is the same as the one before", v.Version)
			}
		}
		if len(versions) < 10 {
			t.Errorf("%d versions: one is lost", len(versions))
		}
	})
}

func TestCreateSet_EverythingThatIsWrongIsToldAtOnce(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	_, err := w.CreateSet(t.Context(), "", []Definition{
		{"a", "A"}, {"a", ""}, {"", "x"}, {strings.Repeat("ä", 101), "x\ny"}, {"b\x00", strings.Repeat("ü", 201)}, {"ok", "\xff"},
	})
	same(t, "paths", problems(t, err), []string{
		"input.labels.1.key", "input.labels.1.name", "input.labels.2.key", "input.labels.3.key", "input.labels.3.name",
		"input.labels.4.key", "input.labels.4.name", "input.labels.5.name", "input.name",
	})
	for _, n := range []int{0, 501} {
		all := make([]Definition, n)
		for i := range all {
			all[i] = Definition{fmt.Sprint(i), "x"}
		}
		_, err = w.CreateSet(t.Context(), strings.Repeat("n", 101), all)
		same(t, "paths", problems(t, err), []string{"input.labels", "input.name"})
	}
	if _, err := w.CreateSet(t.Context(), strings.Repeat("ñ", 100), []Definition{{strings.Repeat("ä", 100), strings.Repeat("ü", 200)}}); err != nil {
		t.Errorf("the longest names are refused: %v", err)
	}
	same(t, "sets", w.db.LabelSet.Query().CountX(t.Context()), 2)
}

func TestCreateSet_ThereIsABoundOnSets(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	tx, err := w.db.Tx(t.Context())
	must(t, err)
	for n := range maxSets - 1 {
		tx.LabelSet.Create().SetName(fmt.Sprint("set", n)).SetVersion(1).SetLabels([]byte(`[{"id":"a","name":"A"}]`)).SetCreatedAt(noon).ExecX(t.Context())
	}
	must(t, tx.Commit())
	if _, err := w.CreateSet(t.Context(), "one more", []Definition{{"a", "A"}}); err == nil {
		t.Error("it is taken")
	}
	if _, err := w.CreateSet(t.Context(), DefaultSet, []Definition{{"a", "A"}}); err != nil {
		t.Errorf("a new version is refused: %v", err)
	}
}

func TestSubmit_WhatWasSubmittedKeepsItsVersionOfTheSet(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		old := w.submit(rat(1, 1))
		set, err := w.CreateSet(t.Context(), DefaultSet, paws[:5])
		must(t, err)
		_, err = w.Submit(w.ana, rat(2, 1), 0)
		same(t, "the old set's label", problems(t, err), []string{"input.labels.5.key"})
		five := rat(2, 1)
		five.Labels = five.Labels[:5]
		younger := w.submit(five)
		sets, err := w.SetsByID(t.Context(), []int64{old.LabelSetID, younger.LabelSetID, -1})
		must(t, err)
		if len(sets) != 2 || sets[old.LabelSetID].Version != 1 || sets[younger.LabelSetID].ID != set.ID || set.Version != 2 {
			t.Errorf("got %v", sets)
		}
		labels, err := Decode(w.again(old))
		must(t, err)
		same(t, "its labels", len(labels), 6)
	})
}
