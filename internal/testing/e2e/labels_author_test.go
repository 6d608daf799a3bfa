package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

const annasAddress = "anna@secret.example"

// authored is what a caller sees of a submission's author.
type authored struct {
	Author      string
	AuthorEmail *string
	SubmittedBy struct{ Email *string }
}

func TestLabels_TheAuthorsAddressIsForThemAndAdminsAndTheNameForAll(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		anna := s.person(admin, "anna", "WRITER")
		callers := map[string]*client{"the author": anna, "an admin": admin, "a reader": s.person(admin, "rita", "READER"), "a writer": s.person(admin, "willi", "WRITER")}
		admin.must(nil, `mutation($id: ID!) { updateUser(id: $id, input: {email: "`+annasAddress+`"}) { user { id } } }`, vars{"id": idOf(t, anna)})
		sockets := map[string]*socket{}
		const fields = `author authorEmail submittedBy { email }`
		for who, c := range callers {
			sockets[who] = c.socket(t)
			sockets[who].subscribe("s", `subscription { labelSubmissionUpdated { `+fields+` } }`)
			sockets[who].send("q", "subscribe", map[string]any{"query": "{ server { name } }"}) // after which the subscription is in force
			for kind := ""; kind != "complete"; {
				kind = sockets[who].next().Type
			}
		}
		anna.submit(submission(1, 1), 0)
		for who, c := range callers {
			open := who == "the author" || who == "an admin"
			for _, query := range []string{
				`{ labelSubmissions { nodes { ` + fields + ` } } }`,
				`{ node(id: "LabelSubmission:1") { ... on LabelSubmission { ` + fields + ` } } }`,
				`{ videos { nodes { submissions(first: 1) { nodes { ` + fields + ` } } } } }`,
			} {
				sees(t, who+": "+query, open, c.do(query, nil).Body)
			}
			got := sockets[who].next()
			sees(t, who+": a subscription", open, got.Payload)
		}
		// The name alone is for all who may read the submission.
		var all struct{ LabelSubmissions connectionOf[authored] }
		callers["a reader"].must(&all, `{ labelSubmissions { nodes { author } } }`, nil)
		if got := all.LabelSubmissions.Nodes[0].Author; got != "anna" {
			t.Errorf("the author is %q to a reader, want anna", got)
		}
		// Who has no address has none here either.
		callers["a writer"].submit(submission(2, 1), 0)
		callers["a writer"].must(&all, `{ labelSubmissions(last: 1) { nodes { author authorEmail } } }`, nil)
		if got := all.LabelSubmissions.Nodes[0]; got.Author != "willi" || got.AuthorEmail != nil {
			t.Errorf("the submission of somebody without an address is by %+v", got)
		}
	})
}

// sees fails the test unless an answer shows the author's name, and the address
// in both places if it is open and in neither if it is not.
func sees(t *testing.T, what string, open bool, answer []byte) {
	t.Helper()
	text := string(answer)
	wanted := 0
	if open {
		wanted = 2
	}
	if got := strings.Count(text, annasAddress); got != wanted || !strings.Contains(text, `"author":"anna"`) {
		t.Errorf("%s shows the address %d times, want %d: %s", what, got, wanted, text)
	}
	var refused struct{ Errors []failure }
	if err := json.Unmarshal(answer, &refused); err != nil || !open && len(refused.Errors) != 2 {
		t.Errorf("%s is answered with %d errors, want one for each address: %s", what, len(refused.Errors), text)
	}
}

func idOf(t *testing.T, c *client) string {
	t.Helper()
	var me struct{ Viewer struct{ ID string } }
	c.must(&me, `{ viewer { id } }`, nil)
	return me.Viewer.ID
}
