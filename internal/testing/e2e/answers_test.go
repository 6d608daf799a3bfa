package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// applied reports whether the one error of an answer is TOO_LARGE and says that
// the request has taken effect.
func applied(t *testing.T, got *answer) bool {
	t.Helper()
	var one struct {
		Errors []struct{ Extensions struct{ Applied bool } }
	}
	if err := json.Unmarshal(got.Body, &one); err != nil {
		t.Fatal(err)
	}
	if len(got.Errors) != 1 || got.code() != "TOO_LARGE" || string(got.Data) != "null" {
		t.Errorf("answered %.600s, want null and one error TOO_LARGE", got.Body)
		return false
	}
	return one.Errors[0].Extensions.Applied
}

func TestCost_AMutationWhosePayloadIsTooLargeSaysThatItTookEffectAndSaysItAgain(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		addDevices(t, db, trap)
		addRows(t, db, row(db, trap, 0))
		var input, people []vars
		for n := range 12 {
			input = append(input, addition(trap, 0, hexOf(trap+".0"), fmt.Sprint(n), insect("moth", 1)))
			people = append(people, vars{"username": fmt.Sprint("person", n), "password": "correct horse battery", "role": "READER"})
		}
		const create = `mutation($input: [CreateUserInput!]!) { createUsers(input: $input) { users { id } } }`
		for _, c := range []struct {
			name, query string
			variables   vars
			count       func() (int, error)
		}{
			{"what is repeatable", putAnnotations, vars{"input": input}, func() (int, error) { return db.Annotation.Query().Count(t.Context()) }},
			{"what is not", create, vars{"input": people}, func() (int, error) {
				n, err := db.User.Query().Count(t.Context())
				return n - 1, err // without the admin
			}},
		} {
			first := admin.keyed("key-"+strings.ReplaceAll(c.name, " ", "-"), c.query, c.variables)
			if !applied(t, first) {
				t.Errorf("%s: the answer does not say that it was applied: %s", c.name, first.Body)
			}
			again := admin.keyed("key-"+strings.ReplaceAll(c.name, " ", "-"), c.query, c.variables)
			if !bytes.Equal(first.Body, again.Body) || again.Header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("%s: sent again it is answered %s, want %s", c.name, again.Body, first.Body)
			}
			if n, err := c.count(); n != 12 || err != nil {
				t.Errorf("%s: there are %d, want 12: %v", c.name, n, err)
			}
		}
		// A query changes nothing.
		got := admin.do(`query($series: [SeriesInput!]!) { imageSeries(series: $series) { nodes { annotations { algorithm { bundleVersion { id } } } } } }`, vars{"series": []vars{whole("%")}})
		if applied(t, got) {
			t.Errorf("a query is said to be applied: %s", got.Body)
		}
	}, "--max-resolved-objects", "10")
}

func TestCost_AnEventThatIsTooLargeIsOneErrorAndTheSubscriptionGoesOn(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		db := s.tables()
		addDevices(t, db, trap)
		addRows(t, db, row(db, trap, 900))
		// The trap has ten images in the end.
		const query = `subscription { imageAdded { takenAt device { images(first: 100) { nodes { id md5 sha256 } } } } }`
		socket := admin.socket(t)
		socket.send("one", "subscribe", vars{"query": query})
		told := func(m frame) (code string) {
			var got struct {
				Data   json.RawMessage
				Errors []failure
			}
			if err := json.Unmarshal(m.Payload, &got); err != nil || m.Type != "next" {
				t.Fatalf("event: got type %s with %s (%v), want next with JSON", m.Type, m.Payload, err)
			}
			if len(got.Errors) == 0 {
				return ""
			}
			if len(got.Errors) != 1 || string(got.Data) != "null" {
				t.Errorf("an event is %.600s, want one error and null", m.Payload)
			}
			return got.Errors[0].Extensions.Code
		}
		socket.ready("one", func(n int) { admin.upload("REFUSE", snapshot(trap, n, 1)) })
		for n := 100; ; n++ {
			admin.upload("REFUSE", snapshot(trap, n, 1))
			if told(socket.next()) == "TOO_LARGE" {
				break
			}
		}
		for n := 200; n < 203; n++ {
			admin.upload("REFUSE", snapshot(trap, n, 1))
			if code := told(socket.next()); code != "TOO_LARGE" {
				t.Errorf("the next event has the code %q, want TOO_LARGE", code)
			}
		}
		if _, err := db.Image.Delete().Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		for n := 300; ; n++ {
			admin.upload("REFUSE", snapshot(trap, n, 1))
			if told(socket.next()) == "" {
				break
			}
		}
	}, "--max-resolved-objects", "20")
}
