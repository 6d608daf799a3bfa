// Package activity owns the summary that a plot needs: how much was seen, and
// in what weather, per device and span of time. The database does the summing,
// so that a year of ten traps is one small answer.
package activity

import (
	"context"
	"slices"
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
	minSpan    = time.Minute
	maxSpan    = 366 * 24 * time.Hour
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

// Table is what a query of the buckets calls them, and these are its columns.
const (
	Table   = "activity"
	Device  = "device"
	Start   = "start"
	Images  = "images"
	Objects = "objects"
)

// Temperature and Humidity are the columns of each Summary: Min, Mean, Max.
// All three are null if no sensor could tell.
var (
	Temperature = [...]string{"temperature_min", "temperature_mean", "temperature_max"} //nolint:gochecknoglobals // a table
	Humidity    = [...]string{"humidity_min", "humidity_mean", "humidity_max"}          //nolint:gochecknoglobals // a table
)

// Request is what to sum up.
type Request struct {
	Series    []series.Series
	Every     time.Duration // the length of a span; spans begin at its multiples since 1970, UTC
	Algorithm *annotations.Filter
	Objects   bool // whether to count objects, which reads the annotations too
}

// Want makes a query one of the buckets, by device and start, for a reader that
// fetches them by itself. Spans without images are left out. If there are more
// than MaxBuckets, the reader refuses all.
func Want(request Request) (func(*sql.Selector), error) {
	if request.Every < minSpan || request.Every > maxSpan || request.Every%time.Second != 0 {
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
	return func(s *sql.Selector) {
		images := sql.Dialect(s.Dialect()).Table(image.Table).As(image.Table)
		sums := sql.Dialect(s.Dialect()).Select().From(images).AppendSelectAs(images.C(image.FieldDeviceID), Device)
		sums.AppendSelectExprAs(sql.P(spanStart(images.C(image.FieldTakenAt), request.Every)), Start)
		sums.AppendSelectAs(sql.Count("*"), Images)
		if request.Objects {
			sums.AppendSelectExprAs(objectCount(images, algorithm), Objects)
		}
		summarise(sums, images.C(image.FieldTemperature), Temperature)
		summarise(sums, images.C(image.FieldHumidity), Humidity)
		union.SelectJoined(sums, images)
		sums.GroupBy(images.C(image.FieldDeviceID), Start)
		buckets := sql.Dialect(s.Dialect()).Table(Table)
		s.From(sums.As(Table)).OrderBy(buckets.C(Device), buckets.C(Start))
	}, nil
}

// spanStart is the expression of the moment at which an image's span begins.
func spanStart(column string, every time.Duration) func(*sql.Builder) {
	return func(b *sql.Builder) {
		b.Ident(column).WriteString(" - ").Ident(column).WriteString(" % ").Arg(every.Milliseconds())
	}
}

func summarise(s *sql.Selector, column string, columns [3]string) {
	s.AppendSelectAs(sql.Min(column), columns[0]).AppendSelectAs(sql.Avg(column), columns[1]).AppendSelectAs(sql.Max(column), columns[2])
}

// objectCount is the expression of how many objects the annotations of a span's
// images hold. Each image is looked up in an index that holds the counts. To
// join all annotations first takes as long for a million images, and a hundred
// megabytes; and it takes as long for a thousand of them.
func objectCount(images *sql.SelectTable, algorithm predicate.Annotation) sql.Querier {
	return sql.ExprFunc(func(b *sql.Builder) {
		annotationTable := sql.Dialect(b.Dialect()).Table(annotation.Table).As(annotation.Table)
		count := sql.Dialect(b.Dialect()).Select(sql.Sum(annotationTable.C(annotation.FieldObjectCount))).From(annotationTable)
		count.Where(sql.ColumnsEQ(annotationTable.C(annotation.FieldImageID), images.C(image.FieldID)))
		algorithm(count)
		// PostgreSQL's sums of its large integers are of another type.
		b.WriteString("COALESCE(CAST(SUM(CAST(").Wrap(func(b *sql.Builder) { b.Join(count) }).WriteString(" AS BIGINT)) AS BIGINT), 0)")
	})
}

// Of sums up, ordered by device and time. Spans without images are left out.
func Of(ctx context.Context, db *database.DB, request Request) ([]Bucket, error) {
	selectBuckets, err := Want(request)
	if err != nil {
		return nil, err
	}
	s := sql.Dialect(db.Dialect).Select()
	selectBuckets(s)
	s.Select(slices.Concat([]string{Device, Start, Images}, Temperature[:], Humidity[:])...)
	if request.Objects {
		s.AppendSelect(Objects)
	}
	query, args := s.Limit(MaxBuckets + 1).Query()
	rows, err := db.SQL.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var buckets []Bucket
	for rows.Next() {
		var b Bucket
		var temperature, humidity [3]*float64
		dest := []any{
			&b.Device, &b.Start, &b.Images,
			&temperature[0], &temperature[1], &temperature[2], &humidity[0], &humidity[1], &humidity[2],
		}
		if request.Objects {
			dest = append(dest, &b.Objects)
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		b.Temperature, b.Humidity = summary(temperature), summary(humidity)
		buckets = append(buckets, b)
	}
	if len(buckets) > MaxBuckets {
		return nil, fault.New(fault.TooLarge, "there are more than %d spans: ask for longer ones, a shorter time or fewer devices", MaxBuckets)
	}
	return buckets, rows.Err()
}

func summary(columns [3]*float64) *Summary {
	if columns[0] == nil {
		return nil
	}
	return &Summary{Min: *columns[0], Mean: *columns[1], Max: *columns[2]}
}
