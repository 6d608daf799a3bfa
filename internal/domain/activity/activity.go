// Package activity owns the summary behind an activity plot: images, objects
// and weather per device and span of time. The database computes the sums, so a
// year of ten traps is one small answer. Package activity does not own the
// selection of images (package series) or of annotations (package annotations).
package activity

import (
	"context"
	"slices"
	"time"

	"entgo.io/ent/dialect/sql"

	"tagma/ent/generated/annotation"
	"tagma/ent/generated/image"
	"tagma/ent/generated/predicate"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/series"
	"tagma/internal/storage/database"
)

// Bounds of a request.
const (
	minSpan    = time.Minute
	maxSpan    = 366 * 24 * time.Hour
	MaxBuckets = 100_000 // per answer
)

// Bucket is the summary of one device over one span of time.
type Bucket struct {
	Device      string
	Start       instant.Instant
	Images      int
	Objects     int
	Temperature *Summary // °C; nil if no image has a temperature
	Humidity    *Summary // percent relative humidity; nil if no image has a humidity
	Luminosity  *Summary // ambient light; nil if no image has a luminosity, and without Request.Luminosity
}

// Summary is the minimum, mean and maximum of a measurement over a span of
// time.
type Summary struct{ Min, Mean, Max float64 }

// Table is the name of the derived table of buckets in a query. The other
// constants are the columns of Table.
const (
	Table   = "activity"
	Device  = "device"
	Start   = "start"
	Images  = "images"
	Objects = "objects"
)

// Temperature, Humidity and Luminosity are the columns of each Summary: Min, Mean, Max. All
// three columns are null if no image of the span has the measurement.
var (
	Temperature = [...]string{"temperature_min", "temperature_mean", "temperature_max"} //nolint:gochecknoglobals // a table
	Humidity    = [...]string{"humidity_min", "humidity_mean", "humidity_max"}          //nolint:gochecknoglobals // a table
	Luminosity  = [...]string{"luminosity_min", "luminosity_mean", "luminosity_max"}    //nolint:gochecknoglobals // a table
)

// Request selects the images to summarise and the length of a span.
type Request struct {
	Series     []series.Series
	Every      time.Duration // length of a span; spans begin at multiples of Every since 1970, UTC
	Algorithm  *annotations.Filter
	Objects    bool // whether to count objects; counting reads the annotations too
	Luminosity bool // whether to summarise the luminosity; SQLite computes sums that nobody reads
}

// SelectBuckets returns a function that turns a query into a query of buckets, ordered
// by device and start, for a reader that runs the query itself. Spans without
// images are left out. The reader must refuse an answer of more than
// MaxBuckets. SelectBuckets returns a *fault.Error for an invalid request.
func SelectBuckets(request Request) (func(*sql.Selector), error) {
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
		if request.Luminosity {
			summarise(sums, images.C(image.FieldLuminosity), Luminosity)
		}
		union.SelectJoined(sums, images)
		sums.GroupBy(images.C(image.FieldDeviceID), Start)
		buckets := sql.Dialect(s.Dialect()).Table(Table)
		s.From(sums.As(Table)).OrderBy(buckets.C(Device), buckets.C(Start))
	}, nil
}

// spanStart writes the expression for the moment at which an image's span
// begins.
func spanStart(column string, every time.Duration) func(*sql.Builder) {
	return func(b *sql.Builder) {
		b.Ident(column).WriteString(" - ").Ident(column).WriteString(" % ").Arg(every.Milliseconds())
	}
}

func summarise(s *sql.Selector, column string, columns [3]string) {
	s.AppendSelectAs(sql.Min(column), columns[0]).AppendSelectAs(sql.Avg(column), columns[1]).AppendSelectAs(sql.Max(column), columns[2])
}

// objectCount returns the expression for the number of objects in the
// annotations of a span's images. The expression looks up each image in an
// index that holds the counts. A join with all annotations takes the same time
// for a million images and a hundred megabytes of memory, and is no faster for
// a thousand images.
func objectCount(images *sql.SelectTable, algorithm predicate.Annotation) sql.Querier {
	return sql.ExprFunc(func(b *sql.Builder) {
		annotationTable := sql.Dialect(b.Dialect()).Table(annotation.Table).As(annotation.Table)
		count := sql.Dialect(b.Dialect()).Select(sql.Sum(annotationTable.C(annotation.FieldObjectCount))).From(annotationTable)
		count.Where(sql.ColumnsEQ(annotationTable.C(annotation.FieldImageID), images.C(image.FieldID)))
		algorithm(count)
		// PostgreSQL returns NUMERIC for a sum of BIGINT.
		b.WriteString("COALESCE(CAST(SUM(CAST(").Wrap(func(b *sql.Builder) { b.Join(count) }).WriteString(" AS BIGINT)) AS BIGINT), 0)")
	})
}

// Buckets returns the buckets of a request, ordered by device and time. Spans
// without images are left out. Buckets returns a *fault.Error if the request is
// invalid or has more than MaxBuckets spans.
func Buckets(ctx context.Context, db *database.DB, request Request) ([]Bucket, error) {
	selectBuckets, err := SelectBuckets(request)
	if err != nil {
		return nil, err
	}
	s := sql.Dialect(db.Dialect).Select()
	selectBuckets(s)
	s.Select(slices.Concat([]string{Device, Start, Images}, Temperature[:], Humidity[:])...)
	if request.Objects {
		s.AppendSelect(Objects)
	}
	if request.Luminosity {
		s.AppendSelect(Luminosity[:]...)
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
		var temperature, humidity, luminosity [3]*float64
		dest := []any{
			&b.Device, &b.Start, &b.Images,
			&temperature[0], &temperature[1], &temperature[2], &humidity[0], &humidity[1], &humidity[2],
		}
		if request.Objects {
			dest = append(dest, &b.Objects)
		}
		if request.Luminosity {
			dest = append(dest, &luminosity[0], &luminosity[1], &luminosity[2])
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		b.Temperature, b.Humidity, b.Luminosity = summary(temperature), summary(humidity), summary(luminosity)
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
