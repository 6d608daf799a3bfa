package e2e

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tagma/internal/testing/testenv"
)

const imageAdded = `subscription($device: String! = "%") { imageAdded(device: $device) { device { name } takenAt md5 annotations { id } } }`

// added is what imageAdded tells.
type added struct {
	ImageAdded struct {
		Device  struct{ Name string }
		TakenAt string
		Md5     string
	}
}

// ready waits until the subscriptions before it on a socket are in force. The
// server begins operations as they come, but each by itself: so the test sends
// what is to be told until the first of it is.
func (s *socket) ready(id string, happen func(n int)) int {
	s.t.Helper()
	got := make(chan error, 1)
	go func() {
		m, err := s.read()
		if err == nil && (m.ID != id || m.Type != "next") {
			err = fmt.Errorf("%s %s: %s", m.Type, m.ID, m.Payload)
		}
		got <- err
	}()
	for n := 0; ; n++ {
		happen(n)
		select {
		case err := <-got:
			if err != nil {
				s.t.Fatal(err)
			}
			return n
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestSubscribe_ImagesAreToldAsTheyComeInAndOnlyThoseThatWereAskedFor(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		socket := admin.socket(t)
		socket.send("one", "subscribe", vars{"query": imageAdded, "variables": vars{"device": "0a5b%"}})
		last := socket.ready("one", func(n int) { admin.upload("REFUSE", snapshot(trap, n, 1)) })
		next := last + 1
		admin.upload("REFUSE", snapshot("1b74105a", 1, 1), snapshot(trap, next, 1), snapshot(trap, next, 1))
		var got added
		for { // those that came while the subscription began
			socket.data("one", &got)
			if got.ImageAdded.TakenAt == at(next) {
				break
			}
		}
		if got.ImageAdded.Device.Name != trap || len(got.ImageAdded.Md5) != 32 {
			t.Errorf("imageAdded: got %+v, want device %s and an MD5", got, trap)
		}
		socket.send("one", "complete", nil)
		socket.send("two", "subscribe", vars{"query": "{ server { name } }"})
		var name struct{ Server struct{ Name string } }
		if socket.data("two", &name); name.Server.Name != "Tagma" {
			t.Errorf("name of the server: got %+v, want Tagma", name)
		}
		if m := socket.next(); m.Type != "complete" || m.ID != "two" {
			t.Errorf("after a query comes %+v", m)
		}
		if socket.send("", "ping", nil); socket.next().Type != "pong" {
			t.Error("a ping is not answered")
		}
	})
}

func TestSubscribe_AnnotationsAreToldByEventsToo(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		admin.upload("REFUSE", snapshot(trap, 1, 1))
		var there struct{ Image struct{ Md5 string } }
		admin.must(&there, `query($d: String!, $t: DateTime!) { image(device: $d, takenAt: $t) { md5 } }`, vars{"d": trap, "t": at(1)})
		stream := admin.stream(t, `subscription { annotationAdded { algorithm { version } image { takenAt device { name } } objects { name } } }`)
		// Its answer's head comes before the subscription is in force.
		told := make(chan string, 1)
		go func() {
			_, data := stream.next()
			told <- data
		}()
		for n := 0; ; n++ {
			admin.put(true, addition(trap, 1, there.Image.Md5, fmt.Sprint(n), insect("moth", 10)))
			select {
			case data := <-told:
				want := `{"data":{"annotationAdded":{"algorithm":{"version":"`
				if !strings.HasPrefix(data, want) || !strings.Contains(data, `"objects":[{"name":"moth"}]`) || !strings.Contains(data, `"takenAt":"`+at(1)) {
					t.Errorf("annotationAdded: got %s, want an object moth at %s", data, at(1))
				}
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
}

func TestSubscribe_ASubmissionOfLabelsIsSeenOnItsWayIntoTheRepository(t *testing.T) {
	withRemote(t, func(t *testing.T, s *server, r *remote) {
		admin := s.admin()
		socket := admin.socket(t)
		socket.subscribe("labels", `subscription { labelSubmissionUpdated { filename status commitSha failure video { url } } }`)
		submit := func(n int) { admin.must(nil, submitLabels, vars{"input": labelling(n)}) }
		last := socket.ready("labels", submit) + 1
		// While the remote is down, no event can come too late to show that the
		// submission waits.
		r.Down()
		submit(last)
		for status := ""; status != "PUSHED"; {
			var got struct {
				LabelSubmissionUpdated struct {
					Filename, Status string
					CommitSha        *string
				}
			}
			socket.data("labels", &got)
			update := got.LabelSubmissionUpdated
			if !strings.Contains(update.Filename, fmt.Sprintf("_frame%d_", last)) {
				continue // an earlier submission
			}
			if status == "" {
				if update.Status != "QUEUED" && update.Status != "COMMITTED" {
					t.Fatalf("first event, the remote is down: got %+v, want QUEUED or COMMITTED", update)
				}
				r.up()
			}
			status = update.Status
			if status == "PUSHED" && (update.CommitSha == nil || len(*update.CommitSha) != 40) {
				t.Errorf("submission that is PUSHED: got %+v, want a commit", update)
			}
		}
	})
}

const submitLabels = `mutation($input: LabelSubmissionInput!, $wait: Duration! = "PT0S") {
  submitLabels(input: $input, wait: $wait) { outcome submission { id status filename revision commitSha failure } }
}`

// labelling is a submission of that frame.
func labelling(frame int) vars {
	var labels []vars
	for _, key := range []string{"left_front_paw", "right_front_paw", "left_hind_paw", "right_hind_paw", "nose", "tail_base"} {
		labels = append(labels, vars{"key": key, "name": key, "placed": true, "pixelX": 10 + frame%100, "pixelY": 20.5})
	}
	return vars{
		"videoUrl": "https://example.com/rat.mp4", "frameIndex": frame, "totalFrames": 100_000, "fps": 30,
		"frameWidth": 640, "frameHeight": 480, "timestamp": at(frame), "labels": labels,
	}
}

func TestSubscribe_ASocketIsClosedSoonAfterItsTokenIsRevoked(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		for name, revoke := range map[string]func(*client, string){
			"signed out": func(c *client, _ string) { c.must(nil, `mutation { logout { tokenId } }`, nil) },
			"disabled": func(_ *client, id string) {
				admin.must(nil, `mutation($id: ID!) { updateUser(id: $id, input: {disabled: true}) { user { id } } }`, vars{"id": id})
			},
			"another role": func(_ *client, id string) {
				admin.must(nil, `mutation($id: ID!) { updateUser(id: $id, input: {role: READER}) { user { id } } }`, vars{"id": id})
			},
		} {
			c := s.person(admin, strings.ReplaceAll(name, " ", "-"), "WRITER")
			var me struct{ Viewer struct{ ID string } }
			c.must(&me, `{ viewer { id } }`, nil)
			socket, events := c.socket(t), c.stream(t, `subscription { imageAdded { id } }`)
			socket.subscribe("images", `subscription { imageAdded { id } }`)
			began := time.Now()
			revoke(c, me.Viewer.ID)
			if code, reason := socket.closed(); code != 4403 || !strings.Contains(reason, "Forbidden") {
				t.Errorf("%s: closed with %d %s", name, code, reason)
			}
			if event, data := events.next(); event != "next" || !strings.Contains(data, "UNAUTHENTICATED") {
				t.Errorf("%s: got event %s with %s, want next with UNAUTHENTICATED", name, event, data)
			}
			if event, _ := events.next(); event != "complete" {
				t.Errorf("%s: got event %s, want complete", name, event)
			}
			t.Logf("%s: closed after %s", name, time.Since(began).Round(time.Millisecond))
		}
	})
}

func TestSubscribe_WhatIsAgainstTheProtocolClosesTheSocketWithItsCode(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--socket-init-timeout", "300ms", "--max-socket-operations", "2")
	admin := s.admin()
	subscribe := vars{"query": "subscription { imageAdded { id } }"}
	for name, c := range map[string]struct {
		do   func(*socket)
		code websocket.StatusCode
	}{
		"silence":              {func(*socket) {}, 4408},
		"subscribing before":   {func(s *socket) { s.send("a", "subscribe", subscribe) }, 4401},
		"no token":             {func(s *socket) { s.send("", "connection_init", nil) }, 4403},
		"a token that is none": {func(s *socket) { s.send("", "connection_init", vars{"Authorization": "Bearer nonsense"}) }, 4403},
		"no message":           {func(s *socket) { _ = s.Write(t.Context(), websocket.MessageText, []byte("{")) }, 4400},
		"bytes":                {func(s *socket) { _ = s.Write(t.Context(), websocket.MessageBinary, []byte("{}")) }, 4400},
		"another introduction": {func(s *socket) { in(s, admin); s.send("", "connection_init", nil) }, 4429},
		"an unknown type":      {func(s *socket) { in(s, admin); s.send("a", "start", subscribe) }, 4400},
		"no id":                {func(s *socket) { in(s, admin); s.send("", "subscribe", subscribe) }, 4400},
		"an id twice": {func(s *socket) {
			in(s, admin)
			s.send("a", "subscribe", subscribe)
			s.send("a", "subscribe", subscribe)
		}, 4409},
		"a payload without query": {func(s *socket) { in(s, admin); s.send("a", "subscribe", vars{}) }, 4400},
		"a large message":         {func(s *socket) { in(s, admin); s.send("a", "subscribe", vars{"query": strings.Repeat(" ", 3<<20)}) }, websocket.StatusMessageTooBig},
	} {
		socket, _, err := s.dial(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.do(socket)
		if code, reason := socket.closed(); code != c.code {
			t.Errorf("%s: closed with %d %s, not %d", name, code, reason, c.code)
		}
	}

	other, _, err := s.dial(t, &websocket.DialOptions{Subprotocols: []string{"graphql-ws"}})
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := other.closed(); code != 4406 {
		t.Errorf("another protocol: closed with %d", code)
	}
	foreign := http.Header{"Origin": {"https://evil.example"}}
	if _, response, err := s.dial(t, &websocket.DialOptions{HTTPHeader: foreign, Subprotocols: []string{"graphql-transport-ws"}}); err == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("a page elsewhere: %v", err)
	}

	full := admin.socket(t)
	for _, id := range []string{"a", "b", "c"} {
		full.send(id, "subscribe", subscribe)
	}
	if m := full.next(); m.Type != "error" || m.ID != "c" || !strings.Contains(string(m.Payload), "TOO_LARGE") {
		t.Errorf("one operation too many: %+v %s", m, m.Payload)
	}
	full.send("d", "subscribe", vars{"query": "{ nonsense }"})
	if m := full.next(); m.Type != "error" {
		t.Errorf("subscribe to a wrong query: got %+v, want error", m)
	}
}

func TestSubscribe_TheTokenHasSeveralNames(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--socket-init-timeout", "30s")
	token := s.admin().Token
	for name, payload := range map[string]vars{
		"Authorization":              {"Authorization": "Bearer " + token},
		"authorization":              {"authorization": "bearer " + token},
		"AUTHORIZATION":              {"AUTHORIZATION": "Bearer  " + token},
		"Authorization, bare":        {"Authorization": token},
		"headers.Authorization":      {"headers": vars{"Authorization": "Bearer " + token}},
		"headers.authorization":      {"headers": vars{"authorization": "Bearer " + token}},
		"authToken":                  {"authToken": token},
		"authToken with Bearer":      {"authToken": "Bearer " + token},
		"an empty one and authToken": {"Authorization": "", "authToken": token},
	} {
		socket, _, err := s.dial(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		socket.send("", "connection_init", payload)
		if got, err := socket.read(); err != nil || got.Type != "connection_ack" {
			t.Errorf("%s: got %+v, %v, want connection_ack", name, got, err)
		}
	}
	for name, payload := range map[string]vars{
		"nothing": {}, "another name": {"token": token}, "another scheme": {"Authorization": "Basic " + token}, "a number": {"authToken": 5},
		"the scheme alone": {"Authorization": "Bearer"}, "headers that are a list": {"headers": []string{token}},
	} {
		socket, _, err := s.dial(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		socket.send("", "connection_init", payload)
		code, reason := socket.closed()
		for _, looked := range []string{"Authorization", "authorization", "headers.Authorization", "authToken"} {
			if code != 4403 || !strings.Contains(reason, looked) {
				t.Errorf("%s: closed with %d %q, want 4403 and a reason that names %s", name, code, reason, looked)
			}
		}
	}
}

// in is connection_init with its acknowledgement.
func in(s *socket, c *client) {
	s.send("", "connection_init", vars{"authorization": "bearer " + c.Token})
	s.next()
}

func TestSubscribe_SocketsAreBoundedAndEndWithTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--max-streams", "2")
	admin := s.admin()
	socket, events := admin.socket(t), admin.stream(t, `subscription { imageAdded { id } }`)
	socket.subscribe("a", `subscription { imageAdded { id } }`)
	if _, response, err := s.dial(t, nil); err == nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a third: %v", err)
	}
	if got := admin.do(`subscription { imageAdded { id } }`, nil); got.code() != "BAD_USER_INPUT" {
		t.Errorf("a subscription by a plain POST: %s", got.Body)
	}
	began := time.Now()
	ended := make(chan websocket.StatusCode, 1)
	go func() {
		code, _ := socket.closed()
		ended <- code
	}()
	s.stop()
	if code := <-ended; code != websocket.StatusGoingAway {
		t.Errorf("closed with %d", code)
	}
	if event, data := events.next(); event != "next" || !strings.Contains(data, "UNAVAILABLE") {
		t.Errorf("event when the server ends: got %s with %s, want next with UNAVAILABLE", event, data)
	}
	t.Logf("the server ended within %s", time.Since(began).Round(time.Millisecond))
}

func TestSubscribe_OneServerTellsWhatAnotherTookInAlsoAfterItCouldNotHear(t *testing.T) {
	t.Parallel()
	database := testenv.Postgres(t)
	here := start(t, database)
	there := here.second()
	admin := here.admin()
	elsewhere := &client{t: t, s: there, Token: admin.Token}
	socket := admin.socket(t)
	socket.subscribe("images", imageAdded)
	last := socket.ready("images", func(n int) { elsewhere.upload("REFUSE", snapshot(trap, n, 1)) })

	db, err := sql.Open("postgres", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for round := range 3 {
		if _, err := db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()`); err != nil {
			t.Fatal(err)
		}
		n := last + 1 + round
		elsewhere.upload("REFUSE", snapshot(trap, n, 1))
		for got := (added{}); got.ImageAdded.TakenAt != at(n); {
			socket.data("images", &got)
		}
	}
}
