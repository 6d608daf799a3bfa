package filelink

import (
	"mime"
	"strings"
	"testing"
)

func TestDisposition_NamesAFileForThoseWhoSaveIt(t *testing.T) {
	for _, c := range []struct{ key, name, want string }{
		{"images/0a5bb6f4/2020-06/0a5bb6f4.2020-06-20_21-33-24.0123456789abcdef.jpg", "", "inline; filename=0a5bb6f4.2020-06-20_21-33-24.jpg"},
		{"images/0a5bb6f4/2020-06/0a5bb6f4.2020-06-20_21-33-24.0123456789abcdef.thumbnail.jpg", "", "inline; filename=0a5bb6f4.2020-06-20_21-33-24.thumbnail.jpg"},
		{"bundles/a/b", "", "attachment; filename=b"},
		{"bundles/a/b", "model_final.pth", "attachment; filename=model_final.pth"},
		{"bundles/a/b", "evil.jpg", "attachment; filename=evil.jpg"},
		{"bundles/a/b", "two words; and=more", `attachment; filename="two words; and=more"`},
		{"bundles/a/b", `"quoted"`, `attachment; filename="\"quoted\""`},
		{"bundles/a/b", "Größe 🦋.txt", "attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe%20%F0%9F%A6%8B.txt"},
		{"bundles/a/b", "a\r\nSet-Cookie: x", `attachment; filename="a__Set-Cookie: x"`},
		{"bundles/a/b", "../../etc/passwd", "attachment; filename=.._.._etc_passwd"},
		{"bundles/a/b", `C:\x`, `attachment; filename="C:_x"`},
		{"bundles/a/b", "gpj.\u202eexe\x00", "attachment; filename=gpj._exe_"},
		{"bundles/a/b", "\xff", "attachment; filename=_"},
	} {
		got := Disposition(c.key, c.name)
		if got != c.want {
			t.Errorf("%q, %q: %s, want %s", c.key, c.name, got, c.want)
		}
		if _, parameters, err := mime.ParseMediaType(got); err != nil || parameters["filename"] == "" || strings.ContainsAny(got, "\r\n\x00") {
			t.Errorf("%q, %q: %s cannot be read: %v", c.key, c.name, got, err)
		}
	}
}

func TestHandler_SavesAFileUnderTheNameThatItsLinkGivesIt(t *testing.T) {
	h := newHouse(t)
	h.store(t, "bundles/a/b", "weights")
	link, _ := h.signer.Link("GET", "bundles/a/b", `Größe "1"&x=y.pth`)
	got := h.ask("GET", link)
	if want := `Größe "1"&x=y.pth`; got.Code != 200 || got.Body.String() != "weights" || nameIn(t, got.Header().Get("Content-Disposition")) != want {
		t.Errorf("file: got %d %v, want 200 with the name %s", got.Code, got.Header(), want)
	}
}

func nameIn(t *testing.T, disposition string) string {
	t.Helper()
	_, parameters, err := mime.ParseMediaType(disposition)
	if err != nil {
		t.Errorf("disposition %q: got %v, want a media type", disposition, err)
	}
	return parameters["filename"]
}
