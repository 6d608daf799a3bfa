package e2e

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"

	"tagma/internal/testing/testenv"
)

func TestUpload_APhotographThatIsMadeToBeHardWorkHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	name := func(n int) string { return snapshot(trap, n, 1).Name }
	before := s.resident()
	for kind, c := range map[string]struct {
		file testenv.FlatJPEG
		want string
	}{
		"3,000 scans":                {testenv.FlatJPEG{Width: 7900, Height: 7900, Components: 1, Scans: 3000}, "3000 scans, and the limit is 100"},
		"64 megapixels, progressive": {testenv.FlatJPEG{Width: 9248, Height: 6920, Components: 3, Sampling: 0x22, Scans: 3}, "and the limit is 192 MiB"},
	} {
		got := admin.upload("REFUSE", file{name(1), c.file.Bytes()})[0]
		if got.Verdict != "REJECTED" || got.Problem == nil || got.Problem.Code != "TOO_LARGE" || !strings.Contains(got.Problem.Message, c.want) {
			t.Errorf("%s: got %s, %+v, want REJECTED for TOO_LARGE with %q", kind, got.Verdict, got.Problem, c.want)
		}
	}
	s.unharmed(before)

	// As hard as is allowed, from senders who have hung up. Their decoding would
	// take minutes, with the race detector in it.
	hard := testenv.FlatJPEG{Width: 6200, Height: 6200, Components: 1, Scans: 40}.Bytes()
	var senders sync.WaitGroup
	for n := range 4 {
		senders.Go(func() {
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			body, kind := form(t, uploadImages, "REFUSE", file{name(10 + n), hard})
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { hangUp() }})
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/graphql", body)
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Content-Type", kind)
			request.Header.Set("Authorization", "Bearer "+admin.Token)
			if response, err := http.DefaultClient.Do(request); err == nil {
				_ = response.Body.Close()
				t.Errorf("the server answered %d before the sender hung up", response.StatusCode)
			}
		})
	}
	senders.Wait()
	again := testenv.FlatJPEG{Width: 64, Height: 48, Components: 3, Scans: 6}.Bytes()
	for n, got := range admin.upload("REFUSE", snapshot(trap, 2, 1), file{name(3), again}) {
		if got.Verdict != "CREATED" {
			t.Errorf("photograph %d after those is %s, %+v, want CREATED", n, got.Verdict, got.Problem)
		}
	}
	s.stop()
}
