package config

import (
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// flags are all of a server's, and the settings that they set.
func flags() (*pflag.FlagSet, *Config) {
	c := Default()
	set := pflag.NewFlagSet("tagma", pflag.ContinueOnError)
	c.StoreFlags(set)
	c.ServeFlags(set)
	c.LabelFlags(set)
	return set, c
}

// from is an environment.
func from(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

func TestFlags_EachIsExplainedAndHasAVariable(t *testing.T) {
	set, _ := flags()
	variables := map[string]string{}
	set.VisitAll(func(f *pflag.Flag) {
		if len(f.Usage) < 8 {
			t.Errorf("--%s is not explained", f.Name)
		}
		name := Variable(f.Name)
		if !regexp.MustCompile(`^TAGMA_[A-Z]+(_[A-Z]+)*$`).MatchString(name) || variables[name] != "" {
			t.Errorf("--%s is %s, as is --%s", f.Name, name, variables[name])
		}
		variables[name] = f.Name
	})
	if variables["TAGMA_LOG_FORMAT"] != "log-format" || len(variables) < 20 {
		t.Errorf("variables of flags: got %v, want TAGMA_LOG_FORMAT and at least 19 others", variables)
	}
}

func TestFromEnvironment_EveryVariableSetsItsFlag(t *testing.T) {
	set, _ := flags()
	values := map[string]string{}
	set.VisitAll(func(f *pflag.Flag) {
		value := map[string]string{"string": "elsewhere", "int": "17", "int64": "17", "bool": "true", "duration": "17m0s", "stringSlice": "[elsewhere]"}[f.Value.Type()]
		if value == "" {
			t.Fatalf("--%s: got the type %s, want a type with a value in this test", f.Name, f.Value.Type())
		}
		values[Variable(f.Name)] = value
	})
	given := maps.Clone(values)
	given["TAGMA_CORS_ORIGINS"] = "elsewhere" // a list is shown in brackets
	if err := FromEnvironment(set, from(given)); err != nil {
		t.Fatal(err)
	}
	set.VisitAll(func(f *pflag.Flag) {
		if f.Value.String() != values[Variable(f.Name)] {
			t.Errorf("--%s: got %s, want %s", f.Name, f.Value, values[Variable(f.Name)])
		}
	})
}

func TestFromEnvironment_AFlagWins(t *testing.T) {
	set, c := flags()
	if err := set.Parse([]string{"--listen", "given"}); err != nil {
		t.Fatal(err)
	}
	err := FromEnvironment(set, from(map[string]string{"TAGMA_LISTEN": "other", "TAGMA_DATA": "there", "TAGMA_NOTHING": "x"}))
	if err != nil || c.Listen != "given" || c.Data != "there" {
		t.Errorf("FromEnvironment: got listen %s, data %s, %v, want given and there", c.Listen, c.Data, err)
	}
}

func TestFromEnvironment_AnErrorNamesTheVariablesAndHidesTheirValues(t *testing.T) {
	set, _ := flags()
	err := FromEnvironment(set, from(map[string]string{"TAGMA_TIMEOUT": "canary", "TAGMA_MAX_FILES": "canary", "TAGMA_TRUST_PROXY": "canary"}))
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"TAGMA_TIMEOUT", "--timeout", "TAGMA_MAX_FILES", "TAGMA_TRUST_PROXY"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("a value is told: %v", err)
	}
}

func TestCheck_TheDefaultsHoldAndFillInTheRest(t *testing.T) {
	c := Default()
	c.Data = "there"
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if c.Database != "sqlite:there/tagma.db" || c.Storage != "file:there/files" {
		t.Errorf("defaults: got %s and %s, want sqlite:there/tagma.db and file:there/files", c.Database, c.Storage)
	}
	c.Data = "elsewhere"
	if err := c.Check(); err != nil || c.Database != "sqlite:there/tagma.db" {
		t.Errorf("what was set has changed: %s, %v", c.Database, err)
	}
	if c.Page().Default > c.Page().Max || c.Images().Pixels != c.Pixels || c.Images().FileBytes != c.Transport.FileBytes {
		t.Errorf("limits: got %+v and %+v, want a default page of at most the maximum, %d pixels and %d bytes", c.Page(), c.Images(), c.Pixels, c.Transport.FileBytes)
	}
}

func TestDefault_APhotographOf64MegapixelsIsAdmitted(t *testing.T) {
	if got, want := Default().Images().Pixels, int64(9248*6944); got < want {
		t.Errorf("pixels of a photograph: got %d, want at least %d", got, want)
	}
}

func TestCheck_EveryProblemIsToldByItsFlag(t *testing.T) {
	set, c := flags()
	set.VisitAll(func(f *pflag.Flag) {
		switch f.Value.Type() {
		case "int", "int64":
			_ = set.Set(f.Name, "-1")
		case "duration":
			_ = set.Set(f.Name, "-1s")
		}
	})
	err := c.Check()
	set.VisitAll(func(f *pflag.Flag) {
		if kind := f.Value.Type(); kind == "int" || kind == "int64" || kind == "duration" {
			if err == nil || !regexp.MustCompile(`--`+f.Name+`\b`).MatchString(err.Error()) {
				t.Errorf("--%s may be -1: %v", f.Name, err)
			}
		}
	})
	for name, change := range map[string]func(*Config){
		"a page longer than the longest": func(c *Config) { c.Guard.DefaultPage = c.Guard.Page + 1 },
		"links for a minute":             func(c *Config) { c.LinkLifetime = time.Minute },
		"links for a year":               func(c *Config) { c.LinkLifetime = 365 * 24 * time.Hour },
		"no time":                        func(c *Config) { c.Timeout = 0 },
		"a page of every origin":         func(c *Config) { c.Origins = []string{"https://lab.example.org", "*"} },
		"no pixels":                      func(c *Config) { c.Pixels = 0 },
	} {
		c := Default()
		if change(c); c.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTemporary_IsAFolderThatOnlyItsOwnerReads(t *testing.T) {
	c := Default()
	c.Data = t.TempDir()
	for range 2 {
		if folder, err := c.Temporary(); err != nil || !strings.HasPrefix(folder, c.Data) {
			t.Error(folder, err)
		}
	}
}
