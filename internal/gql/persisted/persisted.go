// Package persisted owns persisted documents: GraphQL documents that a request names
// by id or hash instead of sending the text. Clients register documents (automatic
// persisted queries,
// https://www.apollographql.com/docs/apollo-server/performance/apq), and the
// operator lists trusted documents in a file.
//
// Package persisted does not own the parameters of a request (package transport),
// nor the validation of a document (package guard).
package persisted

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"tagma/internal/base/bytecache"
	"tagma/internal/base/fault"
)

// maxRegistered is the size of all registered documents, in bytes: some thousand
// documents.
const maxRegistered = 4 << 20

// Documents holds the persisted documents of a server. Documents is safe for
// concurrent use.
type Documents struct {
	trusted     map[string]string // by id
	texts       map[string]bool   // of the trusted documents
	trustedOnly bool
	registered  *bytecache.Cache[string, string] // by SHA-256, hex
}

// New returns a set with the trusted documents by id. With trustedOnly, the set
// refuses all other documents.
func New(trusted map[string]string, trustedOnly bool) *Documents {
	d := &Documents{trusted: trusted, texts: map[string]bool{}, trustedOnly: trustedOnly,
		registered: bytecache.New(maxRegistered, func(hash, text string) int { return len(hash) + len(text) + 200 })}
	for _, text := range trusted {
		d.texts[text] = true
	}
	return d
}

// Request is the document of a request, by text, id or hash.
type Request struct {
	Text string // empty if the request only names the document
	ID   string // of a trusted document
	Hash string // SHA-256 of a registered document, hex
}

// Resolve returns the text of the document of a request.
//
// Faults: DocumentNotTrusted if the set allows trusted documents only, NotPersisted
// if the client has to send the text too, NotFound for an id without a trusted
// document, and BadInput if the text differs from the named document.
func (d *Documents) Resolve(ctx context.Context, r Request) (string, error) {
	for _, id := range []string{strings.TrimPrefix(r.ID, "sha256:"), r.ID, r.Hash} {
		if text, ok := d.trusted[id]; ok && id != "" {
			if r.Text != "" && r.Text != text {
				return "", fault.New(fault.BadInput, "the query is not that of the document that the request names: send one of the two")
			}
			return text, nil
		}
	}
	switch {
	case d.trustedOnly && !d.texts[r.Text]:
		return "", fault.New(fault.DocumentNotTrusted,
			"this server answers only the documents that its operator has listed: name one of them with documentId. The contract is at /schema.graphql")
	case r.ID != "":
		return "", fault.New(fault.NotFound, "there is no trusted document of the id that the request names: send the query instead")
	case r.Hash == "":
		return r.Text, nil
	case r.Text != "":
		if r.Hash != hashOf(r.Text) {
			return "", fault.New(fault.BadInput, "sha256Hash is not that of the query")
		}
		return r.Text, nil
	}
	text, ok := d.registered.Get(r.Hash)
	if !ok {
		return "", fault.New(fault.NotPersisted, "PersistedQueryNotFound") // clients go by this text
	}
	return text, nil
}

// Register stores a document by its hash. Register only valid documents, so that
// nobody can fill the memory with other texts.
func (d *Documents) Register(ctx context.Context, hash, text string) {
	if !d.trustedOnly && hash == hashOf(text) {
		d.registered.Add(hash, text)
	}
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Read returns the trusted documents of a file, by id. The file is a JSON object of
// documents by id, as GraphQL Code Generator and relay-compiler write it, or
// Apollo's manifest.
func Read(file []byte) (map[string]string, error) {
	var manifest struct {
		Format     string `json:"format"`
		Version    int    `json:"version"`
		Operations []struct {
			ID   string `json:"id"`
			Body string `json:"body"`
		} `json:"operations"`
	}
	trusted := map[string]string{}
	if json.Unmarshal(file, &manifest) == nil && manifest.Format == "apollo-persisted-query-manifest" {
		if manifest.Version != 1 {
			return nil, fmt.Errorf("the manifest is of version %d: 1 is known", manifest.Version)
		}
		for _, operation := range manifest.Operations {
			trusted[operation.ID] = operation.Body
		}
	} else if err := json.Unmarshal(file, &trusted); err != nil {
		return nil, errors.New(`it must be a JSON object of documents by their ids, {"<id>": "query …"}, or Apollo's manifest`)
	}
	if len(trusted) == 0 || trusted[""] != "" {
		return nil, errors.New("it must list at least one document, each by an id")
	}
	return trusted, nil
}
