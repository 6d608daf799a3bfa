package labelrepo

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"tagma/internal/testing/gittest"
)

// newKey returns a private key, and the key in PEM.
func newKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// newSSHHost starts an SSH server that runs git on this machine and accepts the
// key client.
func newSSHHost(t *testing.T, client ssh.PublicKey) (address string, hostKey ssh.PublicKey) {
	t.Helper()
	signer, _ := newKey(t)
	return serveSSHWith(t, client, signer), signer.PublicKey()
}

// serveSSHWith is newSSHHost with host keys of several kinds.
func serveSSHWith(t *testing.T, client ssh.PublicKey, hostKeys ...ssh.Signer) (address string) {
	t.Helper()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(client.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	for _, key := range hostKeys {
		config.AddHostKey(key)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveSSH(conn, config)
		}
	}()
	return listener.Addr().String()
}

// serveSSH runs the git commands that a connection sends.
func serveSSH(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		for request := range requests {
			if request.Type != "exec" {
				continue
			}
			_ = request.Reply(true, nil)
			command := exec.Command("sh", "-c", string(request.Payload[4:]))
			stdin, err := command.StdinPipe()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(stdin, channel)
				stdin.Close()
			}()
			command.Stdout, command.Stderr = channel, channel.Stderr()
			_ = command.Run()
			_, _ = channel.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
			channel.Close()
		}
	}
}

func TestSSH_AKeyLetsInAndTheHostMustBeKnown(t *testing.T) {
	signer, key := newKey(t)
	address, hostKey := newSSHHost(t, signer.PublicKey())
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, []byte(knownhosts.Line([]string{address}, hostKey)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := newBare(t)
	cfg := config(t, "ssh://git@"+address+dir)
	cfg.Credentials = Credentials{SSHKey: key, KnownHosts: known}
	r := open(t, cfg)
	mustPush(t, r, label(1, "one"))
	pushForeign(t, gittest.Clone(t, dir), "theirs", "x")
	mustPush(t, r, label(2, "two"), label(3, "three"))
	if n := commitCount(t, dir); n != 4 {
		t.Errorf("got %d commits, want 4", n)
	}
	fsck(t, dir)
	fsck(t, cfg.Dir)

	_, otherKey := newKey(t)
	other, _ := newKey(t)
	strange := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(strange, []byte(knownhosts.Line([]string{address}, other.PublicKey())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, credentials := range map[string]Credentials{
		"another key":        {SSHKey: otherKey, KnownHosts: known},
		"another known host": {SSHKey: key, KnownHosts: strange},
	} {
		cfg := config(t, cfg.Remote)
		cfg.Credentials = credentials
		if _, err := open(t, cfg).Refresh(t.Context()); !errors.Is(err, ErrAuth) {
			t.Errorf("%s: got %v, want ErrAuth", name, err)
		}
	}
}

func TestSSH_OneKindOfKeyInKnownHostsIsEnough(t *testing.T) {
	signer, key := newKey(t)
	ed, _ := newKey(t)
	secret, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hostKeys := []ssh.Signer{ed}
	for _, other := range []any{secret, curve} {
		hostKey, err := ssh.NewSignerFromKey(other)
		if err != nil {
			t.Fatal(err)
		}
		hostKeys = append(hostKeys, hostKey)
	}
	address := serveSSHWith(t, signer.PublicKey(), hostKeys...)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_KNOWN_HOSTS", "")
	known := filepath.Join(home, ".ssh", "known_hosts")
	write := func(lines ...string) {
		if err := os.MkdirAll(filepath.Dir(known), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(known, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := newBare(t)
	for _, file := range []string{"", known} { // the file of the user, and a file that the settings name
		for n, hostKey := range hostKeys {
			kind := hostKey.PublicKey().Type()
			write(knownhosts.Line([]string{address}, hostKey.PublicKey()))
			cfg := config(t, "ssh://git@"+address+dir)
			cfg.Credentials = Credentials{SSHKey: key, KnownHosts: file}
			r := open(t, cfg)
			mustPush(t, r, label(n, file+kind))

			// A host that is not known yet is named, and a line that is added is read
			// at the next try.
			write("# empty")
			if _, err := push(t.Context(), r, label(n, file+kind+" again")); !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), "known_hosts has no SSH key of this host") {
				t.Errorf("%s: an unknown host: got %v, want ErrAuth with the remedy", kind, err)
			}
			write(knownhosts.Line([]string{knownhosts.HashHostname(knownhosts.Normalize(address))}, hostKey.PublicKey()))
			mustPush(t, r, label(n, file+kind+" again"))
		}
	}
}

func TestSSH_AServerThatNeverGreetsDoesNotHoldTheWriterForEver(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // never accepts: the kernel completes the handshake, and no SSH greeting follows
	_, key := newKey(t)
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(t, "ssh://git@"+listener.Addr().String()+"/labels.git")
	cfg.Credentials = Credentials{SSHKey: key, KnownHosts: known}
	cfg.Timeout = 300 * time.Millisecond
	_, err = push(t.Context(), open(t, cfg), label(1, "x"))
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("got %v, want ErrUnavailable with no answer in time", err)
	}
}
