// Package annotate owns sending annotations from files to a server: reading
// documents of the Sticky Pi API, sending as many at once as the server
// accepts, and reporting the problems of each file.
//
// Package annotate does not own validation: the server validates.
package annotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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
}

// Tally counts documents by result.
type Tally struct{ Annotated, Refused int }

// document is an annotation to send.
type document struct {
	source string
	input  generated.AnnotationInput
}

// run is one call of Files.
type run struct {
	Options
	client   *client.Client
	maxBytes int64 // largest size of the annotations in a request, in bytes
	tally    Tally
	batch    []document
	bytes    int64 // size of the batch
}

// Files sends the annotations in files. A file holds one or more documents.
// Files returns an error only for problems outside a single document.
func Files(ctx context.Context, c *client.Client, names []string, o Options) (Tally, error) {
	limits, err := c.Limits(ctx)
	if err != nil {
		return Tally{}, err
	}
	r := &run{Options: o, client: c, maxBytes: limits.BodyBytes - overheadBytes}
	for _, name := range names {
		if err := r.file(ctx, name); err != nil {
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

func (r *run) problem(place, format string, args ...any) {
	r.tally.Refused++
	r.Problem(place, fmt.Sprintf(format, args...))
}

// file reads a file, and sends whenever a request is full.
func (r *run) file(ctx context.Context, name string) error {
	reader := r.Stdin
	if name != standardInput {
		f, err := os.Open(name)
		if err != nil {
			r.problem(name, "%s", err)
			return nil
		}
		defer f.Close()
		reader = f
	}
	decoder := json.NewDecoder(reader)
	for n := 1; ; n++ {
		source := name
		if n > 1 {
			source = fmt.Sprintf("%s, document %d", name, n)
		}
		var text json.RawMessage
		err := decoder.Decode(&text)
		if errors.Is(err, io.EOF) && n > 1 {
			return nil
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		if err != nil { // the start of the next document is unknown
			r.problem(source, "%s", explain(err))
			return nil
		}
		input, err := parse(text)
		if err != nil {
			r.problem(source, "%s", err)
			continue
		}
		if err := r.add(ctx, source, input); err != nil {
			return err
		}
	}
}

// add adds a document to the batch. If the batch is full, add sends it first.
func (r *run) add(ctx context.Context, source string, input generated.AnnotationInput) error {
	text, err := json.Marshal(input)
	if err != nil {
		return err
	}
	size := int64(len(text)) + 1
	if size > r.maxBytes {
		r.problem(source, "it has %d bytes, and the server takes at most %d at once: its operator can raise --max-body-bytes", size, r.maxBytes)
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
	r.batch = append(r.batch, document{source: source, input: input})
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
			r.Problem(batch[n].source, relativeMessage(p.Path, p.Message))
		}
	}
	return nil
}

// reportRefusal reports the problems of the documents in a refused request. It
// returns err if the documents are not the cause.
func (r *run) reportRefusal(batch []document, err error) error {
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
		r.Problem(batch[n].source, relativeMessage(p.Path, p.Message))
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
// annotation.
func relativeMessage(path []string, message string) string {
	if _, ok := inputIndex(path); ok && len(path) > 2 {
		return strings.Join(path[2:], ".") + ": " + message
	}
	return message
}
