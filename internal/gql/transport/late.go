package transport

import (
	"encoding/json"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/jsonscan"
)

// Late is a variable that is not decoded yet, a long list: whoever knows what it
// is a list of reads its Text straight into that. Decode is for the rest.
type Late struct {
	Text     string // begins as a list does; whether it is valid JSON was not looked at
	document string // all of what was sent
}

// Decode is the value as it would have come, had it been short. If it is not
// valid, the error is that of the whole document.
func (l Late) Decode() (any, error) {
	if !json.Valid([]byte(l.Text)) {
		return nil, l.refusal()
	}
	var value any
	err := decodeValue([]byte(l.Text), &value)
	return value, err
}

// refusal is what is wrong with the document, or nil.
func (l Late) refusal() error {
	_, err := decodeParams(theBody, []byte(l.document))
	return err
}

// lateOf is one of the variables that are Late, if there are any.
func lateOf(params *graphql.RawParams) *Late {
	for _, value := range params.Variables {
		if late, ok := value.(Late); ok {
			return &late
		}
	}
	return nil
}

// longList is how many bytes a list has that is worth the trouble.
const longList = 16 << 10

// decodeLate is decodeParams in one pass, whose variables that are long lists
// stay Late. It says no to whatever is not as it should be, or is read in more
// than one way, a key that is there twice.
func decodeLate(document string) (*graphql.RawParams, bool) {
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
			params.Query, ok = text(s)
		case "operationName":
			if ok = s.Null(); !ok {
				params.OperationName, ok = text(s)
			}
		case "variables":
			if ok = s.Null(); !ok {
				params.Variables = map[string]any{}
				ok = s.Members(func(name string) bool { return variable(s, document, name, params.Variables) })
			}
		case "extensions", "documentId": // which are read elsewhere
		default:
			_, ok = value(s, 0)
		}
		return ok
	})
	return params, ok && params.Query != "" && s.End()
}

func variable(s *jsonscan.Scanner, document, name string, into map[string]any) (ok bool) {
	if _, twice := into[name]; twice {
		return false
	}
	if s.Next() == '[' {
		from := *s
		if text, ok := s.Skip(); ok && len(text) >= longList {
			into[name] = Late{text, document}
			return true
		}
		*s = from
	}
	into[name], ok = value(s, 0)
	return ok
}

// deep is where objects and lists within each other are left to decodeParams.
const deep = 100

// value is what comes next, as decodeValue would have it.
func value(s *jsonscan.Scanner, depth int) (v any, ok bool) {
	if depth == deep {
		return nil, false
	}
	switch s.Next() {
	case '{':
		object := map[string]any{}
		return object, s.Members(func(name string) (ok bool) {
			if _, twice := object[name]; twice {
				return false
			}
			object[name], ok = value(s, depth+1)
			return ok
		})
	case '[':
		list := []any{}
		ok = s.List(func() bool {
			item, ok := value(s, depth+1)
			list = append(list, item)
			return ok
		})
		return list, ok
	case '"':
		return text(s)
	case 'n':
		return nil, s.Null()
	case 't', 'f':
		return s.Bool()
	default:
		number, ok := s.NumberText()
		return json.Number(strings.Clone(number)), ok
	}
}

// text is a string of its own. A part of the document would keep all of that in
// memory for as long as itself: a parsed query is kept beyond its request.
func text(s *jsonscan.Scanner) (string, bool) {
	part, ok := s.Text()
	return strings.Clone(part), ok
}
