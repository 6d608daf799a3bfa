package credentials

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogin_WhatIsWrittenIsReadUntilItIsForgotten(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	if got, err := Read(); got != nil || err != nil {
		t.Errorf("before: %v %v", got, err)
	}
	want := Login{Server: "https://tagma.example.org", Username: "ada", Token: "secret", ExpiresAt: 1592683200000}
	for range 2 { // the second in place of the first
		name, err := Write(want)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of the file: got %v, %v, want 0600", info, err)
		}
	}
	if got, err := Read(); err != nil || *got != want {
		t.Errorf("Read: got %v, %v, want %v", got, err, want)
	}
	if files, _ := filepath.Glob(filepath.Join(home, "config", "tagma", "*")); len(files) != 1 {
		t.Errorf("it leaves %v", files)
	}
	for range 2 {
		if err := Forget(); err != nil {
			t.Error(err)
		}
	}
	if got, err := Read(); got != nil || err != nil {
		t.Errorf("after: %v %v", got, err)
	}
}

func TestLogin_ADamagedFileIsToldWithoutItsContent(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	name, err := Write(Login{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(`{"token": canary`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(); err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "tagma login") {
		t.Errorf("Read of a damaged file: got %v, want a hint to tagma login without the content", err)
	}
}
