package labelrepo

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/file"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// Credentials authenticate Tagma at the remote. The zero value is for a remote
// without authentication.
type Credentials struct {
	Username string // for https; most hosts accept any name with a token
	Token    string // for https: a token or a password

	SSHKey     []byte // for ssh: a private key, PEM or OpenSSH
	Passphrase string // of SSHKey, or ""
	KnownHosts string // for ssh: path of a known_hosts file; "" = the file of the user who runs Tagma
}

// newRemote returns the remote of cfg without a connection.
func newRemote(cfg Config) (*remote, error) {
	endpoint, err := parseRemote(cfg.Remote)
	if err != nil {
		return nil, err
	}
	m := &remote{
		address:      cfg.Remote,
		branch:       plumbing.NewBranchReferenceName(cfg.Branch),
		endpoint:     endpoint,
		scrub:        newScrubber(cfg.Credentials.Username, cfg.Credentials.Token, cfg.Credentials.Passphrase),
		timeout:      cfg.Timeout,
		fetchTimeout: cfg.FetchTimeout,
	}
	switch endpoint.Protocol {
	case "file":
		if _, err := exec.LookPath("git"); err != nil {
			return nil, errors.New("a label repository on a path needs the git program, which is not installed")
		}
		m.transport = file.NewClient(transport.UploadPackServiceName, transport.ReceivePackServiceName)
	case "ssh":
		m.transport = gitssh.NewClient(nil)
		m.auth, err = newSSHAuth(endpoint, cfg.Credentials, cfg.Timeout)
	default:
		plain := http.DefaultTransport.(*http.Transport).Clone()
		m.transport = githttp.NewClientWithOptions(&http.Client{Transport: packTransport{plain}},
			&githttp.ClientOptions{RedirectPolicy: githttp.NoFollowRedirects})
		if cfg.Credentials.Token != "" {
			m.auth = &githttp.BasicAuth{Username: cfg.Credentials.Username, Password: cfg.Credentials.Token}
		}
	}
	return m, err
}

// parseRemote parses https:// and ssh:// URLs, git@host:path, and paths. Its
// errors do not contain the address, because the address may contain a secret.
func parseRemote(address string) (*transport.Endpoint, error) {
	if !strings.Contains(address, "://") {
		return parseWithoutScheme(address)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the address of the label repository is not a URL")
	}
	if _, password := u.User.Password(); password || u.User != nil && u.Scheme != "ssh" {
		return nil, ErrSecretInAddress
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the address of the label repository has a ? or # part, which git has no use for")
	}
	switch u.Scheme {
	case "https", "ssh":
	case "file":
		return &transport.Endpoint{Protocol: "file", Path: filepath.FromSlash(u.Path)}, nil
	case "http":
		if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, errors.New("the address of the label repository is http://, which would show the credentials to the network: use https:// or ssh://")
		}
	default:
		return nil, fmt.Errorf("the address of the label repository begins with %.20q: use https://, ssh:// or a path", u.Scheme+"://")
	}
	if u.Hostname() == "" {
		return nil, errors.New("the address of the label repository names no host")
	}
	return transport.NewEndpoint(address)
}

// parseWithoutScheme parses git@host:path and paths. As in git, an address with a
// colon before the first slash is not a path.
func parseWithoutScheme(address string) (*transport.Endpoint, error) {
	prefix, _, colon := strings.Cut(address, ":")
	if !colon || strings.Contains(prefix, "/") || filepath.VolumeName(address) != "" {
		path, err := filepath.Abs(address)
		return &transport.Endpoint{Protocol: "file", Path: path}, err
	}
	switch user, host, at := strings.Cut(prefix, "@"); {
	case strings.Contains(address[len(prefix):], "@"):
		return nil, ErrSecretInAddress
	case !at || user == "" || host == "":
		return nil, errors.New("the address of the label repository is neither a path nor git@host:path: use https://, ssh:// or a path")
	}
	return transport.NewEndpoint(address)
}

// sshAuth is go-git's authentication by key, with a timeout for dialling.
type sshAuth struct {
	*gitssh.PublicKeys
	timeout time.Duration
}

// ClientConfig implements go-git's AuthMethod.
func (a sshAuth) ClientConfig() (*ssh.ClientConfig, error) {
	config, err := a.PublicKeys.ClientConfig()
	if err == nil {
		config.Timeout = a.timeout
	}
	return config, err
}

// newSSHAuth reads the key and the known hosts. Without a key it returns nil, and
// go-git asks the SSH agent of the user.
func newSSHAuth(endpoint *transport.Endpoint, c Credentials, timeout time.Duration) (transport.AuthMethod, error) {
	if len(c.SSHKey) == 0 {
		return nil, nil
	}
	if endpoint.User == "" {
		endpoint.User = gitssh.DefaultUsername
	}
	keys, err := gitssh.NewPublicKeys(endpoint.User, c.SSHKey, c.Passphrase)
	if err != nil {
		return nil, errors.New("the SSH key of the label repository cannot be read, or its passphrase is wrong")
	}
	if c.KnownHosts != "" {
		hosts, err := gitssh.NewKnownHostsDb(c.KnownHosts)
		if err != nil {
			return nil, fmt.Errorf("known_hosts of the label repository: %w", err)
		}
		port := endpoint.Port
		if port == 0 {
			port = gitssh.DefaultPort
		}
		keys.HostKeyCallback = hosts.HostKeyCallback()
		keys.HostKeyAlgorithms = hosts.HostKeyAlgorithms(net.JoinHostPort(endpoint.Host, strconv.Itoa(port)))
	}
	return sshAuth{keys, timeout}, nil
}
