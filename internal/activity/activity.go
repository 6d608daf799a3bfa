// Package activity owns the summary that a plot needs: how much was seen, and
// in what weather, per device and span of time. The database does the summing,
// so that a year of ten traps is one small answer.
package activity

import (
	"context"
	stdsql "database/sql"
	"time"

	"entgo.io/ent/dialect/sql"

	"tagma/ent/generated/annotation"
	"tagma/ent/generated/image"
	"tagma/ent/generated/predicate"
	"tagma/internal/annotations"
	"tagma/internal/database"
	"tagma/internal/fault"
	"tagma/internal/instant"
	"tagma/internal/series"
)

// Bounds of a request.
const (
	shortest   = time.Minute
	longest    = 366 * 24 * time.Hour
	MaxBuckets = 100_000 // of one answer
)

// Bucket is one device over one span of time.
type Bucket struct {
	Device      string
	Start       instant.Instant
	Images      int
	Objects     int
	Temperature *Summary // °C; nil if no sensor could tell
	Humidity    *Summary // percent relative humidity; nil if no sensor could tell
}

// Summary is a measurement over a span of time.
type Summary struct{ Min, Mean, Max float64 }

// Request is what to sum up.
type Request struct {
	Series    []series.Series
	Every     time.Duration // the length of a span; spans begin at its multiples since 1970, UTC
	Algorithm *annotations.Filter
	Objects   bool // whether to count objects, which reads the annotations too
}

// Of sums up, ordered by device and time. Spans without images are left out.
func Of(ctx context.Context, db *database.DB, request Request) ([]Bucket, error) {
	if request.Every < shortest || request.Every > longest || request.Every%time.Second != 0 {
		return nil, fault.New(fault.BadInput, "every is %s: give whole seconds, from one minute (PT1M) to 366 days (P366D)", request.Every)
	}
	union, err := series.Parse(request.Series)
	if err != nil {
		return nil, err
	}
	algorithm, err := request.Algorithm.Condition()
	if err != nil {
		return nil, err
	}
	buckets, err := weather(ctx, db, union, request.Every)
	if err != nil || !request.Objects {
		return buckets, err
	}
	return buckets, countObjects(ctx, db, union, request.Every, algorithm, buckets)
}

// start is the expression of the moment at which an image's span begins.
func start(column string, every time.Duration) func(*sql.Builder) {
	return func(b *sql.Builder) {
		b.Ident(column).WriteString(" - ").Ident(column).WriteString(" % ").Arg(every.Milliseconds())
	}
}

func weather(ctx context.Context, db *database.DB, union series.Union, every time.Duration) ([]Bucket, error) {
	of := sql.Dialect(db.Dialect).Table(image.Table).As(image.Table)
	s := sql.Dialect(db.Dialect).Select(of.C(image.FieldDeviceID)).From(of)
	s.AppendSelectExprAs(sql.P(start(of.C(image.FieldTakenAt), every)), "span").
		AppendSelect(sql.Count("*"))
	for _, column := range []string{image.FieldTemperature, image.FieldHumidity} {
		s.AppendSelect(sql.Min(of.C(column)), sql.Avg(of.C(column)), sql.Max(of.C(column)))
	}
	union.Select(s)
	s.GroupBy(of.C(image.FieldDeviceID), "span").OrderBy(of.C(image.FieldDeviceID), "span").Limit(MaxBuckets + 1)

	var buckets []Bucket
	err := each(ctx, db, s, func(rows *stdsql.Rows) error {
		var b Bucket
		var temperature, humidity [3]*float64
		err := rows.Scan(&b.Device, &b.Start, &b.Images,
			&temperature[0], &temperature[1], &temperature[2], &humidity[0], &humidity[1], &humidity[2])
		b.Temperature, b.Humidity = summary(temperature), summary(humidity)
		buckets = append(buckets, b)
		return err
	})
	if len(buckets) > MaxBuckets {
		return nil, fault.New(fault.TooLarge, "there are more than %d spans: ask for longer ones, a shorter time or fewer devices", MaxBuckets)
	}
	return buckets, err
}

func summary(of [3]*float64) *Summary {
	if of[0] == nil {
		return nil
	}
	return &Summary{Min: *of[0], Mean: *of[1], Max: *of[2]}
}

// countObjects fills in how many objects were annotated.
func countObjects(ctx context.Context, db *database.DB, union series.Union, every time.Duration, algorithm predicate.Annotation, buckets []Bucket) error {
	type place struct {
		device string
		start  instant.Instant
	}
	at := make(map[place]*Bucket, len(buckets))
	for n := range buckets {
		at[place{buckets[n].Device, buckets[n].Start}] = &buckets[n]
	}
	of := sql.Dialect(db.Dialect).Table(image.Table).As(image.Table)
	on := sql.Dialect(db.Dialect).Table(annotation.Table).As(annotation.Table)
	s := sql.Dialect(db.Dialect).Select(of.C(image.FieldDeviceID)).From(on).
		Join(of).On(on.C(annotation.FieldImageID), of.C(image.FieldID))
	s.AppendSelectExprAs(sql.P(start(of.C(image.FieldTakenAt), every)), "span").
		AppendSelect(sql.Sum(on.C(annotation.FieldObjectCount)))
	union.SelectJoined(s, of)
	algorithm(s)
	s.GroupBy(of.C(image.FieldDeviceID), "span")
	return each(ctx, db, s, func(rows *stdsql.Rows) error {
		var p place
		var objects int
		err := rows.Scan(&p.device, &p.start, &objects)
		if b := at[p]; b != nil {
			b.Objects = objects
		}
		return err
	})
}

func each(ctx context.Context, db *database.DB, s *sql.Selector, row func(*stdsql.Rows) error) error {
	query, args := s.Query()
	rows, err := db.SQL.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
