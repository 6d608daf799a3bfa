package main

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"testing"
	"time"

	"tagma/internal/bench/dataset"
	"tagma/internal/photo"
	"tagma/internal/testing/testenv"
)

// BenchmarkUpload sends one photograph after the other over a loopback
// connection, to files and a database that are flushed to the disk:
//
//	go test -run '^$' -bench Upload/SQLite -benchtime 200x -cpuprofile cpu.prof .
func BenchmarkUpload(b *testing.B) {
	onBoth(b, testenv.Postgres, benchmarkUpload)
}

func benchmarkUpload(b *testing.B, databaseURL string) {
	server := open(b, databaseURL)
	listening := httptest.NewServer(server.routes(b))
	defer listening.Close()
	token := server.signIn(b)

	photograph := dataset.Photograph()
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
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, listening.URL+"/graphql", &body)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Content-Type", form.FormDataContentType())
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := listening.Client().Do(r)
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
