package schemalint

import (
	"os"
	"testing"
)

func TestSchema_ObeysEveryRule(t *testing.T) {
	source, err := os.ReadFile("../../../schema.graphql")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range []struct {
		fault string
		find  func(source string) ([]string, error)
	}{
		{"no description", Undescribed},
		{"not a payload of its own", WithoutPayload},
		{"an id of an object that is no Node", IDsOutsideNodes},
	} {
		faults, err := rule.find(string(source))
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faults {
			t.Errorf("schema.graphql: got %s (%s), want no such fault", fault, rule.fault)
		}
	}
}
