// Package annotate owns sending annotations from files to a server: reading documents
// of the Sticky Pi API, sending as many at once as the server accepts, and reporting
// the problems of each file.
//
// Package annotate does not own validation: the server validates.
package annotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tagma/internal/base/fault"
	"tagma/internal/cli/client"
	"tagma/internal/cli/client/generated"
)

// standardInput is the file name of standard input.
const standardInput = "-"

// maxBatch is the largest number of annotations in one request.
const maxBatch = 500

// overheadBytes is the size of a request without its annotations.
const overheadBytes = 4 << 10

// Options of Files.
type Options struct {
	Atomic bool      // send all annotations or none, in one request
	Stdin  io.Reader // content of the file "-"

	// Problem is called with each problem of a document: the place, such as
	// "night.json" or "night.json, document 2", and the description.
	Problem func(place, what string)

	// Unknown is called at the end with each field without a place in an annotation,
	// and the number of documents with the field.
	Unknown func(field string, documents int)
}

// Tally counts documents by result.
type Tally struct{ Annotated, Refused int }

// run is one call of Files.
type run struct {
	Options
	client         *client.Client
	maxBytes       int64 // largest size of the annotations in a request, in bytes
	contradictions *contradictions
	unknown        map[string]int // number of documents by field
	tally          Tally
	batch          []*document
	bytes          int64 // size of the batch
}

// Files sends the annotations in files. A file holds one or more documents. Files
// reads each file twice, first to find contradictions. Files returns an error only for
// problems outside a single document.
func Files(ctx context.Context, c *client.Client, names []string, o Options) (Tally, error) {
	limits, err := c.Limits(ctx)
	if err != nil {
		return Tally{}, err
	}
	sources, err := openSources(names, o.Stdin)
	defer removeCopies(sources)
	if err != nil {
		return Tally{}, err
	}
	r := &run{Options: o, client: c, maxBytes: limits.BodyBytes - overheadBytes, unknown: map[string]int{}}
	defer r.reportUnknown()
	if r.contradictions, err = findContradictions(ctx, sources); err != nil {
		return Tally{}, err
	}
	for _, s := range sources {
		if err := s.read(func(d *document) error { return r.add(ctx, d) }); err != nil {
			return r.tally, err
		}
	}
	if o.Atomic && r.tally.Refused > 0 {
		return r.atomicFailure()
	}
	return r.tally, r.send(ctx)
}

// atomicFailure returns the result of an atomic run with problems.
func (r *run) atomicFailure() (Tally, error) {
	return Tally{Refused: r.tally.Refused}, errors.New("nothing was annotated: with --atomic it is all or none")
}

// refuse reports the problems of a document.
func (r *run) refuse(d *document, problems ...string) {
	r.tally.Refused++
	for _, problem := range problems {
		r.Problem(d.place, problem)
	}
}

func (r *run) reportUnknown() {
	for _, field := range slices.Sorted(maps.Keys(r.unknown)) {
		r.Unknown(field, r.unknown[field])
	}
}

// add adds a document to the batch. If the batch is full, add sends the batch first.
func (r *run) add(ctx context.Context, d *document) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, field := range d.unknown {
		r.unknown[field]++
	}
	if len(d.problems) > 0 {
		r.refuse(d, d.problems...)
		return nil
	}
	if other := r.contradictions.of(d); other != "" {
		r.refuse(d, other+" has other objects for the same image, algorithm and version: neither is sent; leave one out, or give it a new version")
		return nil
	}
	text, err := json.Marshal(d.input)
	if err != nil {
		return err
	}
	size := int64(len(text)) + 1
	if size > r.maxBytes {
		r.refuse(d, fmt.Sprintf("it has %d bytes, and the server takes at most %d at once: its operator can raise --max-body-bytes", size, r.maxBytes))
		return nil
	}
	if r.bytes+size > r.maxBytes || !r.Atomic && len(r.batch) == maxBatch {
		if r.Atomic {
			return fmt.Errorf("the server takes at most %d bytes at once, and --atomic needs all in one request: leave it out, or send fewer", r.maxBytes)
		}
		if err := r.send(ctx); err != nil {
			return err
		}
	}
	r.batch = append(r.batch, d)
	r.bytes += size
	return nil
}

// send sends the batch.
func (r *run) send(ctx context.Context) error {
	batch := r.batch
	r.batch, r.bytes = nil, 0
	if len(batch) == 0 {
		return nil
	}
	inputs := make([]generated.AnnotationInput, len(batch))
	for n, d := range batch {
		inputs[n] = d.input
	}
	response, err := client.Retry(ctx, r.client, func() (*generated.PutAnnotationsResponse, error) {
		return generated.PutAnnotations(ctx, r.client, inputs, r.Atomic)
	})
	if err != nil {
		return r.reportRefusal(batch, err)
	}
	for n, result := range response.PutAnnotations.Results {
		if len(result.Problems) == 0 {
			r.tally.Annotated++
			continue
		}
		r.tally.Refused++
		for _, p := range result.Problems {
			r.Problem(batch[n].place, relativeMessage(p.Path, p.Message))
		}
	}
	return nil
}

// reportRefusal reports the problems of the documents in a refused request. If the
// documents are not the cause of the refusal, reportRefusal returns err.
func (r *run) reportRefusal(batch []*document, err error) error {
	refusal, isFault := errors.AsType[*fault.Error](err)
	if !isFault || len(refusal.Problems) == 0 {
		return err
	}
	indexes := map[int]bool{}
	for _, p := range refusal.Problems {
		n, ok := inputIndex(p.Path)
		if !ok || n >= len(batch) {
			return err
		}
		indexes[n] = true
		r.Problem(batch[n].place, relativeMessage(p.Path, p.Message))
	}
	r.tally.Refused += len(indexes)
	_, err = r.atomicFailure()
	return err
}

// inputIndex returns the index of the annotation in a path of the input.
func inputIndex(path []string) (int, bool) {
	if len(path) < 2 || path[0] != "input" {
		return 0, false
	}
	n, err := strconv.Atoi(path[1])
	return n, err == nil && n >= 0
}

// relativeMessage returns the message of a problem, with the path inside the
// document.
func relativeMessage(path []string, message string) string {
	if _, ok := inputIndex(path); !ok || len(path) <= 2 {
		return message
	}
	relative := slices.Clone(path[2:])
	if relative[0] == "objects" && len(relative) > 1 { // the document has other names for an object and the fields of an object
		relative[0] = "annotations"
		switch last := &relative[len(relative)-1]; *last {
		case "strokeColour":
			*last = "stroke_colour"
		case "fillColour":
			*last = "fill_colour"
		}
	}
	return strings.Join(relative, ".") + ": " + message
}
