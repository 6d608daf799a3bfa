package images

import (
	"context"
	"math"
	"strings"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/image"
	"tagma/ent/generated/predicate"
	"tagma/internal/base/instant"
	"tagma/internal/base/like"
	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
	"tagma/internal/storage/database"
)

// among is the condition that an image has one of the keys.
func among(keys []Key) predicate.Image {
	return amongPairs(image.FieldDeviceID, image.FieldTakenAt, keys)
}

// AmongJoined is among for a query that has joined images as t.
func AmongJoined(t *sql.SelectTable, keys []Key) func(*sql.Selector) {
	return amongPairs(t.C(image.FieldDeviceID), t.C(image.FieldTakenAt), keys)
}

func amongPairs(device, takenAt string, keys []Key) func(*sql.Selector) {
	devices, times := devicesAndTimes(keys)
	return database.AmongPairs(device, takenAt, devices, times)
}

func devicesAndTimes(keys []Key) (devices []string, times []instant.Instant) {
	devices = make([]string, len(keys))
	times = make([]instant.Instant, len(keys))
	for n, key := range keys {
		devices[n], times[n] = key.Device, key.TakenAt
	}
	return devices, times
}

func devicePattern(text string) (predicate.Device, error) {
	pattern, err := like.Parse(strings.ToLower(text)) // as names are
	if err != nil {
		return nil, err
	}
	return func(s *sql.Selector) { s.Where(pattern.Match(s.C("id"))) }, nil
}

// DevicesOf gives the devices of the images, by name.
func (s *Service) DevicesOf(ctx context.Context, all []*ent.Image) (map[string]*ent.Device, error) {
	seen := map[string]bool{}
	var names []string
	for _, i := range all {
		if !seen[i.DeviceID] {
			seen[i.DeviceID] = true
			names = append(names, i.DeviceID)
		}
	}
	return s.DevicesByName(ctx, names)
}

// Metadata gives what the cameras wrote into the images, by image id.
func (s *Service) Metadata(ctx context.Context, all []*ent.Image) (map[int64]rawjson.Value, error) {
	rows, err := s.db.Image.Query().Where(database.AmongNumbers(image.FieldID, ent.Images(all).IDs())).
		Select(image.FieldID, image.FieldMetadata).All(ctx)
	found := make(map[int64]rawjson.Value, len(rows))
	for _, row := range rows {
		found[row.ID] = row.Metadata
	}
	return found, err
}

// Previous gives for each image the one of the same device before it in time,
// by the image's id.
func (s *Service) Previous(ctx context.Context, all []*ent.Image) (map[int64]*ent.Image, error) {
	return s.neighbours(ctx, all, false)
}

// Next gives for each image the one of the same device after it in time, by
// the image's id.
func (s *Service) Next(ctx context.Context, all []*ent.Image) (map[int64]*ent.Image, error) {
	return s.neighbours(ctx, all, true)
}

// NarrowToNeighbours narrows a query of the images to those before, or after, the
// images with these ids, for a reader that fetches them by itself. The images
// that were given are joined, as the table Origin.
func NarrowToNeighbours(ids []int64, after bool) func(*sql.Selector) {
	comparison, order := "<", sql.Desc
	if after {
		comparison, order = ">", sql.Asc
	}
	return func(s *sql.Selector) {
		of := sql.Dialect(s.Dialect())
		origin, row := of.Table(image.Table).As(Origin), of.Table(image.Table).As("n")
		nearest := of.Select(row.C(image.FieldID)).From(row).Where(sql.And(
			sql.ColumnsEQ(row.C(image.FieldDeviceID), origin.C(image.FieldDeviceID)),
			sql.P(func(b *sql.Builder) {
				b.Ident(row.C(image.FieldTakenAt)).WriteString(" " + comparison + " ").Ident(origin.C(image.FieldTakenAt))
			}),
		)).OrderBy(order(row.C(image.FieldTakenAt))).Limit(1)
		id := s.C(image.FieldID)
		s.Join(origin).OnP(sql.P(func(b *sql.Builder) { b.Ident(id).WriteString(" = (").Join(nearest).WriteByte(')') }))
		database.AmongNumbers(origin.C(image.FieldID), ids)(s)
	}
}

// Origin is what a query of neighbours calls the images whose they are.
const Origin = "origin"

// originID is the column of Origin's id in the result of neighbours.
const originID = "origin_id"

func (s *Service) neighbours(ctx context.Context, all []*ent.Image, after bool) (map[int64]*ent.Image, error) {
	query := s.db.Image.Query().Where(NarrowToNeighbours(ent.Images(all).IDs(), after))
	query.Modify(func(s *sql.Selector) { s.AppendSelectAs(sql.Table(image.Table).As(Origin).C(image.FieldID), originID) })
	rows, err := query.Select(listed...).All(ctx)
	if err != nil {
		return nil, err
	}
	neighbours := make(map[int64]*ent.Image, len(rows))
	for _, row := range ent.Images(rows).Siblings() {
		id, err := database.ColumnValue[int64](row, originID)
		if err != nil {
			return nil, err
		}
		neighbours[id] = row
	}
	return neighbours, nil
}

// Statistics is what is known of all images of a device.
type Statistics struct {
	Images      int
	First, Last *instant.Instant
}

// Statistics gives that for each device, by name.
func (s *Service) Statistics(ctx context.Context, devices []*ent.Device) (map[string]Statistics, error) {
	var rows []struct {
		Device string
		Count  int
		First  instant.Instant
		Last   instant.Instant
	}
	err := s.db.Image.Query().Where(database.AmongTexts(image.FieldDeviceID, ent.Devices(devices).IDs())).
		GroupBy(image.FieldDeviceID).
		Aggregate(ent.As(ent.Count(), "count"), ent.As(ent.Min(image.FieldTakenAt), "first"), ent.As(ent.Max(image.FieldTakenAt), "last")).
		Scan(ctx, &rows)
	found := make(map[string]Statistics, len(rows))
	for _, row := range rows {
		found[row.Device] = Statistics{Images: row.Count, First: &row.First, Last: &row.Last}
	}
	return found, err
}

// Range is the time between two moments: from Start, included, to End,
// excluded, or without bound where one is nil.
type Range struct{ Start, End *instant.Instant }

func (r Range) bounds() (start, end int64) {
	start, end = math.MinInt64, math.MaxInt64
	if r.Start != nil {
		start = int64(*r.Start)
	}
	if r.End != nil {
		end = int64(*r.End)
	}
	return start, end
}

// byTime is the order of the images of one device.
var byTime = page.Order[*ent.Image]{ //nolint:gochecknoglobals // a table
	Columns: []page.Column{{Name: image.FieldTakenAt}},
	Key:     func(i *ent.Image) page.Key { return page.Key{int64(i.TakenAt)} },
}

// NarrowToPagesOfDevices is the pages that OfDevices gives, and what narrows a query of
// the images to the rows of all of them, for a reader that fetches them by
// itself. Count is of all devices, by name.
func (s *Service) NarrowToPagesOfDevices(devices []string, within Range, request page.Request) (
	plan page.Plan, order []page.Column, narrow func(*sql.Selector), count func(context.Context) (map[string]int, error), err error,
) {
	plan, err = byTime.Plan(s.limits.Page, request)
	start, end := within.from(plan)
	return plan, byTime.Columns, func(s *sql.Selector) {
		database.SelectFirst(s, firstImages(start, end, plan.Length+1), devices)
		s.OrderBy(sql.Table(image.Table).C(image.FieldTakenAt))
	}, func(ctx context.Context) (map[string]int, error) { return s.count(ctx, devices, within) }, err
}

// from is the bounds of the rows of a page, and of those after it.
func (r Range) from(plan page.Plan) (start, end int64) {
	start, end = r.bounds()
	if plan.After != nil {
		start = max(start, min(plan.After[0].(int64), math.MaxInt64-1)+1) // a made-up one may be the last there is
	}
	return start, end
}

// OfDevices gives for each device the first page of its images in the range,
// by the device's name. It takes two statements, however many devices.
func (s *Service) OfDevices(ctx context.Context, devices []*ent.Device, within Range, request page.Request) (map[string]*page.Page[*ent.Image], error) {
	names := ent.Devices(devices).IDs()
	plan, _, narrow, count, err := s.NarrowToPagesOfDevices(names, within, request)
	if err != nil {
		return nil, err
	}
	found, err := s.db.Image.Query().Where(narrow).Select(listed...).All(ctx)
	if err != nil {
		return nil, err
	}
	return page.OfParents(byTime, plan, names, ent.Images(found).Siblings(),
		func(i *ent.Image) string { return i.DeviceID },
		func() (map[string]int, error) { return count(ctx) }), nil
}

func firstImages(start, end int64, length int) database.First {
	return database.First{
		Table: image.Table, Parent: image.FieldDeviceID, Column: image.FieldTakenAt, From: start, Before: end, Most: length,
	}
}

// count gives how many images each device has in the range.
func (s *Service) count(ctx context.Context, devices []string, within Range) (map[string]int, error) {
	start, end := within.bounds()
	var rows []struct {
		Device string
		Count  int
	}
	err := s.db.Image.Query().
		Where(database.AmongTexts(image.FieldDeviceID, devices), image.TakenAtGTE(instant.Instant(start)), image.TakenAtLT(instant.Instant(end))).
		GroupBy(image.FieldDeviceID).Aggregate(ent.As(ent.Count(), "count")).Scan(ctx, &rows)
	counts := make(map[string]int, len(rows))
	for _, row := range rows {
		counts[row.Device] = row.Count
	}
	return counts, err
}
