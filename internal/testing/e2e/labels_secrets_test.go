package e2e

import (
	"encoding/base64"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
)

// everywhere is all that a server wrote to its folder, with what its
// repositories hold unpacked.
func (s *server) everywhere(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(s.Data, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir() && !strings.HasSuffix(path, ".git"):
			return err
		case d.IsDir():
			all.WriteString(gittest.Git(t, path, "log", "--all", "--patch", "--format=raw"))
			return nil
		}
		content, err := os.ReadFile(path)
		all.WriteString(path)
		all.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestLabels_NoSecretIsInAnyLogAnswerErrorDatabaseOrFile(t *testing.T) {
	const phrase = "correct horse canary staple" // which the host does not take
	for name, kind := range map[string]struct {
		secret string
		give   func(t *testing.T) (args, env []string)
	}{
		"a token in a file": {githost.Token, func(t *testing.T) ([]string, []string) {
			return []string{"--labels-token-file", secretFile(t, githost.Token)}, nil
		}},
		"a wrong passphrase in the environment": {phrase, func(*testing.T) ([]string, []string) {
			return nil, []string{"TAGMA_LABELS_TOKEN=" + phrase}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, bare *server) {
				bare.stop()
				r := newRemote(t)
				args, env := kind.give(t)
				s := startAs(t, &server{Data: bare.Data, Database: bare.Database, Password: bare.Password, env: env, args: append(args,
					"--labels-repo", r.Address(), "--labels-username", githost.User, "--labels-timeout", "5s", "--log-level", "debug")})
				admin := s.admin()
				var told strings.Builder
				tell := func(frame int) {
					got := admin.do(submitMutation, vars{"input": submission(frame, 1), "wait": "PT2S"})
					told.Write(got.Body)
				}
				tell(1)
				r.SetFault(githost.Status(500))
				tell(2)
				told.WriteString(admin.known(30 * time.Second))
				r.SetFault(githost.Status(403))
				tell(3)
				r.SetFault(nil)
				r.hook("echo \"$HTTP_AUTHORIZATION " + kind.secret + "\" >&2; exit 1\n")
				if kind.secret == githost.Token {
					until(t, "one is rejected", time.Minute, func() bool { return admin.count("FAILED") > 0 })
				}
				for _, one := range admin.submissions("") {
					if one.Failure != nil {
						told.WriteString(*one.Failure)
					}
				}
				verified, _ := s.labels(t, "verify") // finds the folder taken
				_, metrics := s.get("/metrics")
				rows := strings.Join(s.rows(), "\n")
				s.stop()
				again, _ := s.labels(t, "verify")
				if !strings.Contains(rows, "frame2_") || !strings.Contains(told.String(), "the label repository") || s.logs.String() == "" {
					t.Error("what was to be looked at is not there")
				}
				for where, text := range map[string]string{
					"the log": s.logs.String(), "an answer": told.String(), "the database": rows, "the metrics": string(metrics),
					"what a command says": verified + again, "the folder": s.everywhere(t),
				} {
					for form, secret := range map[string]string{
						"as it is": kind.secret, "for a URL": url.QueryEscape(kind.secret), "for a path": url.PathEscape(kind.secret),
						"as Basic": base64.StdEncoding.EncodeToString([]byte(githost.User + ":" + kind.secret)), "in part": "canary",
					} {
						if at := strings.Index(text, secret); at >= 0 {
							t.Errorf("the secret %s is in %s: %.300s", form, where, text[max(0, at-100):])
						}
					}
				}
			})
		})
	}
}
