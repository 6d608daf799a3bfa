package transport

import (
	"bytes"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json/jsontext"
)

// Late is the JSON of a variable, a long list, that is not decoded yet: whoever
// knows what it is a list of reads it straight into that. Decode is for the rest.
type Late []byte

// Decode is the value as it would have come, had it been short.
func (l Late) Decode() (any, error) {
	var value any
	err := decodeValue(l, &value)
	return value, err
}

// longList is how many bytes a list has that is worth the trouble.
const longList = 16 << 10

// decodeLate is decodeParams for a long document, whose variables that are long
// lists stay Late. It says no to whatever is not as it should be, or is read in
// more than one way, a key that is there twice.
func decodeLate(document []byte) (*graphql.RawParams, bool) {
	if len(document) < longList {
		return nil, false
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(document))
	value := func() []byte {
		read, err := d.ReadValue()
		if err != nil {
			return nil
		}
		end := d.InputOffset()
		return document[end-int64(len(read)) : end]
	}
	// members calls each for every member of an object, which reads its value.
	members := func(each func(name string) bool) bool {
		if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
			return false
		}
		for {
			token, err := d.ReadToken()
			if err != nil || token.Kind() == '}' {
				return err == nil
			}
			if !each(token.String()) {
				return false
			}
		}
	}
	params := &graphql.RawParams{}
	variable := func(name string) bool {
		text := value()
		if len(text) >= longList && text[0] == '[' {
			params.Variables[name] = Late(text)
			return true
		}
		var short any
		if len(text) == 0 || decodeValue(text, &short) != nil {
			return false
		}
		params.Variables[name] = short
		return true
	}
	ok := members(func(name string) bool {
		switch name {
		case "query", "operationName":
			into := map[string]*string{"query": &params.Query, "operationName": &params.OperationName}[name]
			text := value()
			return len(text) > 0 && text[0] == '"' && decodeValue(text, into) == nil
		case "variables":
			params.Variables = map[string]any{}
			return members(variable)
		case "extensions", "documentId":
			return false // rare beside a long list, and read elsewhere
		default:
			return value() != nil
		}
	})
	return params, ok && params.Query != "" && d.InputOffset() == int64(len(document))
}
