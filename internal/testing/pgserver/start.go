package pgserver

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lib/pq"
)

// supervisor is the shell script that runs the server and outlives this
// process. The input of the supervisor is a pipe from this process. When this
// process ends, even by SIGKILL, the pipe closes, and the supervisor stops the
// server and removes the temporary folder. The supervisor closes standard
// error, so the log ends with the server.
const supervisor = `
folder=$1; shift
"$@" </dev/null &
server=$!
exec 2>/dev/null
read -r _
kill -INT "$server"
wait "$server"
cd /
rm -rf "$folder"
`

// readyLine is the log line of PostgreSQL when the server accepts connections.
const readyLine = "database system is ready to accept connections"

// errPortTaken is the error of startOnce for a lost race: another process took
// the port first.
var errPortTaken = errors.New("the port was taken by another process")

// startOnce starts a server on a free port. startOnce returns errPortTaken if
// another process takes the port first.
func startOnce(o Options) (_ *Server, err error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "tagma-postgres-")
	if err != nil {
		return nil, err
	}
	l := &process{folder: folder}
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	data := o.Data
	if data == "" {
		data = filepath.Join(folder, "data")
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	if bin.copied {
		if bin.folder, err = copyPrograms(bin.folder, folder); err != nil {
			return nil, err
		}
	}
	account, err := unprivilegedAccount(folder, data)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil {
		initdb := command(account, folder, filepath.Join(bin.folder, "initdb"),
			"--pgdata", data, "--username", "postgres", "--auth", "trust",
			"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
		if out, err := initdb.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("initdb: %w\n%s", err, out)
		}
	}

	durable := "off"
	if o.Durable {
		durable = "on"
	}
	server := command(account, folder, "/bin/sh", "-c", supervisor, "keeper", folder,
		filepath.Join(bin.folder, "postgres"), "-D", data, "-p", strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync="+durable, "-c", "synchronous_commit="+durable,
		"-c", "full_page_writes="+durable,
		"-c", "max_connections=200",
		// An unusual time zone: a test that depends on the server's time zone
		// fails.
		"-c", "timezone=Pacific/Chatham")
	if err := l.run(server); err != nil {
		return nil, err
	}

	address := url.URL{
		Scheme:   "postgres",
		User:     url.User("postgres"),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	if err := makeOwner(address); err != nil {
		return nil, err
	}
	address.User = url.User(owner)
	return &Server{Address: address, process: l}, nil
}

// owner is the name of the user for tests. As in production, the user may
// create databases. In addition the user may terminate backends, because a test
// may drop a database while a backend of the server still works in the
// database.
const owner = "tagma"

// makeOwner creates the user owner, unless the user exists.
func makeOwner(address url.URL) error {
	db, err := sql.Open("postgres", address.String())
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = db.ExecContext(ctx, `CREATE ROLE `+owner+` LOGIN CREATEDB IN ROLE pg_signal_backend`)
	if pgErr, ok := errors.AsType[*pq.Error](err); ok && pgErr.Code.Name() == "duplicate_object" {
		return nil
	}
	return err
}

// process holds a server process and the pipe between the server's supervisor
// and this process.
type process struct {
	folder     string
	supervisor *exec.Cmd
	pipe       *os.File // input of the supervisor, which stops the server when the pipe closes
}

// run starts the supervisor and returns when the server accepts connections.
func (l *process) run(cmd *exec.Cmd) error {
	input, pipe, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	l.pipe = pipe
	log, logWriter, err := os.Pipe()
	if err != nil {
		return err
	}
	defer logWriter.Close()
	cmd.Stdin, cmd.Stderr = input, logWriter
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	l.supervisor = cmd

	var output strings.Builder
	scanner := bufio.NewScanner(log)
	for scanner.Scan() {
		if strings.Contains(scanner.Text(), readyLine) {
			// Keep reading, because a full pipe would stop the server.
			go func() {
				_, _ = io.Copy(io.Discard, log)
				_ = log.Close()
			}()
			return nil
		}
		output.WriteString(scanner.Text() + "\n")
	}
	_ = log.Close()
	if strings.Contains(output.String(), "Address already in use") {
		return errPortTaken
	}
	return fmt.Errorf("PostgreSQL did not start:\n%s", output.String())
}

// release stops the server and removes the temporary folder.
func (l *process) release() {
	if l.pipe != nil {
		_ = l.pipe.Close()
	}
	if l.supervisor != nil {
		_ = l.supervisor.Wait() // fails if the server failed, which was reported
	}
	_ = os.RemoveAll(l.folder)
}

// freePort returns a presently free port of the loopback interface.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// command returns a command for a PostgreSQL program, run in folder as account
// (nil for the account of this process). The program does not inherit the
// environment of this process (PGPORT, PGOPTIONS, …). The program has a process
// group of its own, so that Ctrl-C in a terminal reaches this process only.
func command(account *syscall.Credential, folder, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = folder
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true}
	return cmd
}

// unprivilegedAccount returns the account for PostgreSQL, because PostgreSQL
// refuses to run as root. If this process runs as root, unprivilegedAccount
// gives the folders with all files to the account nobody, and returns nobody.
// Otherwise unprivilegedAccount returns nil, for the account of this process.
func unprivilegedAccount(folders ...string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // this process's own account
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no other account: %w", err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(nobody.Gid)
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, uid, gid)
		})
		if err != nil {
			return nil, err
		}
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
