package config

import (
	"crypto/ed25519"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// written is a file with that content.
func written(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// key is a private SSH key as a file holds it.
func key(t *testing.T, passphrase string) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func TestLabels_AnAddressWithASecretIsRefusedAndNotRepeated(t *testing.T) {
	for address, ok := range map[string]bool{
		"": true, "/srv/labels.git": true, "labels.git": true, "./a:b": true, "a/user@host:path": true,
		"https://git.example.org/labels.git":             true,
		"ssh://git@git.example.org/labels.git":           true,
		"git@git.example.org:lab/labels.git":             true,
		"http://127.0.0.1:3000/labels.git":               true,
		"https://ana:canary@git.example.org/l.git":       false,
		"https://canary@git.example.org/l.git":           false,
		"https://ana:canary%zz@git.example.org/l.git":    false,
		"https://git.example.org/l.git?token=canary":     false,
		"https://git.example.org/l.git#canary":           false,
		"ssh://git:canary@git.example.org/l.git":         false,
		"git:canary@git.example.org:l.git":               false,
		"http://git.example.org/canary.git":              false, // would show the token to the network
		"git.example.org:canary.git":                     false,
		"@git.example.org:canary.git":                    false,
		"ftp://git.example.org/canary.git":               false,
		"https:///canary.git":                            false,
		"https://git.example.org:port-canary/labels.git": false,
	} {
		c := Default()
		c.Labels.Repo = address
		err := c.Check()
		switch {
		case ok && err != nil:
			t.Errorf("%s is refused: %v", address, err)
		case !ok && (err == nil || !strings.Contains(err.Error(), "--labels-repo: ") || strings.Contains(err.Error(), "canary")):
			t.Errorf("%s is answered %v", address, err)
		}
	}
}

func TestLabels_EverySettingThatCannotBeMeantIsNamed(t *testing.T) {
	bad := map[string]func(*Labels){
		"labels-branch":     func(l *Labels) { l.Branch = "a branch" },
		"labels-committer":  func(l *Labels) { l.Committer = "tagma@example.org" },
		"labels-layout":     func(l *Labels) { l.Layout = "deep" },
		"labels-username":   func(l *Labels) { l.Username = "a:b" },
		"labels-timeout":    func(l *Labels) { l.Timeout = 0 },
		"labels-token-file": func(l *Labels) { l.Token, l.TokenFile = "canary", "there" },
	}
	all := Default()
	for flag, spoil := range bad {
		c := Default()
		spoil(&c.Labels)
		spoil(&all.Labels)
		if err := c.Check(); err == nil || !strings.HasPrefix(err.Error(), "--"+flag+": ") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s is answered %v", flag, err)
		}
	}
	err := all.Check()
	for flag := range bad {
		if err == nil || !strings.Contains(err.Error(), "--"+flag+": ") {
			t.Errorf("%s is not among %v", flag, err)
		}
	}
	c := Default()
	c.Database, c.Connections = "postgres://localhost/x", 1
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "--database-connections is 1") {
		t.Errorf("one connection for all, of which the leader keeps two: %v", err)
	}
}

func TestLabelRepo_WithoutAnAddressItIsInTheData(t *testing.T) {
	c := Default()
	c.Data = "there"
	c.Labels.Committer = `"Lab, the" <lab@example.org>`
	repo, err := c.LabelRepo()
	if err != nil || repo.Dir != filepath.Join("there", "labels.git") || repo.Remote != "" || repo.Branch != "main" || repo.Committer.Name != "Lab, the" || repo.Committer.Email != "lab@example.org" {
		t.Errorf("LabelRepo: got %+v, %v, want main in there/labels.git without a remote", repo, err)
	}
	c.Labels.Repo = "https://git.example.org/labels.git"
	if repo, err = c.LabelRepo(); err != nil || repo.Dir != filepath.Join("there", "labels-cache.git") || repo.Remote != c.Labels.Repo {
		t.Errorf("LabelRepo: got %+v, %v, want there/labels-cache.git with remote %s", repo, err, c.Labels.Repo)
	}
}

func TestLabelRepo_ReadsTheFilesAndSaysWhichItCannot(t *testing.T) {
	c := Default()
	c.Labels.Repo = "ssh://git@git.example.org/labels.git"
	c.Labels.TokenFile = written(t, " secret \n")
	c.Labels.SSHKey = written(t, key(t, ""))
	c.Labels.SigningKey = written(t, key(t, ""))
	c.Labels.KnownHosts = written(t, "")
	repo, err := c.LabelRepo()
	if err != nil || repo.Credentials.Token != "secret" || repo.Credentials.Username != "git" || len(repo.Credentials.SSHKey) == 0 || repo.Signer == nil || repo.Credentials.KnownHosts != c.Labels.KnownHosts {
		t.Errorf("LabelRepo: got %+v, %v, want the token, the key, the signer and the hosts of the files", repo, err)
	}

	c.Labels.TokenFile, c.Labels.SSHKey, c.Labels.SigningKey, c.Labels.KnownHosts = "gone-1", "gone-2", "gone-3", "gone-4"
	_, err = c.LabelRepo()
	for _, part := range []string{"--labels-token-file: open gone-1", "--labels-ssh-key: open gone-2", "--labels-signing-key: open gone-3", "--labels-known-hosts: open gone-4"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	for name, spoil := range map[string]func(*Labels){
		"--labels-token-file": func(l *Labels) { l.TokenFile = written(t, "\n") },
		"--labels-signing":    func(l *Labels) { l.SigningKey = written(t, "canary") },
		"--labels-signing-k":  func(l *Labels) { l.SigningKey = written(t, key(t, "canary")) },
		"SSH key":             func(l *Labels) { l.SSHKey = written(t, "canary") },
		"known_hosts":         func(l *Labels) { l.SSHKey, l.KnownHosts = written(t, key(t, "")), written(t, "@revoked canary") },
	} {
		c := Default()
		c.Labels.Repo = "ssh://git@git.example.org/labels.git"
		spoil(&c.Labels)
		if _, err := c.LabelRepo(); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want an error that names the setting and not the secret", name, err)
		}
	}
}

func TestLabelRepo_TheTokenOfTheEnvironmentIsTaken(t *testing.T) {
	c := Default()
	c.Labels.Token = "from the environment"
	repo, err := c.LabelRepo()
	if err != nil || repo.Credentials.Token != "from the environment" {
		t.Errorf("LabelRepo: got %+v, %v, want the token of the environment", repo, err)
	}
}
