package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tagma/ent/generated/accesstoken"
	"tagma/internal/bench/dataset"
	"tagma/internal/caller"
	"tagma/internal/config"
	"tagma/internal/instant"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
	"tagma/internal/store"
	"tagma/internal/testenv"
	"tagma/internal/token"
)

// BenchmarkUpload sends one photograph after the other over a loopback
// connection, to files and a database that are flushed to the disk:
//
//	go test -run '^$' -bench Upload/SQLite -benchtime 200x -cpuprofile cpu.prof .
func BenchmarkUpload(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { benchmarkUpload(b, "sqlite:"+filepath.Join(b.TempDir(), "tagma.db")) })
	b.Run("PostgreSQL", func(b *testing.B) { benchmarkUpload(b, testenv.Postgres(b)) })
}

func benchmarkUpload(b *testing.B, databaseURL string) {
	c := config.Default()
	c.Data, c.Database = b.TempDir(), databaseURL
	if err := c.Check(); err != nil {
		b.Fatal(err)
	}
	silent := slog.New(slog.DiscardHandler)
	st, err := store.Open(b.Context(), c, silent, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	person, err := st.DB.User.Create().SetUsername("bench").SetRole(caller.Admin).SetPasswordHash("none").SetCreatedAt(0).Save(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	secret, hash := token.New()
	err = st.DB.AccessToken.Create().SetUserID(person.ID).SetKind(accesstoken.KindACCESS).SetName("bench").SetHash(hash).
		SetRole(caller.Admin).SetCreatedAt(0).SetExpiresAt(instant.System().Add(time.Hour)).Exec(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	routes, err := handler(b.Context(), c, st, newDomain(c, st, silent), silent, prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(routes)
	defer server.Close()

	photograph := scene.JPEG(scene.Options{Width: dataset.Width, Height: dataset.Height, Seed: 1, Insects: 40, Grain: 80})
	sent := 0
	b.SetBytes(int64(len(photograph)))
	b.ReportAllocs()
	for b.Loop() {
		name := photo.Name{Device: "0000bec0", TakenAt: dataset.Options{}.TakenAt(0, 0).Add(time.Duration(sent) * time.Second)}
		sent++
		var body bytes.Buffer
		body.Grow(len(photograph) + 1<<10)
		form := multipart.NewWriter(&body)
		_ = form.WriteField("operations", `{"query": "mutation($f: Upload!) { uploadImages(files: [$f]) { results { verdict } } }", "variables": {"f": null}}`)
		_ = form.WriteField("map", `{"0": ["variables.f"]}`)
		file, _ := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="0"; filename=%q`, name)}})
		_, _ = file.Write(photograph)
		_ = form.Close()
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+"/graphql", &body)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Content-Type", form.FormDataContentType())
		r.Header.Set("Authorization", "Bearer "+secret.Reveal())
		answer, err := server.Client().Do(r)
		if err != nil {
			b.Fatal(err)
		}
		said, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || !bytes.Contains(said, []byte("CREATED")) {
			b.Fatalf("answered %s, %v", said, err)
		}
	}
}
