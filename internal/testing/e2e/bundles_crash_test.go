package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestBundles_KilledAtAnyMomentNoVersionLacksAFileAndToTryAgainFinishes(t *testing.T) {
	const kills = 6
	eachStore(t, func(t *testing.T, s *server) {
		admin := s.admin()
		acknowledged := map[string]pack{} // by the version's id
		for n := range kills {
			ended := make(chan error, 1)
			go func() { ended <- admin.shipUntilDeath(n, acknowledged) }()
			select {
			case err := <-ended:
				t.Fatalf("before the server was killed: %v", err)
			case <-time.After(20*time.Millisecond + rand.N(600*time.Millisecond)): // somewhere between two statements
			}
			s.kill()
			<-ended
			s.boot()
			// What was under way is finished by asking again.
			p := shipped(n, 0).with("data/after", fmt.Sprint("the crash ", n))
			made, _ := admin.ship("insects", p)
			acknowledged[made.Version.ID] = p
			var all struct {
				Bundle struct {
					Versions struct {
						Nodes []struct {
							Number int
							Files  []bundled
						}
					}
				}
			}
			admin.must(&all, `{ bundle(name: "insects") { versions(first: 150) { nodes { number files { key md5 link { url } } } } } }`, nil)
			for at, v := range all.Bundle.Versions.Nodes {
				if v.Number != at+1 || len(v.Files) < 3 {
					t.Errorf("the version %d has the number %d and %d files", at+1, v.Number, len(v.Files))
				}
				for _, f := range v.Files {
					if got := s.fetch(f.Link.URL, nil); hexOf(got.Body) != f.Md5 {
						t.Errorf("%s of version %d is not what it says: %d", f.Key, v.Number, got.StatusCode)
					}
				}
			}
		}
		for version, p := range acknowledged {
			admin.holds(version, p)
		}
		t.Logf("%d versions were acknowledged", len(acknowledged))
	})
}

func shipped(kill, n int) pack {
	return pack{"data/a": "always the same", "data/b": fmt.Sprint(kill, n), "output/w": strings.Repeat(fmt.Sprint(kill, n, "."), 20_000)}
}

// shipUntilDeath publishes versions until the server dies, of which it gives
// the error.
func (c *client) shipUntilDeath(kill int, acknowledged map[string]pack) error {
	for n := 0; ; n++ {
		p := shipped(kill, n)
		var asked struct{ RequestBundleUpload shipment }
		if err := c.tryDo(&asked, requestBundle, vars{"name": "insects", "files": p.manifest()}); err != nil {
			return err
		}
		for _, to := range asked.RequestBundleUpload.Wanted {
			request, err := http.NewRequestWithContext(c.t.Context(), to.Method, c.s.address(to.URL), strings.NewReader(p[to.Key]))
			if err != nil {
				return err
			}
			for _, h := range to.Headers {
				request.Header.Set(h.Name, h.Value)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			_ = response.Body.Close()
		}
		var made struct{ PublishBundle release }
		if err := c.tryDo(&made, publishBundle, vars{"upload": asked.RequestBundleUpload.UploadID}); err != nil {
			return err
		}
		acknowledged[made.PublishBundle.Version.ID] = p
	}
}
