package bundles_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tagma/internal/base/fault"
	"tagma/internal/domain/bundles"
	"tagma/internal/storage/bucket"
)

func TestRequest_AskedAgainItWantsOnlyWhatHasNotCome(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		upload := w.request(w.maria, "insects", insects)
		for _, file := range upload.Requested {
			switch file.Key {
			case "config/config.yaml": // as after a crash, or by a store that takes files by itself: not recorded
				must(t, bucket.WriteAll(t.Context(), w.bucket, w.unchecked(file), []byte(insects[file.Key])))
			case "README.md":
				must(t, w.Receive(t.Context(), file.StoredAs, file.Size, strings.NewReader("")))
			}
		}
		_, err := w.Publish(w.maria, upload.ID)
		refused(t, err, fault.NotFound, "upload.data/a.svg", "upload.data/b.svg", "upload.output/model_final.pth")
		if refusal, _ := errors.AsType[*fault.Error](err); len(refusal.Problems) != 3 {
			t.Errorf("got problems %+v, want 3", refusal.Problems)
		}
		repeat := w.request(w.maria, "insects", insects)
		if repeat.ID != upload.ID || !slices.Equal(keys(repeat.Requested), []string{"data/a.svg", "data/b.svg", "output/model_final.pth"}) {
			t.Errorf("second request: got upload %d with wanted %v, want the same upload with 3 files", repeat.ID, repeat.Requested)
		}
		w.send(repeat, insects)
		published, err := w.Publish(w.maria, upload.ID)
		must(t, err)
		w.holds(published.Version, insects)
	})
}

func TestRequest_WhatSomebodyElseIsSendingIsNobodysToClaim(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		secret := folder{"output/w": "not published"}
		ownUpload := w.request(w.maria, "insects", secret)
		w.send(ownUpload, secret)
		otherUpload := w.request(w.jonas, "insects", secret)
		if otherUpload.ID == ownUpload.ID || len(otherUpload.Requested) != 1 {
			t.Errorf("request of another person: got %+v, want another upload that wants the file", otherUpload)
		}
		_, err := w.Publish(w.jonas, otherUpload.ID)
		refused(t, err, fault.NotFound, "has not come")
		_, err = w.Publish(w.jonas, ownUpload.ID)
		refused(t, err, fault.NotFound)
		_, err = w.Publish(t.Context(), ownUpload.ID)
		refused(t, err, fault.Unauthenticated)
	})
}

// Two files of 128 bytes with one MD5, published by Xiaoyun Wang and Hongbo Yu,
// "How to Break MD5 and Other Hash Functions", 2005.
var collision = func() [2]string {
	one, _ := hex.DecodeString("d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70")
	other := bytes.Clone(one)
	for _, at := range []int{19, 45, 59, 83, 109, 123} {
		other[at] ^= 0x80
	}
	return [2]string{string(one), string(other)}
}()

func TestRequest_AForgedMD5GivesNobodyOtherBytesThanTheirSHA256Says(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		good, evil := collision[0], collision[1]
		if good == evil || md5Of(good) != md5Of(evil) {
			t.Fatal("the two files are no collision")
		}
		w.push(w.jonas, "evil", folder{"output/w": evil})
		files := folder{"output/w": good}
		manifest := files.manifest()
		manifest[0].SHA256 = sha256Of(good)
		upload, err := w.Request(w.maria, "good", manifest)
		must(t, err)
		if len(upload.Requested) != 1 {
			t.Fatal("the other file is taken for this one")
		}
		w.send(upload, files)
		published, err := w.Publish(w.maria, upload.ID)
		must(t, err)
		w.holds(published.Version, files)
		// From now on the MD5 alone says nothing.
		if upload := w.request(w.maria, "other", files); len(upload.Requested) != 1 {
			t.Error("one of two files is taken for the right one")
		}
		// Nor are the two mistaken for each other in the next version.
		if next := w.push(w.maria, "evil", files); next.Verdict != bundles.Created || next.Version.Number != 2 {
			t.Errorf("next version: got %+v, want CREATED, number 2", next)
		}
		manifest[0].SHA256 = sha256Of("something else")
		if upload, err = w.Request(w.maria, "lie", manifest); err != nil || len(upload.Requested) != 1 {
			t.Fatalf("another SHA-256: got %+v, error %v, want 1 wanted file", upload, err)
		}
		w.send(upload, files)
		_, err = w.Publish(w.maria, upload.ID)
		refused(t, err, fault.BadInput, *sha256Of(good), *sha256Of("something else"))
	})
}

func TestRequest_EveryProblemIsToldAtOnce(t *testing.T) {
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))
	bad := map[string]string{
		"": "empty", "/etc/passwd": "absolute", "C:/x": "absolute", "a/../b": "part ..", "..": "part ..", "./a": "part .", "a//b": "empty part", "a/": "empty part",
		`a\b`: `holds \`, "a\x00b": "NUL", "a\nb": "control", "a\u202eb": "control", "\xff": "UTF-8", "a.attrs": ".attrs", "x.ATTRS/a": ".attrs",
		"a /b": "space or a dot", "a.": "space or a dot", strings.Repeat("a", 201): "200 bytes", strings.Repeat("a/", 251): "500 bytes",
		"%2e%2e/a": "%XX", "a%2F..%2Fb": "%XX", "%252e%252e/a": "%XX", "a%5Cb": "%XX", "%00": "%XX",
	}
	var files []bundles.NewFile
	var texts []string
	for key, reason := range bad {
		texts = append(texts, fmt.Sprintf("files.%d.key: ", len(files)), reason)
		files = append(files, bundles.NewFile{Key: key, MD5: md5Of(key), Size: 1})
	}
	n := len(files)
	wrong := "xyz"
	files = append(files,
		bundles.NewFile{Key: "ok", MD5: "abc", SHA256: &wrong, Size: -1},
		bundles.NewFile{Key: "big", MD5: md5Of("big"), Size: 1<<20 + 1},
		bundles.NewFile{Key: "ok", MD5: md5Of("ok"), Size: 1 << 20},
		bundles.NewFile{Key: "ok/below", MD5: md5Of("ok"), Size: 1},
		bundles.NewFile{Key: "100%.txt", MD5: md5Of("100%"), Size: 1},
		bundles.NewFile{Key: "Größe/ü.jpg", MD5: md5Of("Größe"), Size: 1 << 20},
	)
	at := func(more int, field string) string { return fmt.Sprintf("files.%d.%s: ", n+more, field) }
	_, err := w.Request(w.maria, "../x", files)
	refused(t, err, fault.BadInput, append(texts, "name: ", at(0, "md5"), at(0, "sha256"), at(0, "size"), at(1, "size"),
		at(2, "key")+`"ok" is there twice`, at(3, "key")+`"ok/below" lies in "ok"`, at(3, "md5"), "at most 2097152")...)
	if refusal, _ := errors.AsType[*fault.Error](err); len(refusal.Problems) != n+9 {
		t.Errorf("%d problems: %v", len(refusal.Problems), refusal.Problems)
	}
	_, err = w.Request(w.maria, "x", nil)
	refused(t, err, fault.BadInput, "files: there are none")
	_, err = w.Request(w.maria, "x", make([]bundles.NewFile, 3001))
	refused(t, err, fault.TooLarge, "3001", "3000")
	_, err = w.Request(t.Context(), "x", insects.manifest())
	refused(t, err, fault.Unauthenticated)
	if n := w.db.BundleUpload.Query().CountX(t.Context()); n != 0 {
		t.Errorf("%d uploads are kept", n)
	}
}

func TestRequest_OnePersonHasSoManyUploadsAndNoMore(t *testing.T) {
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))
	for n := range 100 {
		w.request(w.maria, "insects", folder{"a": fmt.Sprint(n)})
	}
	_, err := w.Request(w.maria, "insects", folder{"a": "100"}.manifest())
	refused(t, err, fault.TooLarge, "100 uploads")
	w.request(w.maria, "insects", folder{"a": "1"}) // which is one of them
	w.request(w.jonas, "insects", folder{"a": "100"})
}
