// Package doctest owns extracting the code blocks of a documentation page, and
// running the shell blocks, so that CI executes every command on a page. Only
// tests import package doctest.
//
// Package doctest does not own the environment of a page, such as a server: the
// calling test starts the server. Package doctest does not run blocks in other
// languages than sh.
package doctest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Block is a fenced code block.
type Block struct {
	Path string // the path of the page, as passed to Blocks
	Line int    // line number of the first line of Text on the page, from 1
	Lang string // the first word after the fence, or ""
	Info string // the words after Lang
	Text string // each line ends with a newline; without the indentation of the fence
}

// Blocks returns the fenced code blocks of a Markdown page, in order, by the
// rules of CommonMark (0.31, section 4.5), also in nested lists: a fence has
// three or more ` or ~, and a fence of at least the same length closes the
// block. Unlike CommonMark, Blocks returns an error for an unclosed fence.
func Blocks(path string) ([]Block, error) {
	page, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, string(page))
}

func parse(path, page string) ([]Block, error) {
	var blocks []Block
	var open fence // fence of the last block; zero between blocks
	line := 0
	for text := range strings.Lines(page) {
		line++
		text = strings.TrimRight(text, "\r\n")
		f, ok := fenceOf(text)
		switch {
		case open.length == 0 && ok:
			open = f
			lang, info, _ := strings.Cut(f.info, " ")
			blocks = append(blocks, Block{Path: path, Line: line + 1, Lang: lang, Info: strings.TrimSpace(info)})
		case open.length == 0:
			// Prose.
		case ok && f.closes(open):
			open = fence{}
		default:
			blocks[len(blocks)-1].Text += dedent(text, open.indent) + "\n"
		}
	}
	if open.length > 0 {
		return nil, fmt.Errorf("%s:%d: the code block is not closed", path, blocks[len(blocks)-1].Line-1)
	}
	return blocks, nil
}

// fence is the opening or closing line of a block.
type fence struct {
	mark   byte // ` or ~
	length int
	indent int
	info   string
}

func fenceOf(line string) (fence, bool) {
	trimmed := strings.TrimLeft(line, " ")
	if trimmed == "" || trimmed[0] != '`' && trimmed[0] != '~' {
		return fence{}, false
	}
	rest := strings.TrimLeft(trimmed, trimmed[:1])
	f := fence{
		mark:   trimmed[0],
		length: len(trimmed) - len(rest),
		indent: len(line) - len(trimmed),
		info:   strings.TrimSpace(rest),
	}
	if f.length < 3 || f.mark == '`' && strings.Contains(f.info, "`") { // code within a line of prose
		return fence{}, false
	}
	return f, true
}

func (f fence) closes(open fence) bool {
	return f.mark == open.mark && f.length >= open.length && f.info == ""
}

// dedent removes up to n leading spaces of a line.
func dedent(line string, n int) string {
	for ; n > 0 && strings.HasPrefix(line, " "); n-- {
		line = line[1:]
	}
	return line
}

// RunShell runs the sh blocks of a page in order, as a single bash script in
// the folder dir, and returns standard output and standard error together. A
// failing command ends the script and fails the test, with the command and the
// line on the page. Env (NAME=value) is added to the environment of this
// process. At the end of the script, RunShell kills the script's background
// processes.
func RunShell(t testing.TB, dir string, env []string, blocks ...Block) string {
	t.Helper()
	out, err := runShell(t, dir, env, blocks)
	if err != nil {
		t.Fatalf("the blocks as one shell script: got %v, want exit status 0\n%s", err, out)
	}
	return out
}

func runShell(t testing.TB, dir string, env []string, blocks []Block) (string, error) {
	page, script, err := script(blocks)
	if err != nil {
		return "", err
	}
	// Use a file, because a background program may keep a pipe open.
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		return "", err
	}
	defer out.Close()
	bash := exec.CommandContext(t.Context(), "bash", "-c", script, page)
	bash.Dir = dir
	bash.Env = append(os.Environ(), env...)
	bash.Stdout, bash.Stderr = out, out
	bash.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	runErr := bash.Run()
	if bash.Process != nil {
		_ = syscall.Kill(-bash.Process.Pid, syscall.SIGKILL) // fails if no process is left, the usual case
	}
	output, err := os.ReadFile(out.Name())
	return string(output), errors.Join(runErr, err)
}

// script joins the sh blocks into a single script. Each command has the same
// line number in the script as on the page, so that bash reports the line of
// the page. The first line of the script is free for the settings of bash,
// because no block begins before the second line of a page.
func script(blocks []Block) (page, script string, err error) {
	script = `set -eEuo pipefail; trap 'echo "$0: line $LINENO: failed with status $?: $BASH_COMMAND" >&2' ERR` + "\n"
	line := 2
	for _, b := range blocks {
		if b.Lang != "sh" {
			continue
		}
		if page != "" && b.Path != page || b.Line < line {
			return "", "", fmt.Errorf("%s:%d: the blocks to run are not those of one page in order", b.Path, b.Line)
		}
		page = b.Path
		script += strings.Repeat("\n", b.Line-line) + b.Text
		line = b.Line + strings.Count(b.Text, "\n")
	}
	if page == "" {
		return "", "", errors.New("there is no block of sh to run")
	}
	return page, script, nil
}
