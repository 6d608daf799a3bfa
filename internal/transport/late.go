package transport

import (
	"bytes"
	"encoding/json"

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

// decodeLate is decodeParams in one pass, whose variables that are long lists
// stay Late. It says no to whatever is not as it should be, or is read in more
// than one way, a key that is there twice.
func decodeLate(document []byte) (*graphql.RawParams, bool) {
	l := late{jsontext.NewDecoder(bytes.NewBuffer(document)), document}
	params := &graphql.RawParams{}
	text := func(into *string) bool {
		token, err := l.ReadToken()
		if err == nil && token.Kind() == '"' {
			*into = token.String()
			return true
		}
		return false
	}
	ok := l.members(func(name string) bool {
		switch name {
		case "query":
			return text(&params.Query)
		case "operationName":
			return l.PeekKind() == 'n' && l.SkipValue() == nil || text(&params.OperationName)
		case "variables":
			return l.PeekKind() == 'n' && l.SkipValue() == nil || l.variables(params)
		case "extensions", "documentId":
			return false // which are read elsewhere
		default:
			return l.SkipValue() == nil
		}
	})
	return params, ok && params.Query != "" && l.InputOffset() == int64(len(document))
}

// late reads a document, which lies in memory as a whole.
type late struct {
	*jsontext.Decoder
	document []byte
}

// members calls each for every member of an object, which reads its value.
func (l late) members(each func(name string) bool) bool {
	if token, err := l.ReadToken(); err != nil || token.Kind() != '{' {
		return false
	}
	for {
		token, err := l.ReadToken()
		if err != nil || token.Kind() == '}' {
			return err == nil
		}
		if !each(token.String()) {
			return false
		}
	}
}

func (l late) variables(params *graphql.RawParams) bool {
	params.Variables = map[string]any{}
	return l.members(func(name string) (ok bool) {
		if l.PeekKind() != '[' {
			params.Variables[name], ok = l.value()
			return ok
		}
		read, err := l.ReadValue()
		if err != nil {
			return false
		}
		end := l.InputOffset()
		list := Late(l.document[end-int64(len(read)) : end])
		if len(list) >= longList {
			params.Variables[name] = list
			return true
		}
		params.Variables[name], err = list.Decode()
		return err == nil
	})
}

// value is what comes next, as decodeValue would have it.
func (l late) value() (value any, ok bool) {
	switch l.PeekKind() {
	case '{':
		object := map[string]any{}
		return object, l.members(func(name string) (ok bool) {
			object[name], ok = l.value()
			return ok
		})
	case '[':
		list := []any{}
		if _, err := l.ReadToken(); err != nil {
			return nil, false
		}
		for l.PeekKind() != ']' {
			item, ok := l.value()
			if !ok {
				return nil, false
			}
			list = append(list, item)
		}
		_, err := l.ReadToken()
		return list, err == nil
	}
	token, err := l.ReadToken()
	if err != nil {
		return nil, false
	}
	switch token.Kind() {
	case 'n':
		return nil, true
	case 't', 'f':
		return token.Bool(), true
	case '"':
		return token.String(), true
	default:
		return json.Number(token.String()), true
	}
}
