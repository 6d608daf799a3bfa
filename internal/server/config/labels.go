package config

import (
	"errors"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/crypto/ssh"

	"tagma/internal/domain/labelrepo"
	"tagma/internal/domain/labels"
)

// Labels holds the settings of the label repository.
type Labels struct {
	Repo       string
	Branch     string
	Committer  string
	Layout     string
	Username   string
	Token      string // from the environment only, because a list of processes shows flags
	TokenFile  string
	SSHKey     string
	KnownHosts string
	SigningKey string
	Timeout    time.Duration // of one exchange with the remote
}

// TokenVariable is the environment variable for the token itself, as an alternative to a
// file with the token.
const TokenVariable = "TAGMA_LABELS_TOKEN"

func (l *Labels) flags(flags *pflag.FlagSet) {
	flags.StringVar(&l.Repo, "labels-repo", l.Repo, "git repository of the labels: https://…, ssh://…, git@host:path or a folder, without a user name or password (default a bare repository in DATA/labels.git)")
	flags.StringVar(&l.Branch, "labels-branch", l.Branch, "its branch")
	flags.StringVar(&l.Committer, "labels-committer", l.Committer, "who commits, as git writes it; the author is who submitted")
	flags.StringVar(&l.Layout, "labels-layout", l.Layout, "how its files lie: fanout (annotations/3f/…) or flat, as the annotation receiver had them")
	flags.StringVar(&l.Username, "labels-username", l.Username, "user name for https; most hosts take any beside a token")
	flags.StringVar(&l.TokenFile, "labels-token-file", l.TokenFile, "file with the token or password for https; or "+TokenVariable+" holds the token itself (default none)")
	flags.StringVar(&l.SSHKey, "labels-ssh-key", l.SSHKey, "file with the private key for ssh (default what the user's SSH agent has)")
	flags.StringVar(&l.KnownHosts, "labels-known-hosts", l.KnownHosts, "file that knows the host's key, for ssh (default ~/.ssh/known_hosts)")
	flags.StringVar(&l.SigningKey, "labels-signing-key", l.SigningKey, "file with a private SSH key that signs each commit (default none does)")
	flags.DurationVar(&l.Timeout, "labels-timeout", l.Timeout, "longest time of one exchange with the repository")
}

// check returns the errors of the settings.
func (l *Labels) check() []error {
	var problems []error
	add := func(flag, problem string) { problems = append(problems, fmt.Errorf("--%s: %s", flag, problem)) }
	if l.Repo != "" {
		switch err := labelrepo.ValidateRemote(l.Repo); {
		case errors.Is(err, labelrepo.ErrSecretInAddress):
			add("labels-repo", err.Error()+": give those by --labels-username and --labels-token-file")
		case err != nil:
			add("labels-repo", err.Error())
		}
	}
	if err := labelrepo.ValidateBranch(l.Branch); err != nil {
		add("labels-branch", err.Error())
	}
	if committer, err := mail.ParseAddress(l.Committer); err != nil || committer.Name == "" {
		add("labels-committer", "give it as Name <address>")
	}
	if l.Username == "" || strings.Contains(l.Username, ":") {
		add("labels-username", "give a name without a colon")
	}
	if l.Timeout <= 0 {
		add("labels-timeout", "give a length of time such as 1m")
	}
	if l.Layout != string(labels.FanOut) && l.Layout != string(labels.Flat) {
		add("labels-layout", "give fanout or flat")
	}
	if l.Token != "" && l.TokenFile != "" {
		add("labels-token-file", "give it or "+TokenVariable+", not both")
	}
	return problems
}

// LabelRepo returns the address and the credentials of the label repository. LabelRepo
// reads the files named by the settings, and returns all errors together.
func (c *Config) LabelRepo() (labelrepo.Config, error) {
	l := c.Labels
	committer, err := mail.ParseAddress(l.Committer)
	if err != nil {
		return labelrepo.Config{}, err
	}
	repo := labelrepo.Config{
		Dir: filepath.Join(c.Data, "labels.git"), Branch: l.Branch,
		Committer:   labelrepo.Identity{Name: committer.Name, Email: committer.Address},
		Credentials: labelrepo.Credentials{Username: l.Username, Token: l.Token, KnownHosts: l.KnownHosts},
		Timeout:     l.Timeout,
	}
	if l.Repo != "" {
		repo.Dir, repo.Remote = filepath.Join(c.Data, "labels-cache.git"), l.Repo
	}
	var problems []error
	read := func(flag, name string) []byte {
		if name == "" {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			problems = append(problems, fmt.Errorf("--%s: %w", flag, err))
		}
		return content
	}
	if token := read("labels-token-file", l.TokenFile); token != nil {
		if repo.Credentials.Token = strings.TrimSpace(string(token)); repo.Credentials.Token == "" {
			problems = append(problems, errors.New("--labels-token-file: the file is empty"))
		}
	}
	read("labels-known-hosts", l.KnownHosts)
	repo.Credentials.SSHKey = read("labels-ssh-key", l.SSHKey)
	if key := read("labels-signing-key", l.SigningKey); key != nil {
		if repo.Signer, err = ssh.ParsePrivateKey(key); err != nil {
			problems = append(problems, errors.New("--labels-signing-key: the file holds no private SSH key without a passphrase"))
		}
	}
	if len(problems) == 0 {
		problems = append(problems, repo.ValidateAccess())
	}
	return repo, errors.Join(problems...)
}
