package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
)

// callers are the kinds of them, each with what is for it. SELF is not among
// them: that depends on the object.
var callers = []struct {
	kind  string
	takes []string
}{
	{"anonymous", []string{"ANYONE"}},
	{"device", []string{"ANYONE", "DEVICE"}},
	{"READER", []string{"ANYONE", "READER"}},
	{"WRITER", []string{"ANYONE", "READER", "WRITER"}},
	{"ADMIN", []string{"ANYONE", "READER", "WRITER", "ADMIN"}},
}

// audience reads from the schema whom a field is for: its own @access, its
// type's, or READER.
func audience(s step) []string {
	directive := s.field.Directives.ForName("access")
	if directive == nil {
		directive = s.on.Directives.ForName("access")
	}
	if directive == nil {
		return []string{"READER"}
	}
	var to []string
	for _, child := range directive.Arguments.ForName("to").Value.Children {
		to = append(to, child.Value.Raw)
	}
	return to
}

// lab is a server with something of everything on it.
type lab struct {
	*server
	schema  *ast.Schema
	clients map[string]*client // by kind
	ids     map[string]string  // of one object of each type, by type; of people by kind
	md5     string
	turn    atomic.Int64
}

const trap = "0a5bb6f4"

func newLab(t *testing.T, database string) *lab {
	s := start(t, database, "--trust-proxy")
	admin := s.admin()
	l := &lab{server: s, schema: contract(t), ids: map[string]string{}, clients: map[string]*client{
		"anonymous": s.anonymous(), "ADMIN": admin,
		"READER": s.person(admin, "reader", "READER"), "WRITER": s.person(admin, "writer", "WRITER"),
	}}
	s.person(admin, "spare", "READER")
	l.clients["device"] = l.trapToken("WRITER", trap)
	sent := admin.upload("REFUSE", snapshot(trap, 1, 1), snapshot(trap, 2, 2), snapshot("1b74105a", 1, 3))
	l.md5 = sent[0].Image.Md5
	var put struct {
		PutAnnotations struct {
			Results []struct{ Annotation struct{ ID string } }
		}
	}
	admin.must(&put, `mutation { `+l.annotate()+` { results { annotation { id } } } }`, nil)
	var submitted struct {
		SubmitLabels struct {
			Submission struct {
				ID              string
				Video, LabelSet struct{ ID string }
			}
		}
	}
	admin.must(&submitted, `mutation($input: LabelSubmissionInput!) { submitLabels(input: $input, wait: "PT20S") { submission { id video { id } labelSet { id } } } }`, vars{"input": labelling(1)})
	submission := submitted.SubmitLabels.Submission
	l.ids["LabelSubmission"], l.ids["Video"], l.ids["LabelSet"] = submission.ID, submission.Video.ID, submission.LabelSet.ID
	var people struct {
		Users struct {
			Nodes []struct {
				ID, Username, Role string
				Tokens             []struct{ ID string }
			}
		}
	}
	admin.must(&people, `{ users { nodes { id username role tokens { id } } } }`, nil)
	for _, p := range people.Users.Nodes {
		l.ids[p.Username] = p.ID
		l.ids["token of "+p.Username] = p.Tokens[0].ID
	}
	l.ids["Image"], l.ids["Device"] = sent[0].Image.ID, "Device:"+trap
	l.ids["Annotation"] = put.PutAnnotations.Results[0].Annotation.ID
	published, _ := admin.ship("a", model) // as the annotation's algorithm is called
	l.ids["Bundle"], l.ids["BundleVersion"] = "Bundle:1", published.Version.ID
	return l
}

func (l *lab) annotate() string {
	return fmt.Sprintf(`putAnnotations(input: [{image: {device: %q, takenAt: %q}, md5: %q, algorithm: {name: "a", version: "1"},
	  objects: [{name: "insect", contour: [[1, 1], [9, 1], [9, 9]]}]}])`, trap, at(1), l.md5)
}

// trapToken makes a token for a device as somebody.
func (l *lab) trapToken(kind, device string) *client {
	l.t.Helper()
	var made struct{ CreateAccessToken struct{ Token string } }
	l.clients[kind].must(&made, fmt.Sprintf(`mutation { createAccessToken(input: {name: "trap", device: %q}) { token } }`, device), nil)
	c := l.anonymous()
	c.Token = made.CreateAccessToken.Token
	return c
}

// arguments of a field that reach what the lab has, for a kind of caller.
// Accounts are somebody else's, unless that is the only way.
func (l *lab) arguments(kind string) func(coordinate, wanted string) string {
	key := fmt.Sprintf(`{device: %q, takenAt: %q}`, trap, at(1))
	series := `series: [{device: "%", start: "2020-01-01T00:00:00Z", end: "2021-01-01T00:00:00Z"}]`
	account, password := strings.ToLower(kind), "correct horse battery"
	if kind == "ADMIN" {
		password = l.Password
	} else if kind == "anonymous" || kind == "device" {
		account = "spare"
	}
	return func(coordinate, wanted string) string {
		id := l.ids[wanted]
		switch wanted {
		case "User":
			id = l.ids["spare"]
		case "AccessToken":
			id = l.ids["token of "+account]
		case "":
			id = l.ids["Image"]
		}
		switch coordinate {
		case "Query.node":
			return fmt.Sprintf("id: %q", id)
		case "Query.nodes":
			return fmt.Sprintf("ids: [%q]", id)
		case "Query.image":
			return strings.Trim(key, "{}")
		case "Query.images":
			return "keys: [" + key + "]"
		case "Query.annotations":
			return "images: [" + key + "]"
		case "Query.diffImages":
			return fmt.Sprintf(`images: [{device: %q, takenAt: %q, md5: %q}]`, trap, at(1), l.md5)
		case "Query.imageSeries", "Query.annotationSeries":
			return series
		case "Query.activity":
			return series + `, every: "P1D"`
		case "Mutation.login":
			return fmt.Sprintf(`username: %q, password: %q`, account, password)
		case "Mutation.deleteImages":
			return "images: [" + key + "], dryRun: true"
		case "Mutation.putAnnotations":
			return strings.TrimSuffix(strings.TrimPrefix(l.annotate(), "putAnnotations("), ")")
		case "Query.labelSet":
			return `name: "paws"`
		case "Query.video":
			return fmt.Sprintf("url: %q", labelling(1)["videoUrl"])
		case "Mutation.submitLabels":
			return "input: " + inline(labelling(1))
		case "Mutation.createLabelSet":
			return `input: {name: "ears", labels: [{key: "left", name: "Left"}]}`
		case "Query.bundle":
			return `name: "a"`
		case "Mutation.requestBundleUpload":
			return fmt.Sprintf(`name: "a", files: [{key: "data/%d", md5: %q, size: 1, modifiedAt: %q}]`, l.turn.Add(1), l.md5, at(1))
		case "Mutation.publishBundle":
			if kind == "WRITER" || kind == "ADMIN" { // each has uploads of their own
				return fmt.Sprintf("upload: %q", l.clients[kind].request("a", model.manifest()).UploadID)
			}
			return `upload: "BundleUpload:1"`
		case "Mutation.createUsers":
			return fmt.Sprintf(`input: [{username: "made-%d", password: "correct horse battery"}]`, l.turn.Add(1))
		case "Mutation.updateUser":
			return fmt.Sprintf(`id: %q, input: {}`, l.ids["spare"])
		case "Mutation.changePassword":
			return fmt.Sprintf(`current: %q, new: %q`, password, password)
		case "Mutation.createAccessToken":
			return `input: {name: "made"}`
		case "Mutation.revokeAccessToken":
			return `id: "AccessToken:999999"`
		}
		return ""
	}
}

// inline writes an input as GraphQL does: like JSON, but for the names.
func inline(v any) string {
	switch v := v.(type) {
	case vars:
		var fields []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			fields = append(fields, name+": "+inline(v[name]))
		}
		return "{" + strings.Join(fields, ", ") + "}"
	case []vars:
		var items []string
		for _, item := range v {
			items = append(items, inline(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

// kept is all rows but those by which the server notes how far it has read the
// label repository, which it does on its own.
func (l *lab) kept() []string {
	return slices.DeleteFunc(l.rows(), func(row string) bool { return strings.HasPrefix(row, "checkpoints ") })
}

// own says whether a person on the way is the caller.
func own(w way) bool {
	return slices.Contains([]string{"viewer", "login", "createAccessToken", "changePassword"}, w.root().field.Name) ||
		len(w) > 1 && w[1].on.Name == "AccessToken" // by its id: the lab gives everyone their own
}

// expected is the code with which a way is refused to a kind of caller, or
// empty if it is open.
func expected(w way, kind string, takes []string) string {
	refusal := "FORBIDDEN"
	if kind == "anonymous" {
		refusal = "UNAUTHENTICATED"
	}
	for _, s := range w {
		to := audience(s)
		open := slices.ContainsFunc(to, func(a string) bool { return slices.Contains(takes, a) })
		// Without a token only who is just signing in can be meant; a viewer is null.
		self := slices.Contains(to, "SELF") && kind != "device" && own(w)
		if !open && !self {
			return refusal
		}
	}
	return ""
}

// ask goes a way as a kind of caller.
func (l *lab) ask(w way, kind string) *answer {
	l.t.Helper()
	c := l.clients[kind]
	n := l.turn.Add(1)
	header := map[string]string{"X-Forwarded-For": fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255)}
	switch {
	case w.root().field.Name == "logout" && kind == "device":
		c = l.trapToken("WRITER", trap)
	case w.root().field.Name == "logout" && kind == "ADMIN":
		c = l.signIn("admin", l.Password)
	case w.root().field.Name == "logout" && kind != "anonymous":
		c = l.signIn(strings.ToLower(kind), "correct horse battery")
	case w.root().field.Name == "uploadImages":
		query := w.operation(l.schema, func(coordinate, _ string) string {
			if coordinate == "Mutation.uploadImages" {
				return "files: $files"
			}
			return ""
		})
		query = "mutation($files: [Upload!]!) " + strings.TrimPrefix(query, "mutation")
		return c.send(form(l.t, query, "REFUSE", snapshot(trap, 1, 1)))
	}
	return c.post(w.operation(l.schema, l.arguments(kind)), nil, header)
}

func TestAccess_EveryFieldOverEveryEdgeIsOpenToWhomTheContractNamesAndClosedToAllOthers(t *testing.T) {
	t.Parallel()
	l := newLab(t, "")
	all := ways(l.schema)
	before := l.kept()
	asked := 0
	for _, caller := range callers {
		for _, w := range all {
			want := expected(w, caller.kind, caller.takes)
			if want == "" {
				continue
			}
			asked++
			if got := l.ask(w, caller.kind); got.code() != want {
				t.Errorf("%s is answered to %s with %q, not %s: %s %v", w, caller.kind, got.code(), want, got.Data, got.Errors)
			}
		}
	}
	if after := l.kept(); !slices.Equal(before, after) {
		t.Errorf("refused operations have changed the database from\n%s\nto\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	refused := asked
	for _, caller := range callers {
		for _, w := range all {
			if expected(w, caller.kind, caller.takes) != "" {
				continue
			}
			asked++
			got := l.ask(w, caller.kind)
			if len(got.Errors) > 0 {
				t.Errorf("%s is refused to %s: %v\n%s", w, caller.kind, got.Errors, w.operation(l.schema, l.arguments(caller.kind)))
			}
		}
	}
	t.Logf("%d operations over %d ways, %d of them refused", asked, len(all), refused)
	if len(all) < 400 || refused < 900 {
		t.Error("there are fewer than there should be: does the search for ways still find all?")
	}
}

func TestAccess_WhatIsForOneselfIsDecidedByTheObject(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		reader := s.person(admin, "reader", "READER")
		writer := s.person(admin, "writer", "WRITER")
		writer.upload("REFUSE", snapshot(trap, 1, 1))
		var me struct {
			Viewer struct {
				ID     string
				Tokens []struct{ ID string }
			}
		}
		writer.must(&me, `{ viewer { id email role createdAt disabled tokens { id name kind role device createdAt expiresAt lastUsedAt } } }`, nil)
		if len(me.Viewer.Tokens) != 1 {
			t.Errorf("the writer sees %d tokens of their own, not 1", len(me.Viewer.Tokens))
		}
		for _, field := range []string{"email", "role", "createdAt", "disabled", "tokens { id }"} {
			theirs := []string{
				`{ image(device: "` + trap + `", takenAt: "` + at(1) + `") { uploadedBy { username ` + field + ` } } }`,
				`{ node(id: "` + me.Viewer.ID + `") { ... on User { username ` + field + ` } } }`,
			}
			for _, query := range theirs {
				if got := reader.do(query, nil); got.code() != "FORBIDDEN" || strings.Contains(string(got.Body), `"AccessToken:`) {
					t.Errorf("%s is answered to a reader with %s", query, got.Body)
				}
				writer.must(nil, query, nil)
				admin.must(nil, query, nil)
			}
		}
		token := `{ node(id: "` + me.Viewer.Tokens[0].ID + `") { id ... on AccessToken { name } } nodes(ids: ["` + me.Viewer.Tokens[0].ID + `"]) { id } }`
		for c, want := range map[*client]bool{reader: false, writer: true, admin: true} {
			var got struct {
				Node  *struct{ ID string }
				Nodes []*struct{ ID string }
			}
			c.must(&got, token, nil)
			if (got.Node != nil) != want || (got.Nodes[0] != nil) != want {
				t.Errorf("%s: %+v, want it seen: %v", token, got, want)
			}
		}
		var gone struct{ RevokeAccessToken struct{ TokenID *string } }
		reader.must(&gone, `mutation { revokeAccessToken(id: "`+me.Viewer.Tokens[0].ID+`") { tokenId } }`, nil)
		if gone.RevokeAccessToken.TokenID != nil {
			t.Error("a reader has ended another's session")
		}
		for _, id := range []string{"Secret:1", "Secret:links", "users:1", "Session:1", "User:-1", "Node:1", "Query:1"} {
			var none struct{ Node any }
			if admin.must(&none, `query($id: ID!) { node(id: $id) { id } }`, vars{"id": id}); none.Node != nil {
				t.Errorf("node(%q) is %v", id, none.Node)
			}
		}
	})
}

func TestAccess_ATrapsTokenAddsImagesOfItsOwnDeviceAndDoesNothingElse(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		writer := s.person(admin, "writer", "WRITER")
		l := &lab{server: s, clients: map[string]*client{"WRITER": writer}}
		device := l.trapToken("WRITER", trap)
		theirs := writer.upload("REFUSE", snapshot("1b74105a", 1, 1), snapshot(trap, 9, 1))
		before := s.rows()

		// A hundred uploads and a hundred questions about other devices.
		var files []file
		var prints []vars
		for n := range 100 {
			other := fmt.Sprintf("%08x", 0x0a5bb6f5+n)
			if n%10 == 0 {
				other = "1b74105a"
			}
			files = append(files, snapshot(other, n, 7))
			prints = append(prints, vars{"device": other, "takenAt": at(n), "md5": theirs[0].Image.Md5})
		}
		const upload = `mutation($files: [Upload!]!, $onConflict: ConflictPolicy! = REFUSE) { uploadImages(files: $files, onConflict: $onConflict) {
		  results { filename verdict problem { code path message } } } }`
		var results struct{ UploadImages struct{ Results []uploaded } }
		got := device.send(form(t, upload, "REFUSE", files...))
		if err := json.Unmarshal(got.Data, &results); err != nil || len(results.UploadImages.Results) != len(files) {
			t.Fatalf("upload with a trap's token: got %v and %d results, want %d: %s", err, len(results.UploadImages.Results), len(files), got.Body)
		}
		for _, r := range results.UploadImages.Results {
			if r.Verdict != "REJECTED" || r.Problem == nil || r.Problem.Code != "FORBIDDEN" {
				t.Errorf("a trap's upload for another device: %+v", r)
			}
		}
		for _, p := range prints {
			if got := device.do(`query($p: [ImageFingerprint!]!) { diffImages(images: $p) { verdict } }`, vars{"p": []vars{p}}); got.code() != "FORBIDDEN" {
				t.Errorf("a trap asks about %v, and is answered %s", p, got.Body)
			}
		}
		if got := device.send(form(t, upload, "REPLACE", snapshot(trap, 9, 2))); got.code() != "FORBIDDEN" {
			t.Errorf("a trap replaces, and is answered %s", got.Body)
		}
		if after := s.rows(); !slices.Equal(before, after) {
			t.Errorf("after a trap's refused calls: got rows\n%s\nwant\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
		}

		// What it may do.
		got = device.send(form(t, upload, "REFUSE", snapshot(trap, 1, 1), snapshot(trap, 9, 1), snapshot(trap, 9, 2)))
		results.UploadImages.Results = nil
		if err := json.Unmarshal(got.Data, &results); err != nil {
			t.Fatalf("upload with a trap's token: got %v, want results: %s", err, got.Body)
		}
		for n, want := range []string{"CREATED", "UNCHANGED", "CONFLICT"} {
			if r := results.UploadImages.Results[n]; r.Verdict != want {
				t.Errorf("file %d: %+v, not %s", n, r, want)
			}
		}
		device.must(nil, `query($p: [ImageFingerprint!]!) { diffImages(images: $p) { verdict device takenAt } viewer { __typename } server { name } }`,
			vars{"p": []vars{{"device": strings.ToUpper(trap), "takenAt": at(1), "md5": theirs[0].Image.Md5}}})
		device.must(nil, `mutation { logout { tokenId } }`, nil)
		if got := device.do(`{ server { name } }`, nil); got.Status != http.StatusUnauthorized || got.code() != "UNAUTHENTICATED" {
			t.Errorf("a revoked token is answered %d %s", got.Status, got.Body)
		}
	})
}

func TestAccess_NobodyRaisesARole(t *testing.T) {
	t.Parallel()
	l := newLab(t, "")
	roles := map[string]int{"READER": 1, "WRITER": 2, "ADMIN": 3}
	role := func(c *client) string {
		var me struct{ Viewer *struct{ Role string } }
		c.must(&me, `{ viewer { role } }`, nil)
		if me.Viewer == nil {
			return ""
		}
		return me.Viewer.Role
	}
	// Every field of every input of an account, by everyone, for oneself.
	for _, kind := range []string{"anonymous", "device", "READER", "WRITER"} {
		c := l.clients[kind]
		before := l.rows()
		id := l.ids["spare"]
		if roles[kind] > 0 {
			id = l.ids[strings.ToLower(kind)]
		}
		for field, value := range map[string]any{"role": "ADMIN", "disabled": false, "email": "me@example.org", "password": "another password"} {
			if got := c.do(`mutation($id: ID!, $i: UpdateUserInput!) { updateUser(id: $id, input: $i) { user { id } } }`, vars{"id": id, "i": vars{field: value}}); got.Data != nil {
				t.Errorf("%s sets %s: %s", kind, field, got.Body)
			}
		}
		for _, wanted := range []string{"READER", "WRITER", "ADMIN"} {
			if got := c.do(`mutation($i: [CreateUserInput!]!) { createUsers(input: $i) { users { id } } }`,
				vars{"i": []vars{{"username": "mine", "password": "correct horse battery", "role": wanted}}}); got.Data != nil {
				t.Errorf("%s makes an account of %s: %s", kind, wanted, got.Body)
			}
			if roles[wanted] > roles[kind] {
				if got := c.do(`mutation($i: AccessTokenInput!) { createAccessToken(input: $i) { token } }`,
					vars{"i": vars{"name": "x", "role": wanted}}); strings.Contains(string(got.Data), "secret") || got.code() == "" {
					t.Errorf("%s makes a token of %s: %s", kind, wanted, got.Body)
				}
			}
		}
		if kind != "WRITER" {
			got := c.do(`mutation { createAccessToken(input: {name: "x", device: "0a5bb6f4"}) { token } }`, nil)
			if strings.Contains(string(got.Data), "secret") || got.code() == "" {
				t.Errorf("%s makes a trap's token: %s", kind, got.Body)
			}
		}
		if after := l.rows(); !slices.Equal(before, after) {
			t.Errorf("%s has changed something", kind)
		}
		if roles[kind] > 0 && role(c) != kind {
			t.Errorf("%s has become %s", kind, role(c))
		}
	}
	// Fields that the inputs do not have are refused, not passed over.
	for _, query := range []string{
		`mutation { login(username: "reader", password: "correct horse battery", role: ADMIN) { token } }`,
		`mutation { createAccessToken(input: {name: "x", userId: "User:1"}) { token } }`,
		`mutation { createAccessToken(input: {name: "x", kind: SESSION}) { token } }`,
		`mutation { changePassword(current: "correct horse battery", new: "correct horse battery 2", id: "User:1") { user { id } } }`,
	} {
		if got := l.clients["READER"].do(query, nil); got.code() != "BAD_USER_INPUT" {
			t.Errorf("%s is answered %s", query, got.Body)
		}
	}
	// A lesser token does not bring its owner's role back.
	var made struct{ CreateAccessToken struct{ Token string } }
	l.clients["ADMIN"].must(&made, `mutation { createAccessToken(input: {name: "less", role: READER}) { token } }`, nil)
	less := l.anonymous()
	less.Token = made.CreateAccessToken.Token
	for _, query := range []string{
		`mutation { createAccessToken(input: {name: "more", role: ADMIN}) { token } }`,
		`mutation { createAccessToken(input: {name: "more", device: "0a5bb6f4"}) { token } }`,
		`{ users { totalCount } }`,
		`mutation { deleteImages(images: []) { images } }`,
	} {
		if got := less.do(query, nil); got.code() != "FORBIDDEN" {
			t.Errorf("a READER's token of an admin: %s is answered %s", query, got.Body)
		}
	}
}

func TestAccess_CrossSiteSimpleRequestsChangeNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	before := s.rows()
	mutation := `mutation { login(username: "admin", password: "` + s.Password + `") { token } }`
	asJSON := `{"query": ` + fmt.Sprintf("%q", mutation) + `}`
	multipart := "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n" + asJSON +
		"\r\n--b\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{}\r\n--b--\r\n"
	tried := 0
	for contentType, body := range map[string]string{
		"text/plain":                          asJSON,
		"text/plain;charset=UTF-8":            asJSON,
		"application/x-www-form-urlencoded":   "query=" + mutation,
		"multipart/form-data; boundary=b":     multipart,
		"Multipart/Form-Data;boundary=\"b\"":  multipart,
		"":                                    asJSON,
		"text/plain, application/json":        asJSON,
		"application/jsonp":                   asJSON,
		"text/plain; a=application/json":      asJSON,
		"application/graphql":                 mutation,
		"multipart/form-data; boundary=b; x=": multipart,
	} {
		// Basic credentials are what a browser would send along by itself.
		for _, authorization := range []string{"", "Basic YWRtaW46YWRtaW4="} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/graphql", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Origin", "https://elsewhere.example")
			request.Header["Content-Type"] = []string{contentType}
			if authorization != "" {
				request.Header.Set("Authorization", authorization)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, response)
			tried++
			if got.Status < 400 || got.Data != nil {
				t.Errorf("%q with %q is answered %d %s", contentType, authorization, got.Status, got.Data)
			}
			if allowed := got.Header.Get("Access-Control-Allow-Origin"); allowed != "" {
				t.Errorf("another site may read the answer: %s", allowed)
			}
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodOptions, http.MethodDelete} {
		request, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/graphql?query="+strings.ReplaceAll(mutation, " ", "+"), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		tried++
		if response.StatusCode == http.StatusOK {
			t.Errorf("%s of a mutation is answered %d", method, response.StatusCode)
		}
	}
	if after := s.rows(); !slices.Equal(before, after) {
		t.Errorf("one of %d requests from another site has changed something", tried)
	}
	admin.must(nil, `{ viewer { id } }`, nil)
}
