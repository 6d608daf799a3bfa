package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"tagma/internal/bench/dataset"
	"tagma/internal/bench/jobs"
	"tagma/internal/storage/database"
)

// sumsInterval is the time between two images of a device. With longer intervals, the same
// number of images would take more hours than an answer may hold.
const sumsInterval = 5 * time.Minute

// sums compares activity by hour of very many images on PostgreSQL with the SQL statement alone.
func (s *settings) sums(ctx context.Context, binary string, server url.URL) ([]result, error) {
	for _, j := range jobs.All() {
		if j.Name == "activity" && s.only.MatchString(j.Title) {
			return s.byHour(ctx, j, binary, server)
		}
	}
	return nil, nil
}

func (s *settings) byHour(ctx context.Context, j jobs.Job, binary string, server url.URL) ([]result, error) {
	data := dataset.Options{Devices: 100, Images: max(1, s.large/100), Objects: 1, Points: 3, Seed: s.data.Seed, Every: sumsInterval}
	databaseURL, err := fillPostgres(ctx, server, data)
	if err != nil {
		return nil, err
	}
	token, err := createTokenAt(ctx, databaseURL)
	if err != nil {
		return nil, err
	}
	tagma, err := startTagma("Tagma", binary, s.folder, databaseURL, token, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tagma.close() }()
	requests, err := tagma.requests(ctx, j, data)
	if err != nil {
		return nil, err
	}
	db, err := database.Open(ctx, databaseURL, database.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := compareSums(ctx, tagma, requests[0], db.SQL, data); err != nil {
		return nil, err
	}
	title := strings.Replace(j.Title, "all images", fmt.Sprintf("%d images", data.Total()), 1)
	return s.compareWith(ctx, "postgres", title, tagma.load(requests), peer{
		"the SQL alone by lib/pq", atLeast(0.9),
		func(ctx context.Context, clients int, cell time.Duration) (sample, error) {
			return measure([]int{os.Getpid()}, clients, cell, func() error {
				_, err := readSums(ctx, db.SQL, data)
				return err
			})
		}, nil,
	})
}

// total holds the compared totals of the sums.
type total struct{ hours, images, objects int }

// readSums runs the SQL statement and returns the totals of its rows.
func readSums(ctx context.Context, db *sql.DB, data dataset.Options) (total, error) {
	var sum total
	rows, err := db.QueryContext(ctx, strings.NewReplacer("$2", "$1", "$3", "$2").Replace(byHour)+" "+groupAndOrder,
		int64(data.TakenAt(0, 0)), int64(data.End()))
	if err != nil {
		return sum, err
	}
	defer rows.Close()
	for rows.Next() {
		var device string
		var start int64
		var images, objects int
		var measurements [6]*float64
		if err := rows.Scan(&device, &start, &images, &objects, &measurements[0], &measurements[1], &measurements[2],
			&measurements[3], &measurements[4], &measurements[5]); err != nil {
			return sum, err
		}
		sum.hours, sum.images, sum.objects = sum.hours+1, sum.images+images, sum.objects+objects
	}
	return sum, rows.Err()
}

// compareSums returns an error unless Tagma and the SQL statement give the same totals.
func compareSums(ctx context.Context, tagma *target, r request, db *sql.DB, data dataset.Options) error {
	want, err := readSums(ctx, db, data)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := tagma.send(ctx, r, &body); err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Activity []struct{ Images, Objects int }
		}
	}
	if err := json.Unmarshal(body.Bytes(), &answer); err != nil {
		return err
	}
	got := total{hours: len(answer.Data.Activity)}
	for _, hour := range answer.Data.Activity {
		got.images, got.objects = got.images+hour.Images, got.objects+hour.Objects
	}
	if got != want {
		return fmt.Errorf("activity comes to %+v, and the SQL to %+v", got, want)
	}
	return nil
}
