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

// added is how many annotations come at once.
const annotationsPerRequest = 1000

// largeBody is room for them; a server has less by itself.
const maxBodyBytes = 64 << 20

// annotate measures putAnnotations on PostgreSQL beside COPY of the same rows,
// as they are kept. Each time it is another version of an algorithm that saw
// the same images of one device.
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

// anyVersion stands for the algorithm's version.
const versionPlaceholder = "00000000-version"

// additions are what comes, again and again.
type annotationLoad struct {
	data     dataset.Options
	objects  []string // the objects of each annotation, as the database has them
	body     []byte   // the request that sends them, with anyVersion
	versions atomic.Int64
}

func (a *annotationLoad) version() string { return fmt.Sprintf("%08d-version", a.versions.Add(1)) }

// write writes the request.
func (a *annotationLoad) write() error {
	input := make([]any, len(a.objects))
	for n := range a.objects {
		var objects []map[string]any
		if err := json.Unmarshal([]byte(a.objects[n]), &objects); err != nil {
			return err
		}
		for _, object := range objects {
			delete(object, "boundingBox") // the server's own
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

// put measures putAnnotations.
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

// copy measures COPY of the same rows, in this process.
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
				for n := range a.objects { // the images' ids count from 1
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
