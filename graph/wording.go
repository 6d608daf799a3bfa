package graph

import (
	"regexp"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// vocabulary is the names of the contract: of types, fields, arguments, values
// of enums and directives. The contract is public, so these names may stand in
// any error.
type vocabulary map[string]bool

// newVocabulary returns the names of a schema.
func newVocabulary(schema *ast.Schema) vocabulary {
	names := vocabulary{}
	arguments := func(of ast.ArgumentDefinitionList) {
		for _, argument := range of {
			names[argument.Name] = true
		}
	}
	for _, def := range schema.Types {
		names[def.Name] = true
		for _, field := range def.Fields {
			names[field.Name] = true
			arguments(field.Arguments)
		}
		for _, value := range def.EnumValues {
			names[value.Name] = true
		}
	}
	for _, directive := range schema.Directives {
		names[directive.Name] = true
		arguments(directive.Arguments)
	}
	return names
}

// has reports whether text is a name of the contract, or a type made of one,
// such as [Image!]!.
func (v vocabulary) has(text string) bool { return v[strings.Trim(text, "[]!")] }

// phrase is an error of the library in Tagma's words.
type phrase struct {
	form *regexp.Regexp // what the library's message begins with; each group is a name of the contract
	text string         // what a caller reads, with $1 for the first group
}

func say(form, text string) phrase { return phrase{regexp.MustCompile(`(?s)^` + form), text} }

// word writes an error of the parser or of the validation anew. The library repeats parts of the request in its messages, and
// any part may be a password: a string without its quotes is a name to the
// parser. So no text of the library's leaves the server: a message is a phrase
// from the tables below, and a group of a phrase is repeated only if the
// contract has that name.
func (v vocabulary) word(err *gqlerror.Error) string {
	if err.Rule == scalarRule {
		return err.Message
	}
	phrases, other := parsing, "the query is not valid GraphQL"
	if err.Rule != "" {
		phrases, other = validation[err.Rule], "the query is not valid by the contract, which is at /schema.graphql"
	}
	for _, p := range phrases {
		groups := p.form.FindStringSubmatchIndex(err.Message)
		if groups == nil {
			continue
		}
		if texts := p.form.FindStringSubmatch(err.Message); slices.ContainsFunc(texts[1:], func(text string) bool { return !v.has(text) }) {
			break
		}
		return string(p.form.ExpandString(nil, p.text, err.Message, groups)) + v.suggestion(err.Message)
	}
	return other
}

var (
	suggestions = regexp.MustCompile(`(?s) Did you mean (.*)\?$`)
	quoted      = regexp.MustCompile(`"(\w+)"`)
)

// suggestion returns the names of the contract that the library suggests.
func (v vocabulary) suggestion(message string) string {
	found := suggestions.FindStringSubmatch(message)
	if found == nil {
		return ""
	}
	var names []string
	for _, name := range quoted.FindAllStringSubmatch(found[1], -1) {
		if v.has(name[1]) {
			names = append(names, name[1])
		}
	}
	if names == nil {
		return ""
	}
	return ": did you mean " + strings.Join(names, " or ") + "?"
}

// kind is a pattern of what the lexer calls its tokens.
const kind = `(?:<\w+>|[!$&(){}:=@|]|\[|\]|\.\.\.|Name|Int|Float|String|BlockString|Comment)`

// parsing is the errors of the parser, and of what goes before validation. The
// parser tells of a token that the lexer refuses only its kind, <Invalid>.
var parsing = []phrase{
	say(`no operation provided$`, "the query holds no operation"),
	say(`operation  not found$`, "the query has several operations: say with operationName which to run"),
	say(`operation .* not found$`, "the query has no operation of the name that operationName gives"),
	say(`exceeded token limit`, "the query has more tokens than limits { queryTokens } allows"),
	say(`exceeded maximum nesting depth`, "the query is nested too deep"),
	say(`.* <Invalid>$`, "GraphQL has no such string, number or character: put strings in double quotes, close each string, and write control characters as escape sequences"),
	say(`(?:Expected|Unexpected|expected).* <EOF>$`, "the query ends too early: look for a brace that is not closed"),
	say(`Expected Name, found `, "a name is expected here"),
	say(`Expected "on", found `, "a fragment needs the word on and a type here"),
	say(`Expected \{, found `, "an opening brace is expected here"),
	say(`Expected :, found `, "a colon is expected here"),
	say(`Expected `+kind+`, found `, "the query does not go on as GraphQL does here"),
	say(`expected at least one definition, found `, "at least one entry is expected here"),
	say(`Unexpected `, "the query does not go on as GraphQL does here: put strings in quotes"),
	say(`must not be null$`, "must not be null"),
	say(`the requested element is null which the schema does not allow$`, "must not be null"),
}

// validation is the errors of each rule.
var validation = map[string][]phrase{
	"FieldsOnCorrectType":       {say(`Cannot query field ".*" on type "([^"]*)"\.`, "$1 has no field of this name")},
	"FragmentsOnCompositeTypes": {say(`Fragment .*cannot condition on non composite type "([^"]*)"`, "a fragment cannot be on $1, which has no fields")},
	"KnownArgumentNames": {
		say(`Unknown argument ".*" on field "([^".]*)\.([^".]*)"`, "$1.$2 has no argument of this name"),
		say(`Unknown argument ".*" on directive "@([^"]*)"`, "the directive @$1 has no argument of this name"),
	},
	"KnownDirectives": {
		say(`Unknown directive`, "there is no directive of this name"),
		say(`Directive "@([^"]*)" may not be used on`, "the directive @$1 may not stand here"),
	},
	"KnownFragmentNames":           {say(``, "the query has no fragment of this name")},
	"KnownRootType":                {say(``, "the contract has no operations of this kind")},
	"KnownTypeNames":               {say(``, "the contract has no type of this name")},
	"LoneAnonymousOperation":       {say(``, "an operation without a name must be the only one of its query")},
	"MaxIntrospectionDepth":        {say(``, "the introspection is nested too deep")},
	"NoFragmentCycles":             {say(``, "a fragment spreads itself")},
	"NoUndefinedVariables":         {say(``, "the operation does not declare this variable")},
	"NoUnusedFragments":            {say(``, "this fragment is never used")},
	"NoUnusedVariables":            {say(``, "this variable is never used")},
	"OverlappingFieldsCanBeMerged": {say(``, "two different fields would have the same name in the answer: give one of them an alias")},
	"PossibleFragmentSpreads":      {say(``, "this fragment is on a type that there can never be here")},
	"ProvidedRequiredArguments": {
		say(`Field "([^"]*)" argument "([^"]*)" of type "([^"]*)" is required`, "the field $1 needs the argument $2 of type $3"),
		say(`Directive "@([^"]*)" argument "([^"]*)" of type "([^"]*)" is required`, "the directive @$1 needs the argument $2 of type $3"),
	},
	"ScalarLeafs": {
		say(`Field "([^"]*)" must not have a selection since type "([^"]*)" has no subfields`, "the field $1 takes no fields in braces, because $2 has none"),
		say(`Field "([^"]*)" of type "([^"]*)" must have a selection of subfields`, "the field $1 of type $2 needs fields in braces"),
	},
	"SingleFieldSubscriptions":    {say(``, "a subscription must ask for one field, and not for introspection")},
	"UniqueArgumentNames":         {say(``, "an argument is given twice")},
	"UniqueDirectivesPerLocation": {say(``, "a directive that may stand once stands here twice")},
	"UniqueFragmentNames":         {say(``, "two fragments have the same name")},
	"UniqueInputFieldNames":       {say(``, "a field of an input is given twice")},
	"UniqueOperationNames":        {say(``, "two operations have the same name")},
	"UniqueVariableNames":         {say(``, "a variable is declared twice")},
	"ValuesOfCorrectType": {
		say(`Int cannot represent`, "the value must be a whole number of 32 bits, for Int"),
		say(`String cannot represent`, "the value must be a string in quotes, for String"),
		say(`(Boolean|Float|ID) cannot represent`, "the value is not of type $1"),
		say(`Enum "([^"]*)" cannot represent`, "the value must be one of the enum $1, without quotes"),
		say(`Value "\w*" does not exist in "([^"]*)" enum`, "the enum $1 has no value of this name"),
		say(`Expected value of type "([^"]*)", found `, "the value is not of type $1"),
		say(`Field "([^".]*)\.([^".]*)" of required type "([^"]*)" was not provided`, "the input lacks $1.$2 of type $3"),
		say(`Field ".*" is not defined by type "([^"]*)"\.`, "$1 has no field of this name"),
		say(`OneOf Input Object "([^"]*)"`, "$1 takes exactly one of its fields"),
	},
	"VariablesAreInputTypes":     {say(`Variable .* cannot be non-input type "([^"]*)"`, "a variable cannot be of type $1, which is no input")},
	"VariablesInAllowedPosition": {say(`Variable "[^"]*" of type "([^"]*)" used in position expecting type "([^"]*)"`, "a variable of type $1 stands where $2 is expected")},
}
