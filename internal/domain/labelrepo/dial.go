package labelrepo

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/file"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// Credentials authenticate Tagma at the remote. The zero value is for a remote
// without authentication.
type Credentials struct {
	Username  string // for https; most hosts accept any name with a token
	Token     string // for https: a token or a password
	TokenFile string // path of a file with the token, read at each exchange; "" = Token does not change

	SSHKey     []byte // for ssh: a private key, PEM or OpenSSH; nil = the keys of the user's SSH agent
	Passphrase string // of SSHKey, or ""
	KnownHosts string // for ssh: path of a known_hosts file, read at each connection; "" = the files of the user who runs Tagma
}

// ReadToken returns the token in a file, without the blanks around the token. A file
// without a token is an error.
func ReadToken(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return "", errors.New("the file is empty")
	}
	return token, nil
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
		credentials:  cfg.Credentials,
		timeout:      cfg.Timeout,
		fetchTimeout: cfg.FetchTimeout,
	}
	m.access.Store(&access{scrub: newScrubber(cfg.Credentials.Username, cfg.Credentials.Token, cfg.Credentials.Passphrase)})
	switch endpoint.Protocol {
	case "file":
		if _, err := exec.LookPath("git"); err != nil {
			return nil, errors.New("a label repository on a path needs the git program, which is not installed")
		}
		m.transport = file.NewClient(transport.UploadPackServiceName, transport.ReceivePackServiceName)
	case "ssh":
		m.transport = gitssh.NewClient(nil)
		auth, err := newSSHAuth(endpoint, cfg.Credentials, cfg.Timeout)
		if err != nil {
			return nil, err
		}
		m.access.Load().auth = auth
	default:
		m.transport = newHTTPClient(newGitTransport())
		if cfg.Credentials.Token != "" {
			m.setToken([]string{cfg.Credentials.Token})
		}
	}
	return m, nil
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

// sshAuth is go-git's authentication over SSH. At each connection sshAuth reads
// known_hosts, and asks the host for a key of a kind that known_hosts has for this
// host, as ssh does. Otherwise the host chooses the kind, and a known host with
// keys of several kinds seems to be unknown.
type sshAuth struct {
	user       string
	keys       *gitssh.PublicKeys // nil = the keys of the user's SSH agent
	knownHosts []string           // paths; none = the files of the user and of the machine
	address    string             // host and port
	timeout    time.Duration
}

// Name implements go-git's AuthMethod.
func (a *sshAuth) Name() string { return gitssh.PublicKeysName }

// String implements go-git's AuthMethod.
func (a *sshAuth) String() string { return fmt.Sprintf("user: %s, name: %s", a.user, a.Name()) }

// ClientConfig implements go-git's AuthMethod.
func (a *sshAuth) ClientConfig() (*ssh.ClientConfig, error) {
	hosts, err := gitssh.NewKnownHostsDb(a.knownHosts...)
	if err != nil {
		return nil, &exchangeError{kind: ErrAuth, text: "no known_hosts file can be read: name a file with the SSH key of the host by --labels-known-hosts"}
	}
	check := gitssh.HostKeyCallbackHelper{HostKeyCallback: hosts.HostKeyCallback(), HostKeyAlgorithms: hosts.HostKeyAlgorithms(a.address)}
	var config *ssh.ClientConfig
	if a.keys != nil {
		keys := *a.keys
		keys.HostKeyCallbackHelper = check
		config, err = keys.ClientConfig()
	} else {
		var agent *gitssh.PublicKeysCallback
		if agent, err = gitssh.NewSSHAgentAuth(a.user); err != nil {
			return nil, &exchangeError{kind: ErrAuth, text: "there is no SSH agent: name the file of a private key by --labels-ssh-key"}
		}
		agent.HostKeyCallbackHelper = check
		config, err = agent.ClientConfig()
	}
	if err == nil {
		config.Timeout = a.timeout
	}
	return config, err
}

// newSSHAuth reads the key and checks the known hosts, without a connection.
func newSSHAuth(endpoint *transport.Endpoint, c Credentials, timeout time.Duration) (*sshAuth, error) {
	a := &sshAuth{user: endpoint.User, address: sshAddress(endpoint), timeout: timeout}
	if len(c.SSHKey) > 0 {
		endpoint.User = cmp.Or(endpoint.User, gitssh.DefaultUsername)
		var err error
		if a.keys, err = gitssh.NewPublicKeys(endpoint.User, c.SSHKey, c.Passphrase); err != nil {
			return nil, errors.New("the SSH key of the label repository cannot be read, or its passphrase is wrong")
		}
	}
	if c.KnownHosts != "" {
		a.knownHosts = []string{c.KnownHosts}
		if _, err := gitssh.NewKnownHostsDb(c.KnownHosts); err != nil {
			return nil, fmt.Errorf("known_hosts of the label repository: %w", err)
		}
	}
	return a, nil
}

// sshAddress returns the host and the port that go-git dials: those of the
// endpoint, or those that the user's ssh_config has for the host.
func sshAddress(endpoint *transport.Endpoint) string {
	host, port := endpoint.Host, endpoint.Port
	if name := gitssh.DefaultSSHConfig.Get(host, "Hostname"); name != "" {
		if configured, err := strconv.Atoi(gitssh.DefaultSSHConfig.Get(host, "Port")); err == nil {
			port = configured
		}
		host = name
	}
	return net.JoinHostPort(host, strconv.Itoa(cmp.Or(port, gitssh.DefaultPort)))
}
