package command

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tagma/internal/server/config"
)

// top is the repository's folder.
const top = "../../.."

// composed is what of compose.yaml is looked at.
type composed struct {
	Services map[string]struct {
		Image       string
		Entrypoint  []string
		Command     []string
		Environment map[string]string
		Volumes     []string
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		Healthcheck struct{ Test []string }
		Configs     []struct{ Source string }
	}
	Configs map[string]struct{ Content string }
	Volumes map[string]any
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func compose(t *testing.T) composed {
	t.Helper()
	var c composed
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// A variable of compose.yaml that the reader has to set.
var reference = regexp.MustCompile(`\$\{(\w+)(:-[^}]*|:\?[^}]*)?\}`)

// settle gives a server the settings of an environment, as it reads them.
func settle(t *testing.T, environment map[string]string) *config.Config {
	t.Helper()
	c := config.Default()
	flags := pflag.NewFlagSet("tagma", pflag.ContinueOnError)
	c.StoreFlags(flags)
	c.ServeFlags(flags)
	c.LabelFlags(flags)
	known := map[string]bool{}
	flags.VisitAll(func(f *pflag.Flag) { known[config.Variable(f.Name)] = true })
	for name := range environment {
		if strings.HasPrefix(name, "TAGMA_") && !known[name] {
			t.Errorf("there is no setting %s", name)
		}
	}
	err := config.FromEnvironment(flags, func(name string) (string, bool) {
		value, ok := environment[name]
		return reference.ReplaceAllString(value, "value"), ok
	})
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		t.Error(err)
	}
	return c
}

func TestCompose_EverySettingThatItGivesTagmaIsOneThatThereIs(t *testing.T) {
	c := compose(t)
	for _, name := range []string{"tagma-1", "tagma-2"} {
		of, ok := c.Services[name]
		if !ok {
			t.Fatalf("there is no service %s", name)
		}
		if len(of.Command) > 0 || len(of.Entrypoint) > 0 {
			t.Errorf("%s has flags, at which this test does not look", name)
		}
		given := settle(t, of.Environment)
		if !strings.HasPrefix(given.Database, "postgres://") || !strings.HasPrefix(given.Storage, "s3://tagma?") || !given.TrustProxy {
			t.Errorf("settings: got %+v, want PostgreSQL, the bucket tagma and a trusted proxy", given)
		}
		if !strings.Contains(c.Configs["caddyfile"].Content, " "+name+":8080 ") {
			t.Errorf("the proxy does not know %s", name)
		}
	}
}

func TestCompose_WhatItNamesIsThereAndPinned(t *testing.T) {
	c := compose(t)
	tools := read(t, "internal/tools/s3server/go.mod")
	for name, of := range c.Services {
		repository, version, ok := strings.Cut(of.Image, ":")
		if of.Image != "tagma" && (!ok || !regexp.MustCompile(`^v?\d+\.\d+`).MatchString(version)) {
			t.Errorf("%s is not pinned: %q", name, of.Image)
		}
		if repository == "versity/versitygw" && !strings.Contains(tools, "github.com/versity/versitygw "+version+" ") {
			t.Errorf("%s is %s, which is not the version that tests run", name, version)
		}
		for other, how := range of.DependsOn {
			needed, ok := c.Services[other]
			if !ok {
				t.Errorf("%s needs %s, which is not there", name, other)
			}
			if how.Condition == "service_healthy" && needed.Image != "tagma" && len(needed.Healthcheck.Test) == 0 {
				t.Errorf("%s waits for %s, which has no health check", name, other)
			}
		}
		for _, mount := range of.Volumes {
			volume, _, _ := strings.Cut(mount, ":")
			if _, ok := c.Volumes[volume]; !ok {
				t.Errorf("%s mounts %s, which is not there", name, volume)
			}
		}
		for _, file := range of.Configs {
			if c.Configs[file.Source].Content == "" {
				t.Errorf("%s reads %s, which is not there", name, file.Source)
			}
		}
		for variable, value := range of.Environment {
			if regexp.MustCompile(`PASSWORD|SECRET|ACCESS_KEY`).MatchString(variable) && !reference.MatchString(value) {
				t.Errorf("%s of %s has a default that everybody knows", variable, name)
			}
		}
	}
}

func TestDockerfile_RunsACommandThatThereIsAsNobodySpecial(t *testing.T) {
	text := read(t, "Dockerfile")
	find := func(form string) string {
		t.Helper()
		found := regexp.MustCompile(`(?m)`+form).FindAllStringSubmatch(text, -1)
		if found == nil {
			t.Fatalf("it has no %s", form)
		}
		return found[len(found)-1][1]
	}
	if user := find(`^USER (.*)$`); user == "root" || strings.HasPrefix(user, "0") {
		t.Errorf("it runs as %s", user)
	}
	if last := find(`^FROM (\S+)`); last != "scratch" {
		t.Errorf("it is made of %s", last)
	}
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
	if version := find(`golang:(\S+) AS build`); !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(version) || !strings.HasPrefix(version, wanted) {
		t.Errorf("it is built by Go %s, and go.mod wants %s", version, wanted)
	}
	environment := map[string]string{}
	for _, pair := range strings.Fields(find(`^ENV (.*)$`)) {
		name, value, _ := strings.Cut(pair, "=")
		environment[name] = value
	}
	if given := settle(t, environment); given.Listen != ":8080" || given.Data != find(`^VOLUME (.*)$`) {
		t.Errorf("settings: got %+v, want :8080 and the volume", given)
	}
	check := strings.Fields(strings.NewReplacer(`"`, "", ",", "").Replace(find(`CMD \[(.*)\]$`)))
	root := Root("", func(*cobra.Command, *config.Config) error { return nil })
	if command, rest, err := root.Find(check[1:]); err != nil || command == root || len(rest) > 0 || check[0] != find(`^ENTRYPOINT \["(\w+)"\]`) {
		t.Errorf("%q is no command: %v", check, err)
	}
	if ignored := strings.Split(read(t, ".dockerignore"), "\n"); !slices.Equal(ignored[:1], []string{"*"}) {
		t.Error("whatever lies about gets into the image's making")
	}
}

func TestMakefile_ABuildReusesWhatGoRunHasCompiled(t *testing.T) {
	found := regexp.MustCompile(`(?m)^build:.*\n\t(.*)$`).FindStringSubmatch(read(t, "Makefile"))
	if want := "go build -o tagma ."; found == nil || found[1] != want { // any other flag or variable compiles everything again
		t.Errorf("make build does %q, want %q", found, want)
	}
}
