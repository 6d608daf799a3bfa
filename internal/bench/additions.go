package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"tagma/internal/base/instant"
	"tagma/internal/bench/dataset"
	"tagma/internal/storage/database"
)

const additionsTitle = "putAnnotations, 1,000 at once"

// annotationsPerRequest is the number of annotations in one request.
const annotationsPerRequest = 1000

// maxBodyBytes is the body limit of the server: the request exceeds the default.
const maxBodyBytes = 64 << 20

// annotate measures putAnnotations on PostgreSQL against COPY of the same rows. Each
// request adds annotations by a new version of an algorithm to the same images of one
// device.
func (s *settings) annotate(ctx context.Context, binary string, server url.URL) (results []result, err error) {
	if !s.only.MatchString(additionsTitle) {
		return nil, nil
	}
	data := s.data
	data.Devices, data.Images = 1, annotationsPerRequest
	err = s.withEmptyTarget(ctx, "postgres", binary, server, []string{"--max-body-bytes", strconv.Itoa(maxBodyBytes)}, func(e emptyTarget) error {
		db, err := database.Open(ctx, e.databaseURL, database.Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		if err := dataset.Fill(ctx, db, data); err != nil {
			return err
		}
		objects, err := data.Annotated(annotationsPerRequest)
		if err != nil {
			return err
		}
		a := &annotationLoad{data: data, objects: objects}
		if err := a.write(); err != nil {
			return err
		}
		results, err = s.compareWith(ctx, "postgres", additionsTitle, a.put(e.tagma),
			peer{"COPY by lib/pq", atLeast(0.5), a.copy(db.SQL), nil})
		return err
	})
	return results, err
}

// versionPlaceholder is the algorithm's version in the prepared request.
const versionPlaceholder = "00000000-version"

// annotationLoad makes requests that add annotations.
type annotationLoad struct {
	data     dataset.Options
	objects  []string // the objects of each annotation, as stored in the database
	body     []byte   // the request, with versionPlaceholder
	versions atomic.Int64
}

func (a *annotationLoad) version() string { return fmt.Sprintf("%08d-version", a.versions.Add(1)) }

// write fills a.body.
func (a *annotationLoad) write() error {
	input := make([]any, len(a.objects))
	for n := range a.objects {
		var objects []map[string]any
		if err := json.Unmarshal([]byte(a.objects[n]), &objects); err != nil {
			return err
		}
		for _, object := range objects {
			delete(object, "boundingBox") // computed by the server
			delete(object, "area")
		}
		input[n] = map[string]any{
			"image": map[string]any{"device": a.data.Device(0), "takenAt": a.data.TakenAt(0, n)}, "md5": a.data.MD5(0, n),
			"algorithm": map[string]any{"name": "bench", "version": versionPlaceholder}, "objects": objects,
		}
	}
	r, err := graphQLRequest(`mutation($input: [AnnotationInput!]!) { putAnnotations(input: $input) { results { annotation { id } problems { message } } } }`,
		map[string]any{"input": input})
	a.body = r.body
	return err
}

// put returns a runner of putAnnotations.
func (a *annotationLoad) put(c *target) runner {
	return func(ctx context.Context, clients int, cell time.Duration) (sample, error) {
		return c.measure(clients, cell, func() error {
			var answer bytes.Buffer
			body := bytes.ReplaceAll(a.body, []byte(versionPlaceholder), []byte(a.version()))
			if err := c.send(ctx, request{"/graphql", body}, &answer); err != nil {
				return err
			}
			if n := bytes.Count(answer.Bytes(), []byte(`"id"`)); n != annotationsPerRequest {
				return fmt.Errorf("%d annotations were added: %.500s", n, answer.Bytes())
			}
			return nil
		})
	}
}

// copy returns a runner of COPY of the same rows, in this process.
func (a *annotationLoad) copy(db *sql.DB) runner {
	columns := []string{"image_id", "algorithm_name", "algorithm_version", "object_count", "objects", "created_at"}
	return func(ctx context.Context, clients int, cell time.Duration) (sample, error) {
		return measure([]int{os.Getpid()}, clients, cell, func() error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			version, now := a.version(), int64(instant.System())
			err = dataset.CopyIn(ctx, tx, "annotations", columns, func(yield func([]any) bool) {
				for n := range a.objects { // the ids of images begin at 1
					if !yield([]any{n + 1, "bench", version, a.data.Objects, a.objects[n], now}) {
						return
					}
				}
			})
			if err != nil {
				return errors.Join(err, tx.Rollback())
			}
			return tx.Commit()
		})
	}
}
