package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/accesstoken"
	"tagma/ent/generated/user"
	"tagma/internal/base/caller"
	"tagma/internal/base/instant"
	"tagma/internal/base/token"
	"tagma/internal/bench/dataset"
	"tagma/internal/bench/jobs"
	"tagma/internal/storage/database"
	"tagma/internal/testing/childproc"
)

// tokenLifetime is longer than any run.
const tokenLifetime = 24 * time.Hour

// target is a server under load, in a process of its own.
type target struct {
	name  string
	url   string
	token string // the access token of requests, or empty

	// makeRequests returns the requests of a job. If nil, the target speaks Tagma's GraphQL.
	makeRequests func(ctx context.Context, t *target, j jobs.Job, data dataset.Options) ([]request, error)
	// translate returns an answer in the form of Tagma's answers. If nil, answers have
	// this form already.
	translate func(answer any) (any, error)

	client *http.Client
	cmd    *exec.Cmd
	stop   func() error
}

var addressLine = regexp.MustCompile(` is at (http://\S+)/$`)

// startProcess starts a server process, and returns the server as a target. The process
// must print the address of the server. The log of the process is a file in folder.
func startProcess(name, folder string, cmd *exec.Cmd) (*target, error) {
	log := filepath.Join(folder, strings.ReplaceAll(name, " ", "-")+".log")
	input, out, err := startPiped(cmd, log)
	if err != nil {
		return nil, err
	}
	c := &target{name: name, client: newClient(), cmd: cmd}
	c.stop = func() error {
		_ = input.Close() // ends the baseline
		_ = cmd.Process.Signal(os.Interrupt)
		return cmd.Wait()
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if match := addressLine.FindStringSubmatch(lines.Text()); match != nil {
			c.url = match[1]
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return c, nil
		}
	}
	_ = c.stop()
	return nil, fmt.Errorf("%s did not start: see %s", name, log)
}

// startPiped starts a process, with standard error in the file log. The process ends when
// this process ends. startPiped returns the input and the output of the process.
func startPiped(cmd *exec.Cmd, log string) (in io.WriteCloser, out io.ReadCloser, err error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close() // the process has the file open for itself
	cmd.Stderr = file
	childproc.KillWithParent(cmd, syscall.SIGTERM)
	if in, err = cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		return nil, nil, err
	}
	return in, out, cmd.Start()
}

// close ends the process and waits for the end.
func (c *target) close() error {
	c.client.CloseIdleConnections()
	return c.stop()
}

// build compiles the server with the settings of a release.
func build(ctx context.Context, folder string) (string, error) {
	binary, err := filepath.Abs(filepath.Join(folder, "tagma"))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "tagma")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build Tagma: %w\n%s", err, out)
	}
	return binary, nil
}

// startTagma starts a server on a database that has a person with the token. Settings are
// flags; environment is added to the environment of this process.
func startTagma(name, binary, folder, databaseURL, token string, environment []string, settings ...string) (*target, error) {
	data := filepath.Join(folder, "tagma-data-"+strings.ReplaceAll(name, " ", "-")) // one server to a folder
	// The generated rows have no files, and a server refuses a database with images
	// whose folder is missing.
	if err := os.MkdirAll(filepath.Join(data, "files"), 0o700); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, append([]string{
		"--listen", "127.0.0.1:0", "--data", data, "--database", databaseURL, "--log-level", "warn",
	}, settings...)...)
	cmd.Env = append(os.Environ(), environment...)
	c, err := startProcess(name, folder, cmd)
	if err == nil {
		c.token = token
	}
	return c, err
}

// startBaseline starts this program as the baseline on a database.
func startBaseline(folder, databaseURL string) (*target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, err := startProcess("baseline", folder, exec.Command(self, "-baseline", databaseURL))
	if err == nil {
		c.makeRequests = baselineRequests
	}
	return c, err
}

// createToken returns the secret of a new token of an administrator.
func createToken(ctx context.Context, db *database.DB) (string, error) {
	const name = "bench"
	now := instant.System()
	person, err := db.User.Query().Where(user.Username(name)).Only(ctx)
	if ent.IsNotFound(err) {
		person, err = db.User.Create().SetUsername(name).SetRole(caller.Admin).SetPasswordHash("none").SetCreatedAt(now).Save(ctx)
	}
	if err != nil {
		return "", err
	}
	secret, hash := token.New()
	err = db.AccessToken.Create().SetUserID(person.ID).SetKind(accesstoken.KindACCESS).SetName(name).
		SetHash(hash).SetRole(caller.Admin).SetCreatedAt(now).SetExpiresAt(now.Add(tokenLifetime)).Exec(ctx)
	return secret.Reveal(), err
}
