package doctest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func blocksOf(t *testing.T, page string) []Block {
	t.Helper()
	blocks, err := parse("page.md", page)
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

func TestBlocks_FindsEachFencedBlockWithItsPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	page := "# Page\n\n```sh\necho one\n\necho two\n```\nprose ``` prose ```\n" +
		"- item\n\n  ```graphql query of=images\n  {\n    images\n  }\n  ```\n" +
		"~~~\n```\nnot a fence here\n```\n~~~\n````md\n```sh\n```\n````\r\n```\n```\n"
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Blocks(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Block{
		{path, 4, "sh", "", "echo one\n\necho two\n"},
		{path, 12, "graphql", "query of=images", "{\n  images\n}\n"},
		{path, 17, "", "", "```\nnot a fence here\n```\n"},
		{path, 22, "md", "", "```sh\n```\n"},
		{path, 26, "", "", ""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestBlocks_ABlockThatIsNotClosedIsAnError(t *testing.T) {
	_, err := parse("page.md", "text\n```sh\necho\n``\n")
	if err == nil || !strings.HasPrefix(err.Error(), "page.md:2:") {
		t.Errorf("got %v, want an error at page.md:2", err)
	}
}

func TestRunShell_BlocksShareOneShellAndTheEnvironmentThatIsGiven(t *testing.T) {
	dir := t.TempDir()
	blocks := blocksOf(t, "```sh\nname=$GREETING\n```\n```graphql\n{ no shell }\n```\n```sh\ntouch made; echo \"$name\"\n```\n")
	if got := RunShell(t, dir, []string{"GREETING=hello"}, blocks...); got != "hello\n" {
		t.Errorf("printed %q, want hello", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "made")); err != nil {
		t.Errorf("did not run in the folder: %v", err)
	}
}

func TestRunShell_AFailureNamesTheLineOnThePage(t *testing.T) {
	for name, tc := range map[string]struct{ page, want string }{
		"a command":           {"# Page\n```sh\ntrue\n```\n\n```sh\ntrue\nfalse\necho unreached\n```\n", "page.md: line 8: failed with status 1: false"},
		"in a pipe":           {"```sh\nfalse | cat\necho unreached\n```\n", "page.md: line 2: failed with status 1"},
		"in a function":       {"```sh\nf() {\nfalse\n}\nf\necho unreached\n```\n", "page.md: line 3: failed with status 1"},
		"a name without one":  {"\n```sh\necho $no_such\necho unreached\n```\n", "page.md: line 3: no_such: unbound variable"},
		"no such command":     {"```sh\n\nno-such-command\necho unreached\n```\n", "page.md: line 3: no-such-command: command not found"},
		"a mistake of syntax": {"```sh\ntrue\n)\necho unreached\n```\n", "line 3: syntax error"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := runShell(t, t.TempDir(), nil, blocksOf(t, tc.page))
			if err == nil || !strings.Contains(out, tc.want) || strings.Contains(out, "\nunreached") {
				t.Errorf("got %v and %q, want %q", err, out, tc.want)
			}
		})
	}
}

func TestRunShell_WhatIsLeftInTheBackgroundDoesNotHoldItUp(t *testing.T) {
	RunShell(t, t.TempDir(), nil, blocksOf(t, "```sh\nsleep 3600 &\n```\n")...)
}

func TestRunShell_NothingToRunIsAFailure(t *testing.T) {
	if _, err := runShell(t, t.TempDir(), nil, blocksOf(t, "```json\n{}\n```\n")); err == nil {
		t.Error("ran a page without a block of sh")
	}
}

func TestRunShell_TwoPagesAtOnceAreRefused(t *testing.T) {
	blocks := []Block{{Path: "a.md", Line: 2, Lang: "sh"}, {Path: "b.md", Line: 9, Lang: "sh"}}
	if _, err := runShell(t, t.TempDir(), nil, blocks); err == nil {
		t.Error("ran blocks of two pages as one")
	}
}
