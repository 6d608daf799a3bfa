package transport

import (
	"encoding/json"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/jsonscan"
)

// RawList is a variable that is not decoded yet, a long list: whoever knows what it
// is a list of reads its Text straight into that. Decode is for the rest.
type RawList struct {
	Text     string // begins as a list does; whether it is valid JSON was not looked at
	document string // all of what was sent
}

// Decode is the value as it would have come, had it been short. If it is not
// valid, the error is that of the whole document.
func (l RawList) Decode() (any, error) {
	if !json.Valid([]byte(l.Text)) {
		return nil, l.validateDocument()
	}
	var value any
	err := decodeValue([]byte(l.Text), &value)
	return value, err
}

// validateDocument returns the error of the whole document, or nil.
func (l RawList) validateDocument() error {
	_, err := decodeParams(bodyName, []byte(l.document))
	return err
}

// firstRawList is one of the variables that are RawList, if there are any.
func firstRawList(params *graphql.RawParams) *RawList {
	for _, value := range params.Variables {
		if list, ok := value.(RawList); ok {
			return &list
		}
	}
	return nil
}

// minRawList is how many bytes a list has that is worth the trouble.
const minRawList = 16 << 10

// decodeWithRawLists is decodeParams in one pass, whose variables that are long lists
// stay RawList. It says no to whatever is not as it should be, or is read in more
// than one way, a key that is there twice.
func decodeWithRawLists(document string) (*graphql.RawParams, bool) {
	s := jsonscan.New(document)
	params := &graphql.RawParams{}
	seen := map[string]bool{}
	ok := s.Members(func(name string) (ok bool) {
		if seen[name] {
			return false
		}
		seen[name] = true
		switch name {
		case "query":
			params.Query, ok = readText(s)
		case "operationName":
			if ok = s.Null(); !ok {
				params.OperationName, ok = readText(s)
			}
		case "variables":
			if ok = s.Null(); !ok {
				params.Variables = map[string]any{}
				ok = s.Members(func(name string) bool { return readVariable(s, document, name, params.Variables) })
			}
		case "extensions", "documentId": // which are read elsewhere
		default:
			_, ok = readValue(s, 0)
		}
		return ok
	})
	return params, ok && params.Query != "" && s.End()
}

func readVariable(s *jsonscan.Scanner, document, name string, variables map[string]any) (ok bool) {
	if _, duplicate := variables[name]; duplicate {
		return false
	}
	if s.Next() == '[' {
		start := *s
		if text, ok := s.Skip(); ok && len(text) >= minRawList {
			variables[name] = RawList{text, document}
			return true
		}
		*s = start
	}
	variables[name], ok = readValue(s, 0)
	return ok
}

// maxNesting is where objects and lists within each other are left to decodeParams.
const maxNesting = 100

// readValue is what comes next, as decodeValue would have it.
func readValue(s *jsonscan.Scanner, depth int) (v any, ok bool) {
	if depth == maxNesting {
		return nil, false
	}
	switch s.Next() {
	case '{':
		object := map[string]any{}
		return object, s.Members(func(name string) (ok bool) {
			if _, duplicate := object[name]; duplicate {
				return false
			}
			object[name], ok = readValue(s, depth+1)
			return ok
		})
	case '[':
		list := []any{}
		ok = s.List(func() bool {
			item, ok := readValue(s, depth+1)
			list = append(list, item)
			return ok
		})
		return list, ok
	case '"':
		return readText(s)
	case 'n':
		return nil, s.Null()
	case 't', 'f':
		return s.Bool()
	default:
		number, ok := s.Spelling()
		return json.Number(strings.Clone(number)), ok
	}
}

// readText is a string of its own. A part of the document would keep all of that in
// memory for as long as itself: a parsed query is kept beyond its request.
func readText(s *jsonscan.Scanner) (string, bool) {
	part, ok := s.Text()
	return strings.Clone(part), ok
}
