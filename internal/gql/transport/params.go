package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/jsonscan"
)

// decodeParams returns the parameters of one request in a JSON document. source names
// the document in errors. decodeParams matches keys exactly, so it decodes into a
// map: encoding/json ignores case for a struct. Unknown keys are ignored.
func decodeParams(source string, document []byte) (*graphql.RawParams, error) {
	document = bytes.TrimSpace(document)
	switch {
	case len(document) == 0:
		return nil, badRequest("%s is empty: it must be a JSON object with a query", source)
	case document[0] == '[':
		return nil, badRequest("%s is a list, but batching is not supported: send one operation per request", source)
	case !utf8.Valid(document):
		return nil, badRequest("%s is not UTF-8", source)
	}

	var members map[string]json.RawMessage
	err := json.Unmarshal(document, &members)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, badRequest("%s is not valid JSON: look at byte %d", source, syntax.Offset)
	}
	if err != nil || members == nil {
		return nil, badRequest("%s must be a JSON object with a query", source)
	}
	if err := loneSurrogate(source, document); err != nil {
		return nil, err
	}
	params, id := &graphql.RawParams{}, ""
	for _, member := range []struct {
		key, kind string
		target    any
	}{
		{"query", "a string", &params.Query},
		{"operationName", "a string or null", &params.OperationName},
		{"variables", "an object or null", &params.Variables},
		{"extensions", "an object or null", &params.Extensions},
		{"documentId", "a string or null", &id},
	} {
		value, ok := members[member.key]
		if ok && decodeValue(value, member.target) != nil {
			return nil, badRequest("%q must be %s", member.key, member.kind)
		}
	}
	setDocumentID(params, id)
	if query := members["query"]; (len(query) == 0 || query[0] != '"') && !namesDocument(params) {
		return nil, badRequest(`"query" must be a string`)
	}
	return params, nil
}

// loneSurrogate returns a refusal for JSON with half of a surrogate pair. The decoder
// would replace the half by another character.
func loneSurrogate(source string, document []byte) error {
	at := jsonscan.LoneSurrogate(document)
	if at < 0 {
		return nil
	}
	return badRequest(`%s has half of a surrogate pair at byte %d: write a character as it is, or as two escapes such as \ud83d\ude00`, source, at)
}

// DocumentID is the name of the parameter with the id of a persisted document. The
// transports store the id under the same name in the extensions of the request.
const DocumentID = "documentId"

func setDocumentID(params *graphql.RawParams, id string) {
	if id == "" {
		return
	}
	if params.Extensions == nil {
		params.Extensions = map[string]any{}
	}
	params.Extensions[DocumentID] = id
}

// namesDocument reports whether a request names a persisted document.
func namesDocument(params *graphql.RawParams) bool {
	return params.Extensions[DocumentID] != nil || params.Extensions["persistedQuery"] != nil
}

// decodeValue decodes a valid JSON value into target. A null leaves target unchanged.
// Numbers become json.Number, because a float cannot hold every 64-bit integer.
func decodeValue(value []byte, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	return decoder.Decode(target)
}
