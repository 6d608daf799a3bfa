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

// supervisor is the shell script that runs the server and outlives this process.
// Its input is a pipe that this process holds: when the process ends, even by
// SIGKILL, the pipe closes, and the keeper stops the server and removes its
// temporary folder. It lets go of the log, so that the log ends when the server does.
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

// readyLine is what PostgreSQL logs when it begins to serve.
const readyLine = "database system is ready to accept connections"

// errPortTaken says that another process got the port first.
var errPortTaken = errors.New("the port was taken by another process")

// startOnce starts a server on a port that was free just before.
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
		// A zone that nobody expects, so that nothing leans on the server's.
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

// owner is the user who works on the server: one who may create databases and
// no more, as a server in earnest would be; but that tests drop databases at
// which the server itself may just be cleaning up.
const owner = "tagma"

// makeOwner makes that user, where the data are new.
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

// process ties a server to this process.
type process struct {
	folder     string
	supervisor *exec.Cmd
	pipe       *os.File // the keeper's input; it stops the server when this closes
}

// run starts the keeper and returns when the server serves.
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
			// Somebody must go on reading, or a full pipe would stop the server.
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

// release stops the server and removes its folder, now rather than when the
// process ends.
func (l *process) release() {
	if l.pipe != nil {
		_ = l.pipe.Close()
	}
	if l.supervisor != nil {
		_ = l.supervisor.Wait() // fails if the server did, which was reported
	}
	_ = os.RemoveAll(l.folder)
}

// freePort is a port of the loopback interface that is free just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// command is a program of PostgreSQL's, run in folder as account (nil for this
// process's own). None of this process's environment reaches it (PGPORT,
// PGOPTIONS, …), and it is in a process group of its own, so that Ctrl-C in a
// terminal reaches this process only.
func command(account *syscall.Credential, folder, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = folder
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true}
	return cmd
}

// unprivilegedAccount is the account for PostgreSQL to run as, which it refuses to do
// as root. For root it is nobody's, and the folders become nobody's with all
// that is in them; for others it is nil, their own.
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
