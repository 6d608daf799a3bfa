package transport

import (
	"encoding/json"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/jsonscan"
)

// RawList is a long list among the variables, not decoded yet. An extension with a
// parser for the type of the items parses Text; for other types Decode decodes the
// list.
type RawList struct {
	Text     string // begins with a bracket; not validated as JSON
	document string // the whole body
}

// Decode returns the decoded list, as decodeParams would. If the list is malformed,
// Decode returns the error of the whole document.
func (l RawList) Decode() (any, error) {
	if text := []byte(l.Text); !json.Valid(text) || jsonscan.LoneSurrogate(text) >= 0 {
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

// firstRawList returns a raw list among the variables, or nil.
func firstRawList(params *graphql.RawParams) *RawList {
	for _, value := range params.Variables {
		if list, ok := value.(RawList); ok {
			return &list
		}
	}
	return nil
}

// minRawList is the smallest size of a raw list, in bytes: decoding a shorter list is
// quick.
const minRawList = 16 << 10

// decodeWithRawLists returns the parameters like decodeParams, in one pass, with long
// lists among the variables as RawList. decodeWithRawLists returns false for anything
// unusual: malformed JSON, duplicate keys, or a document without a query.
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
		case "extensions", "documentId": // decodeParams decodes these requests
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

// maxNesting bounds the recursion of readValue. decodeParams decodes deeper values.
const maxNesting = 100

// readValue returns the next value, as decodeValue would.
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
		number, ok := s.NumberText()
		return json.Number(strings.Clone(number)), ok
	}
}

// readText returns a copy of the next string. A substring of the document would hold
// the whole document in memory, and parsed queries outlive the request.
func readText(s *jsonscan.Scanner) (string, bool) {
	part, ok := s.Text()
	return strings.Clone(part), ok
}
