package annotate

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"

	"tagma/internal/base/contour"
)

// hash identifies a text.
type hash [sha256.Size]byte

// contradictions holds the documents with different objects for the same image,
// algorithm and version. The server accepts only the first such document. Files sends
// none, because otherwise the order of the files would decide.
type contradictions struct {
	first  map[hash]firstDocument // by identity
	places map[hash][2]string     // the first place, and the first other place that differs; by identity
}

type firstDocument struct {
	place   string
	content hash
}

// findContradictions reads all documents of sources.
func findContradictions(ctx context.Context, sources []source) (*contradictions, error) {
	c := &contradictions{first: map[hash]firstDocument{}, places: map[hash][2]string{}}
	for _, s := range sources {
		err := s.read(func(d *document) error {
			if d.isComparable() {
				c.add(d)
			}
			return context.Cause(ctx)
		})
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *contradictions) add(d *document) {
	identity, content := d.identity(), d.content()
	first, ok := c.first[identity]
	if !ok {
		c.first[identity] = firstDocument{d.place, content}
		return
	}
	if _, known := c.places[identity]; !known && first.content != content {
		c.places[identity] = [2]string{first.place, d.place}
	}
}

// of returns the place of a document with a contradiction to d, or "".
func (c *contradictions) of(d *document) string {
	if !d.isComparable() {
		return ""
	}
	places, ok := c.places[d.identity()]
	if ok && places[0] == d.place {
		return places[1]
	}
	return places[0]
}

// isComparable reports whether the server may accept the document. An invalid document
// contradicts no other document.
func (d *document) isComparable() bool {
	return len(d.problems) == 0 && !slices.ContainsFunc(d.polygons, func(p contour.Polygon) bool { return p == nil })
}

// identity identifies the image, the algorithm and the version of a document. The MD5
// is a part of the identity, because the server refuses the MD5 of another file.
func (d *document) identity() hash {
	in := &d.input
	return hashOf(strings.ToLower(in.Image.Device), in.Image.TakenAt, strings.ToLower(in.Md5), in.Algorithm)
}

// content identifies the objects of a comparable document, whatever the nesting of contours.
func (d *document) content() hash {
	objects := make([]any, len(d.input.Objects))
	for n, o := range d.input.Objects {
		o.Contour = d.polygons[n].AppendJSON(nil)
		objects[n] = o
	}
	return hashOf(objects...)
}

func hashOf(values ...any) hash {
	text, err := json.Marshal(values)
	if err != nil { // the values come from JSON
		panic(err)
	}
	return sha256.Sum256(text)
}
