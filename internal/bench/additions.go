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
const added = 1000

// largeBody is room for them; a server has less by itself.
const largeBody = 64 << 20

// annotate measures putAnnotations on PostgreSQL beside COPY of the same rows,
// as they are kept. Each time it is another version of an algorithm that saw
// the same images of one device.
func (s *settings) annotate(ctx context.Context, binary string, server url.URL) (claims []claim, err error) {
	if !s.only.MatchString(additionsTitle) {
		return nil, nil
	}
	data := s.data
	data.Devices, data.Images = 1, added
	err = s.onEmpty(ctx, "postgres", binary, server, []string{"--max-body-bytes", strconv.Itoa(largeBody)}, func(e empty) error {
		db, err := database.Open(ctx, e.databaseURL, database.Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		if err := dataset.Fill(ctx, db, data); err != nil {
			return err
		}
		kept, err := data.Annotated(added)
		if err != nil {
			return err
		}
		a := &additions{data: data, kept: kept}
		if err := a.write(); err != nil {
			return err
		}
		claims, err = s.contest(ctx, "postgres", additionsTitle, a.put(e.tagma),
			peer{"COPY by lib/pq", atLeast(0.5), a.copy(db.SQL), nil})
		return err
	})
	return claims, err
}

// anyVersion stands for the algorithm's version.
const anyVersion = "00000000-version"

// additions are what comes, again and again.
type additions struct {
	data     dataset.Options
	kept     []string // the objects of each annotation, as the database has them
	body     []byte   // the request that sends them, with anyVersion
	versions atomic.Int64
}

func (a *additions) version() string { return fmt.Sprintf("%08d-version", a.versions.Add(1)) }

// write writes the request.
func (a *additions) write() error {
	input := make([]any, len(a.kept))
	for n := range a.kept {
		var objects []map[string]any
		if err := json.Unmarshal([]byte(a.kept[n]), &objects); err != nil {
			return err
		}
		for _, object := range objects {
			delete(object, "boundingBox") // the server's own
			delete(object, "area")
		}
		input[n] = map[string]any{
			"image": map[string]any{"device": a.data.Device(0), "takenAt": a.data.TakenAt(0, n)}, "md5": a.data.MD5(0, n),
			"algorithm": map[string]any{"name": "bench", "version": anyVersion}, "objects": objects,
		}
	}
	r, err := inGraphQL(`mutation($input: [AnnotationInput!]!) { putAnnotations(input: $input) { results { annotation { id } problems { message } } } }`,
		map[string]any{"input": input})
	a.body = r.body
	return err
}

// put measures putAnnotations.
func (a *additions) put(c *contestant) runner {
	return func(ctx context.Context, clients int, cell time.Duration) (measured, error) {
		return c.measure(clients, cell, func() error {
			var answer bytes.Buffer
			fresh := bytes.ReplaceAll(a.body, []byte(anyVersion), []byte(a.version()))
			if err := c.send(ctx, request{"/graphql", fresh}, &answer); err != nil {
				return err
			}
			if n := bytes.Count(answer.Bytes(), []byte(`"id"`)); n != added {
				return fmt.Errorf("%d annotations were added: %.500s", n, answer.Bytes())
			}
			return nil
		})
	}
}

// copy measures COPY of the same rows, in this process.
func (a *additions) copy(db *sql.DB) runner {
	columns := []string{"image_id", "algorithm_name", "algorithm_version", "object_count", "objects", "created_at"}
	return func(ctx context.Context, clients int, cell time.Duration) (measured, error) {
		return measure([]int{os.Getpid()}, clients, cell, func() error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			version, now := a.version(), int64(instant.System())
			err = dataset.CopyIn(ctx, tx, "annotations", columns, func(yield func([]any) bool) {
				for n := range a.kept { // the images' ids count from 1
					if !yield([]any{n + 1, "bench", version, a.data.Objects, a.kept[n], now}) {
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
