package config

import (
	"slices"
	"strings"
	"testing"
)

func TestFromEnvironment_AWrongValueIsToldWithWhatTheSettingTakesAndNotRepeated(t *testing.T) {
	set, _ := flags()
	err := FromEnvironment(set, from(map[string]string{"TAGMA_TIMEOUT": "773100773", "TAGMA_MAX_FILES": "secret", "TAGMA_TRUST_PROXY": "secret"}))
	if err == nil {
		t.Fatal("there is no error")
	}
	for _, want := range []string{
		"TAGMA_TIMEOUT is not what --timeout takes: give a number with a unit, such as 30s, 5m or 2h",
		"TAGMA_MAX_FILES is not what --max-files takes: give a whole number",
		"TAGMA_TRUST_PROXY is not what --trust-proxy takes: give true or false",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "773100773") {
		t.Errorf("a value is repeated: %v", err)
	}
}

func TestCheckVariables_AnUnknownOneIsToldAndANearMissIsRefused(t *testing.T) {
	for _, c := range []struct {
		variable, unknown, problem string
	}{
		{variable: "TAGMA_TIMEOUT=30s"},
		{variable: "TAGMA_TOKEN=x"},
		{variable: "TAGMA_LABELS_TOKEN=x"},
		{variable: "HOME=/x"},
		{variable: "TAGMATIC=x"},
		{variable: "TAGMA_TEST_POSTGRES=x"},
		{variable: "TAGMA_PORT=tcp://10.0.0.1:8080"},
		{variable: "TAGMA_PORT_8080_TCP_ADDR=10.0.0.1"},
		{variable: "TAGMA_SERVICE_HOST=10.0.0.1"},
		{variable: "TAGMA_SOMETHING_ELSE=secret", unknown: "TAGMA_SOMETHING_ELSE"},
		{variable: "TAGMA_TIMEOUTS=secret", problem: "there is no setting TAGMA_TIMEOUTS: do you mean TAGMA_TIMEOUT?"},
		{variable: "TAGMA_LITSEN=secret", problem: "there is no setting TAGMA_LITSEN: do you mean TAGMA_LISTEN?"},
		{variable: "TAGMA_TRUSTED_DOCUMENT_ONLY=secret", problem: "there is no setting TAGMA_TRUSTED_DOCUMENT_ONLY: do you mean TAGMA_TRUSTED_DOCUMENTS_ONLY?"},
	} {
		unknown, err := CheckVariables([]string{c.variable})
		if got := strings.Join(unknown, " "); got != c.unknown {
			t.Errorf("%s: unknown is %q, want %q", c.variable, got, c.unknown)
		}
		said := ""
		if err != nil {
			said = err.Error()
		}
		if said != c.problem {
			t.Errorf("%s: the error is %q, want %q", c.variable, said, c.problem)
		}
	}
	// All of them at once.
	if _, err := CheckVariables([]string{"TAGMA_LITSEN=x", "TAGMA_DATAS=x"}); err == nil || strings.Count(err.Error(), "there is no setting") != 2 {
		t.Errorf("two near misses are told as %v", err)
	}
}

func TestVariables_AreThoseOfEveryFlag(t *testing.T) {
	for _, name := range []string{"TAGMA_DATA", "TAGMA_LISTEN", "TAGMA_LABELS_REPO", "TAGMA_LABELS_TOKEN", "TAGMA_SERVER", "TAGMA_TOKEN", "TAGMA_RETRY_FOR"} {
		if !slices.Contains(variables(), name) {
			t.Errorf("%s is unknown", name)
		}
	}
}
