package graph

import (
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"tagma/graph/generated"
)

func contractNames() vocabulary {
	return newVocabulary(generated.NewExecutableSchema(generated.Config{}).Schema())
}

func TestWord_EveryRuleOfTheValidationHasWordsOfItsOwn(t *testing.T) {
	for name := range rules.NewDefaultRules().GetInner() {
		if base, ok := strings.CutSuffix(name, "WithoutSuggestions"); ok {
			name = base
		}
		if len(validation[name]) == 0 {
			t.Errorf("the rule %s has no words", name)
		}
	}
}

func TestWord_WhatTheLibraryMaySayIsNeverRepeatedUnlessTheContractHasIt(t *testing.T) {
	const secret = "canary"
	names := contractNames()
	for name := range validation {
		for _, message := range []string{
			secret, `"` + secret + `"`, `x "Image" ` + secret, `Cannot query field "` + secret + `" on type "` + secret + `".`,
			`Unknown argument "a" on field "` + secret + `.md5".`, `Expected value of type "` + secret + `", found 1.`,
			`Value "x" does not exist in "` + secret + `" enum. Did you mean the enum value "` + secret + `"?`,
			`Field "` + secret + `" of type "` + secret + `" must have a selection of subfields. Did you mean "` + secret + ` { ... }"?`,
			`Variable "$` + secret + `" of type "` + secret + `" used in position expecting type "` + secret + `".`,
		} {
			err := &gqlerror.Error{Rule: name, Message: message}
			if got := names.word(err); got == "" || strings.Contains(got, secret) {
				t.Errorf("%s: %q is worded %q", name, message, got)
			}
		}
	}
	for _, message := range []string{secret, "Unexpected " + secret, "Expected Name, found " + secret, "operation " + secret + " not found"} {
		if got := names.word(&gqlerror.Error{Message: message}); got == "" || strings.Contains(got, secret) {
			t.Errorf("%q is worded %q, want words without %s", message, got, secret)
		}
	}
}

func TestWord_NamesOfTheContractStayAndAreSuggested(t *testing.T) {
	names := contractNames()
	for _, c := range []struct{ rule, message, want string }{
		{"FieldsOnCorrectType", `Cannot query field "md" on type "Image". Did you mean "md5"?`, "Image has no field of this name: did you mean md5?"},
		{"FieldsOnCorrectType", `Cannot query field "x" on type "Node". Did you mean to use an inline fragment on "Image" or "Device"?`, "Node has no field of this name: did you mean Image or Device?"},
		{"ProvidedRequiredArguments", `Field "images" argument "keys" of type "[ImageKey!]!" is required, but it was not provided.`, "the field images needs the argument keys of type [ImageKey!]!"},
		{"VariablesInAllowedPosition", `Variable "$n" of type "Int" used in position expecting type "ID!".`, "a variable of type Int stands where ID! is expected"},
		{"", "Unexpected <EOF>", "the query ends too early: look for a brace that is not closed"},
		{"", "operation  not found", "the query has several operations: say with operationName which to run"},
	} {
		if got := names.word(&gqlerror.Error{Rule: c.rule, Message: c.message}); got != c.want {
			t.Errorf("%q is worded %q, want %q", c.message, got, c.want)
		}
	}
}
