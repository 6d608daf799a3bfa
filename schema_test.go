package main

import (
	"os"
	"testing"

	"tagma/internal/testing/schemalint"
)

func TestSchema_EverythingInItIsDescribed(t *testing.T) {
	source, err := os.ReadFile("schema.graphql")
	if err != nil {
		t.Fatal(err)
	}
	undescribed, err := schemalint.Undescribed(string(source))
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range undescribed {
		t.Errorf("no description: %s", what)
	}
}
