package labelrepo

import (
	"crypto/ed25519"
	"crypto/rand"
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
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(client.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
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
	return listener.Addr().String(), signer.PublicKey()
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
