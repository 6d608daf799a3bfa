package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	_ "modernc.org/sqlite"

	"tagma/ent/migrations"
	"tagma/internal/cli/command"
	"tagma/internal/storage/database"
	"tagma/internal/testing/childproc"
)

// commandRow is what the test of all commands knows of one command.
type commandRow struct {
	args   []string // on the stage
	store  bool     // opens a store, with --data
	serves bool     // runs until it is stopped
	makes  bool     // makes a store that is missing
	fills  bool     // refuses a store that has data
	label  bool     // opens the label repository too
	// writes are the files that the command may change in a store that it accepts.
	writes []string
	// wrong are arguments in the place of args that must be refused, each with a
	// part of the message.
	wrong [][2]string
}

// commandRows are all commands. Paths are relative to the stage.
var commandRows = map[string]commandRow{
	"tagma":       {store: true, serves: true, makes: true, writes: []string{""}},
	"tagma serve": {store: true, serves: true, makes: true, writes: []string{""}},
	"tagma backup": {store: true, args: []string{"target"}, wrong: [][2]string{
		{"store", "store"}, {"store/files", "store"}, {"store/new", "store"}, {".", "store"}, {"other", "other"},
		{"file", "file"}, {"file/below", "file"}, {"other-backup", "another store"},
	}},
	"tagma restore": {store: true, makes: true, fills: true, args: []string{"backup"}, wrong: [][2]string{
		{"absent", "absent"}, {"file", "file"}, {"empty", "empty"}, {"other", "other"},
	}},
	"tagma demo":                  {store: true, makes: true, fills: true},
	"tagma verify":                {store: true},
	"tagma admin reset-password":  {store: true, args: []string{"admin"}, writes: []string{"tagma.db"}},
	"tagma labels import":         {store: true, label: true, writes: []string{"tagma.db"}},
	"tagma labels verify":         {store: true, label: true},
	"tagma labels rebuild":        {store: true, label: true, fills: true},
	"tagma labels retry":          {store: true},
	"tagma push images":           {args: []string{"photos"}, wrong: [][2]string{{"absent", "absent"}, {"file/below", "file"}}},
	"tagma push bundle":           {args: []string{"insects", "bundle"}, wrong: [][2]string{{"absent", "absent"}, {"file", "file"}}},
	"tagma pull bundle":           {args: []string{"insects", "target"}, wrong: [][2]string{{"file", "file"}, {"file/below", "file"}}},
	"tagma annotate":              {args: []string{"annotation.json"}, wrong: [][2]string{{"absent", "absent"}, {"photos", "photos"}}},
	"tagma series":                {args: []string{"0a5bb6f4", "2020-06-20", "2020-06-21"}},
	"tagma ready":                 {},
	"tagma login":                 {},
	"tagma logout":                {},
	"tagma token create":          {},
	"tagma completion bash":       {},
	"tagma completion zsh":        {},
	"tagma completion fish":       {},
	"tagma completion powershell": {},
	"tagma help":                  {},
}

// pathFlags are the flags that name a file or folder, each with values that are
// wrong, relative to the stage.
var pathFlags = map[string][]string{
	"database":           {"sqlite:absent/tagma.db", "sqlite:file", "sqlite:file/below", "sqlite:empty"},
	"storage":            {"file:absent", "file:file", "file:file/below"},
	"labels-repo":        {"absent", "file", "file/below"},
	"labels-token-file":  {"absent", "empty"},
	"labels-ssh-key":     {"absent", "empty"},
	"labels-known-hosts": {"absent", "empty"},
	"labels-signing-key": {"absent", "empty", "file"},
	"labels-clone":       {"absent", "file", "file/below"},
	"trusted-documents":  {"absent", "empty", "file"},
	"backup-to":          {"store", "file", "file/below"},
}

// otherFlags take text that is no path.
var otherFlags = []string{
	"data", // which has cases of its own
	"listen", "log-format", "log-level", "cors-origins", "labels-branch", "labels-committer", "labels-layout", "labels-username",
	"server", "token", "username", "name", "role", "device", "expires", "part", "generation",
}

// commands are all commands that can be run, by their whole name.
func commands(t *testing.T) map[string]*cobra.Command {
	t.Helper()
	all := map[string]*cobra.Command{}
	root := command.Root("test", nil)
	root.InitDefaultHelpCmd()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd == root || !cmd.HasSubCommands() {
			all[cmd.CommandPath()] = cmd
		}
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	walk(root)
	return all
}

// stage is a folder with everything that the cases point commands to.
type stage struct {
	t      *testing.T
	folder string
	binary string // where an ordinary user finds it
	env    []string
}

func (s *stage) in(path string) string { return filepath.Join(s.folder, path) }

// newStage builds a stage:
//
//	store         a store with photographs, annotations and labels, stopped
//	other         another store
//	backup        a backup of store; other-backup: of other
//	older, newer  stores of another version
//	file, empty   a file and an empty folder
//	photos, bundle, annotation.json
func newStage(t *testing.T) *stage {
	t.Helper()
	base, err := os.MkdirTemp(filepath.Dir(filepath.Dir(binary)), "tagma-stage-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	s := &stage{t: t, folder: filepath.Join(base, "original"), binary: filepath.Join(base, "tagma")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(base, 0o711)) // an ordinary user may look for what is below
	must(os.Link(binary, s.binary))
	for _, folder := range []string{"empty", "photos", "bundle/output"} {
		must(os.MkdirAll(s.in(folder), 0o755))
	}
	photograph := snapshot("0a5bb6f4", 1, 1)
	for name, content := range map[string][]byte{
		"file": []byte("neither a database nor a key\n"), "annotation.json": []byte(`{"annotations": []}`),
		"photos/" + photograph.Name: photograph.Content, "bundle/output/model_final.pth": []byte("weights"),
	} {
		must(os.WriteFile(s.in(name), content, 0o644))
	}
	for _, name := range []string{"store", "other"} {
		made := &server{t: t, Data: s.in(name)}
		made.boot()
		admin := made.admin()
		admin.upload("REFUSE", photograph, snapshot("0a5bb6f4", 2, 2))
		if got := admin.submit(submission(1, 500), 20); got.Submission.Status != "PUSHED" {
			t.Fatalf("the labels are %+v", got)
		}
		made.stop()
		_, said, ok := tagma(t, nil, "backup", s.in(map[string]string{"store": "backup", "other": "other-backup"}[name]), "--data", s.in(name))
		if !ok {
			t.Fatalf("the backup of %s: %s", name, said)
		}
	}
	s.version("newer", 1)
	s.version("older", -1)
	return s
}

// version makes a store whose database is so many steps from this version.
func (s *stage) version(name string, by int64) {
	s.t.Helper()
	latest, err := database.Latest()
	if err == nil {
		err = os.MkdirAll(s.in(name+"/files"), 0o700)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+s.in(name+"/tagma.db")+"?_pragma=journal_mode(WAL)")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	steps, err := fs.Sub(migrations.Files, "sqlite")
	if err != nil {
		s.t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, steps, goose.WithDisableGlobalRegistry(true))
	if err == nil {
		_, err = provider.UpTo(s.t.Context(), min(latest, latest+by))
	}
	if err == nil {
		_, err = db.ExecContext(s.t.Context(), `INSERT INTO devices VALUES ('0a5bb6f4', 0)`)
	}
	if err == nil && by > 0 {
		_, err = db.ExecContext(s.t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, true)`, latest+by)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// copied is a copy of the stage for one case.
func (s *stage) copied(t *testing.T) *stage {
	t.Helper()
	folder, err := os.MkdirTemp(filepath.Dir(s.folder), "case-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", s.folder+"/.", folder).CombinedOutput(); err != nil {
		t.Fatalf("cp -a %s: got %v, want a copy: %s", s.folder, err, out)
	}
	return &stage{t: t, folder: folder, binary: s.binary, env: s.env}
}

// listing is the mode and hash of everything below a folder, by path.
func listing(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(path, folder), "/")
		found[name] = info.Mode().String()
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			found[name] += fmt.Sprintf(" %x", sha256.Sum256(content))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// differences are the paths in which two listings differ, but for those that may.
func differences(before, after map[string]string, may ...string) []string {
	var found []string
	for path := range maps.Keys(before) {
		if after[path] == "" {
			found = append(found, "lost "+path)
		} else if after[path] != before[path] {
			found = append(found, "changed "+path)
		}
	}
	for path := range maps.Keys(after) {
		if before[path] == "" {
			found = append(found, "new "+path)
		}
	}
	found = slices.DeleteFunc(found, func(one string) bool {
		_, path, _ := strings.Cut(one, " ")
		return slices.ContainsFunc(may, func(allowed string) bool { return path == allowed || strings.HasPrefix(path, allowed+"/") })
	})
	slices.Sort(found)
	return found
}

// condition is how a case runs its command.
type condition int

const (
	ordinary condition = iota
	unprivileged
	fullDisk  // no file grows beyond 8 KiB
	fillingUp // no file grows beyond 64 KiB
)

// run runs a command to its end, or a server until it says where it is.
func (s *stage) run(how condition, row commandRow, args ...string) (said string, ok bool) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary, args...)
	if limit := map[condition]string{fullDisk: "8", fillingUp: "64"}[how]; limit != "" {
		cmd = exec.CommandContext(ctx, "bash", append([]string{"-c", `trap '' XFSZ; ulimit -f ` + limit + `; exec "$0" "$@"`, s.binary}, args...)...)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if how == unprivileged && os.Getuid() == 0 { // whom permissions do not bind
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	childproc.KillWithParent(cmd, syscall.SIGKILL)
	cmd.Dir, cmd.Env = s.folder, append(os.Environ(), s.env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var stdout strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&stdout, lines.Text())
		if row.serves && addressLine.MatchString(lines.Text()) {
			cancel()
		}
	}
	err = cmd.Wait()
	said = stderr.String()
	if strings.Contains(said, "DATA RACE") || strings.Contains(said, "goroutine ") {
		s.t.Errorf("tagma %v: got a race or a panic, want none: %s", args, said)
	}
	return said, err == nil || row.serves && addressLine.MatchString(strings.TrimSpace(strings.SplitN(stdout.String(), "\n", 2)[0]))
}

// refused fails the test unless a command ended with an error of one clear line
// that holds a text, and left the stage as it was.
func (s *stage) refused(how condition, row commandRow, holds string, args ...string) {
	s.t.Helper()
	before := listing(s.t, s.folder)
	said, ok := s.run(how, row, args...)
	lines := strings.Split(strings.TrimSpace(said), "\n")
	last := lines[len(lines)-1]
	if ok || !strings.Contains(said, "tagma: ") || !strings.Contains(said, holds) || strings.Contains(last, "Usage:") {
		s.t.Errorf("tagma %s: got success %t and %q, want a refusal that holds %q", strings.Join(args, " "), ok, said, holds)
	}
	if changed := differences(before, listing(s.t, s.folder)); len(changed) > 0 {
		s.t.Errorf("tagma %s: got %q, want nothing changed; it said %q", strings.Join(args, " "), changed, said)
	}
}

// arguments are those of a command, with a store's folder if it opens one.
func (row commandRow) arguments(name, data string, args ...string) []string {
	all := append(strings.Fields(name)[1:], args...)
	if row.store {
		all = append(all, "--data", data)
	}
	if row.serves {
		all = append(all, "--listen", "127.0.0.1:0", "--drain", "0s")
	}
	return all
}

func TestCommands_EveryCommandAndEveryPathOfItIsKnownToThisTest(t *testing.T) {
	all := commands(t)
	for name, cmd := range all {
		row, ok := commandRows[name]
		if !ok {
			t.Errorf("%q has no row: say what it may change", name)
			continue
		}
		known := func(f *pflag.Flag) {
			_, isPath := pathFlags[f.Name]
			isText := slices.Contains([]string{"string", "stringSlice"}, f.Value.Type())
			if isText && !isPath && !slices.Contains(otherFlags, f.Name) {
				t.Errorf("%q: --%s is neither in pathFlags nor in otherFlags", name, f.Name)
			}
		}
		cmd.InheritedFlags().VisitAll(known)
		cmd.Flags().VisitAll(known)
		if got := cmd.Flag("data") != nil; got != row.store {
			t.Errorf("%q: got --data %t, want %t", name, got, row.store)
		}
	}
	for name := range commandRows {
		if all[name] == nil {
			t.Errorf("there is no command %q", name)
		}
	}
}

func TestCommands_NoneDestroysOrLeavesWhatItWasNotToldTo(t *testing.T) {
	t.Parallel()
	original, all := newStage(t), commands(t)
	t.Run("beside a running server", func(t *testing.T) {
		t.Parallel()
		original.copied(t).besideServer(t, all)
	})
	t.Run("as a client", func(t *testing.T) {
		t.Parallel()
		original.copied(t).asClient(t)
	})
	for _, name := range slices.Sorted(maps.Keys(commandRows)) {
		row := commandRows[name]
		if !row.store || all[name] == nil {
			continue
		}
		case_ := func(what string, check func(s *stage)) {
			t.Run(strings.ReplaceAll(name+" "+what, "/", "_"), func(t *testing.T) {
				t.Parallel()
				check(original.copied(t))
			})
		}
		for what, c := range map[string]struct{ data, holds string }{
			"a file": {"file", "file"}, "below a file": {"file/below", "file"}, "a backup": {"backup", "lies in the backup"}, "in a backup": {"backup/files", "backup"},
			"a newer store": {"newer", "is newer than version"},
		} {
			case_(what, func(s *stage) { s.refused(ordinary, row, c.holds, row.arguments(name, c.data, row.args...)...) })
		}
		if !row.makes {
			for what, data := range map[string]string{"no store": "absent", "an empty folder": "empty"} {
				case_(what, func(s *stage) {
					s.refused(ordinary, row, "there is no store: the database "+s.in(data+"/tagma.db"), row.arguments(name, data, row.args...)...)
				})
			}
		}
		if !row.serves {
			case_("an older store", func(s *stage) {
				s.refused(ordinary, row, "is older than version", row.arguments(name, "older", row.args...)...)
			})
		}
		case_("a store", func(s *stage) { s.accepted(name, row, "store") })
		if row.makes {
			case_("no store", func(s *stage) { s.accepted(name, row, "absent") })
		}
		case_("another store's database and files", func(s *stage) { s.mixed(name, row) })
		case_("a read-only store", func(s *stage) {
			s.own("store")
			s.refused(unprivileged, row, s.in("store"), row.arguments(name, "store", row.args...)...)
		})
		case_("a full disk", func(s *stage) { s.full(name, row, fullDisk) })
		case_("a disk that fills up", func(s *stage) { s.full(name, row, fillingUp) })
		for _, wrong := range row.wrong {
			case_("wrong argument "+wrong[0], func(s *stage) {
				data := "store"
				if row.makes {
					data = "absent"
				}
				s.refused(ordinary, row, wrong[1], row.arguments(name, data, append(slices.Clone(row.args[:len(row.args)-1]), wrong[0])...)...)
			})
		}
		if name == "tagma serve" { // is tagma, whose flags are tried
			continue
		}
		for flag, values := range pathFlags {
			isLabel := strings.HasPrefix(flag, "labels-")
			if all[name].Flag(flag) == nil || isLabel && flag != "labels-clone" && !row.label && !row.serves { // labels retry needs the database alone
				continue
			}
			if flag == "labels-repo" && row.serves { // a server waits for a repository that is not there yet
				continue
			}
			for _, value := range values {
				case_("wrong "+flag+" "+value, func(s *stage) { s.wrongFlag(name, row, flag, value) })
			}
		}
	}
}

// full runs a command on a disk without room. What a backup or a server has begun
// may be left, and SQLite's companions; what was there stays.
func (s *stage) full(name string, row commandRow, how condition) {
	s.t.Helper()
	before := listing(s.t, s.folder)
	said, ok := s.run(how, row, row.arguments(name, "store", row.args...)...)
	may := []string{"target", "store/server.lock", "store/tmp", "store/tagma.db-wal", "store/tagma.db-shm"}
	if how == fullDisk {
		if ok || !strings.Contains(said, s.in("store")) {
			s.t.Errorf("got success %t and %q, want a refusal that names %s", ok, said, s.in("store"))
		}
	} else if ok {
		for _, path := range row.writes {
			may = append(may, filepath.Join("store", path))
		}
	}
	if changed := differences(before, listing(s.t, s.folder), may...); len(changed) > 0 {
		s.t.Errorf("tagma %s: got %q, want nothing changed; it said %q", name, changed, said)
	}
}

// own makes a folder read-only, and gives the stage to an ordinary user.
func (s *stage) own(folder string) {
	s.t.Helper()
	err := filepath.WalkDir(s.folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && os.Getuid() == 0 {
			err = os.Lchown(path, 65534, 65534)
		}
		if err == nil && strings.HasPrefix(path, s.in(folder)) {
			mode := fs.FileMode(0o400)
			if entry.IsDir() {
				mode = 0o500
			}
			err = os.Chmod(path, mode)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = exec.Command("chmod", "-R", "u+w", s.in(folder)).Run() })
}

// accepted runs a command on a store that is right for it, or that it is to make,
// and looks at what changes.
func (s *stage) accepted(name string, row commandRow, data string) {
	s.t.Helper()
	args := row.arguments(name, data, row.args...)
	if data == "store" && row.fills {
		s.refused(ordinary, row, "", args...)
		return
	}
	before := listing(s.t, s.folder)
	said, ok := s.run(ordinary, row, args...)
	if !ok {
		s.t.Errorf("tagma %s: got %q, want success", strings.Join(args, " "), said)
	}
	may := []string{"target"}
	for _, path := range row.writes {
		may = append(may, filepath.Join(data, path))
	}
	if data == "absent" {
		may = append(may, data)
		if info, err := os.Stat(s.in(data)); err != nil || info.Mode().Perm() != 0o700 {
			s.t.Errorf("the new folder: got %v, %v, want mode 0700", info, err)
		}
	}
	if changed := differences(before, listing(s.t, s.folder), may...); len(changed) > 0 {
		s.t.Errorf("tagma %s: got %q, want nothing else changed", strings.Join(args, " "), changed)
	}
}

// mixed runs a command on a store with another store's files, and the other way
// round: it may succeed or not, but changes nothing of the files.
func (s *stage) mixed(name string, row commandRow) {
	s.t.Helper()
	for _, flags := range [][]string{{"--storage", "file:other/files"}, {"--database", "sqlite:other/tagma.db"}} {
		before := listing(s.t, s.folder)
		_, _ = s.run(ordinary, row, append(row.arguments(name, "store", row.args...), flags...)...)
		may := []string{"target"}
		if len(row.writes) > 0 { // the database and a server's own files
			may = append(may, "store/tagma.db", "other/tagma.db", "store/server.lock", "other/tagma.db.server.lock", "store/tmp", "store/labels.git",
				"store/tagma.db-wal", "store/tagma.db-shm", "other/tagma.db-wal", "other/tagma.db-shm") // of a server that is stopped at work
		}
		if changed := differences(before, listing(s.t, s.folder), may...); len(changed) > 0 {
			s.t.Errorf("tagma %s %v: got %q, want nothing changed", name, flags, changed)
		}
		_ = os.RemoveAll(s.in("target"))
	}
}

// wrongFlag gives a path flag a wrong value.
func (s *stage) wrongFlag(name string, row commandRow, flag, value string) {
	s.t.Helper()
	data := "store"
	args := append(row.arguments(name, data, row.args...), "--"+flag, value)
	if strings.HasPrefix(flag, "labels-") && flag != "labels-repo" && flag != "labels-signing-key" {
		args = append(args, "--labels-repo", "git@git.invalid:labels.git") // which these are for
	}
	s.refused(ordinary, row, "", args...)
}

// content is all rows of a stopped or running SQLite store, but for those by which
// a server keeps up with its own work.
func content(t *testing.T, s *server) string {
	t.Helper()
	db := s.open()
	defer db.Close()
	var all strings.Builder
	for _, table := range query(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'checkpoints' ORDER BY name`) {
		for _, row := range query(t, db, `SELECT * FROM `+table["name"]) {
			fmt.Fprintln(&all, table["name"], row)
		}
	}
	return all.String()
}

// besideServer runs every command on the store of a running server.
func (s *stage) besideServer(t *testing.T, all map[string]*cobra.Command) {
	running := startAs(t, &server{Data: s.in("store"), Password: "unknown"})
	running.await("/readyz")
	refusals := map[string]string{
		"tagma": "another server uses the folder", "tagma serve": "another server uses the folder", "tagma restore": "not empty", "tagma demo": "",
		"tagma labels import": "stop the server first", "tagma labels verify": "stop the server first", "tagma labels rebuild": "stop the server first",
	}
	for _, name := range slices.Sorted(maps.Keys(commandRows)) {
		row := commandRows[name]
		if !row.store || all[name] == nil {
			continue
		}
		before, rows := listing(t, s.folder), content(t, running)
		said, ok := s.run(ordinary, row, row.arguments(name, "store", row.args...)...)
		want, refused := refusals[name]
		if ok == refused || !strings.Contains(said, want) {
			t.Errorf("%s: got success %t and %q, want success %t and %q", name, ok, said, !refused, want)
		}
		if changed := differences(before, listing(t, s.folder), "target", "store/tagma.db", "store/tagma.db-wal", "store/tagma.db-shm"); len(changed) > 0 {
			t.Errorf("%s: got %q, want nothing changed", name, changed)
		}
		if after := content(t, running); after != rows && name != "tagma admin reset-password" {
			t.Errorf("%s: the rows were changed:\ngot  %s\nwant %s", name, after, rows)
		}
	}
}

// asClient gives every command that asks a server each wrong path.
func (s *stage) asClient(t *testing.T) {
	running := start(t, "")
	d := deskAt(t, running.URL, running.admin().Token)
	s.env = append(slices.Clone(d.env), "TAGMA_RETRY_FOR=0s")
	if said, ok := s.run(ordinary, commandRow{}, "push", "bundle", "insects", "bundle"); !ok {
		t.Fatalf("push bundle: %s", said)
	}
	for name, row := range commandRows {
		for _, wrong := range row.wrong {
			if row.store {
				continue
			}
			t.Run(strings.ReplaceAll(name+" "+wrong[0], "/", "_"), func(t *testing.T) {
				s.copied(t).refused(ordinary, row, wrong[1], row.arguments(name, "", append(slices.Clone(row.args[:len(row.args)-1]), wrong[0])...)...)
			})
		}
	}
}
