package images

import (
	"context"
	"math"
	"strings"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/device"
	"tagma/ent/generated/image"
	"tagma/ent/generated/predicate"
	"tagma/internal/base/instant"
	"tagma/internal/base/like"
	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
	"tagma/internal/storage/database"
)

// hasAnyKey returns the condition that an image has one of the keys.
func hasAnyKey(keys []Key) predicate.Image {
	return matchPairs(image.FieldDeviceID, image.FieldTakenAt, keys)
}

// JoinedHasAnyKey returns the condition that an image of the joined table t has one
// of the keys.
func JoinedHasAnyKey(t *sql.SelectTable, keys []Key) func(*sql.Selector) {
	return matchPairs(t.C(image.FieldDeviceID), t.C(image.FieldTakenAt), keys)
}

func matchPairs(device, takenAt string, keys []Key) func(*sql.Selector) {
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
	pattern, err := like.Parse(strings.ToLower(text)) // names are in lower case
	if err != nil {
		return nil, err
	}
	return func(s *sql.Selector) { s.Where(pattern.Match(s.C("id"))) }, nil
}

// DevicesOf returns the devices of images, by name.
func (s *Service) DevicesOf(ctx context.Context, list []*ent.Image) (map[string]*ent.Device, error) {
	seen := map[string]bool{}
	var names []string
	for _, i := range list {
		if !seen[i.DeviceID] {
			seen[i.DeviceID] = true
			names = append(names, i.DeviceID)
		}
	}
	return s.DevicesByName(ctx, names)
}

// Metadata returns the metadata of images, as the camera wrote it, by image id.
func (s *Service) Metadata(ctx context.Context, list []*ent.Image) (map[int64]rawjson.Value, error) {
	rows, err := s.db.Image.Query().Where(database.AmongNumbers(image.FieldID, ent.Images(list).IDs())).
		Select(image.FieldID, image.FieldMetadata).All(ctx)
	byID := make(map[int64]rawjson.Value, len(rows))
	for _, row := range rows {
		byID[row.ID] = row.Metadata
	}
	return byID, err
}

// Previous returns the last earlier image of the same device, by the id of the given
// image. Images without an earlier image are missing from the map.
func (s *Service) Previous(ctx context.Context, list []*ent.Image) (map[int64]*ent.Image, error) {
	return s.neighbours(ctx, list, false)
}

// Next returns the first later image of the same device, by the id of the given
// image. Images without a later image are missing from the map.
func (s *Service) Next(ctx context.Context, list []*ent.Image) (map[int64]*ent.Image, error) {
	return s.neighbours(ctx, list, true)
}

// NarrowToNeighbours returns a function that restricts a query of images to the
// neighbours of the images with the given ids: of each the next image of the
// same device, or the previous one if after is false. The function joins the
// images with the given ids, as the table Origin. An image without a neighbour
// has no row. The query takes one step in the index over device and time per
// id.
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

// Origin is the name of the table of the given images in a query of neighbours.
const Origin = "origin"

// originID is the name of the id of Origin in the result of neighbours.
const originID = "origin_id"

// neighbours returns the nearest image before or after each image, by the id of the
// given image.
func (s *Service) neighbours(ctx context.Context, list []*ent.Image, after bool) (map[int64]*ent.Image, error) {
	query := s.db.Image.Query().Where(NarrowToNeighbours(ent.Images(list).IDs(), after))
	query.Modify(func(s *sql.Selector) { s.AppendSelectAs(sql.Table(image.Table).As(Origin).C(image.FieldID), originID) })
	rows, err := query.Select(listColumns...).All(ctx)
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

// Statistics sums up the images of a device. First and Last are nil if the
// device has no images.
type Statistics struct {
	Images      int
	First, Last *instant.Instant // times of the first and the last image
}

// The columns of Statistics in a query of devices.
const (
	ImageCount   = "image_count"
	FirstTakenAt = "first_taken_at"
	LastTakenAt  = "last_taken_at"
)

// StatisticsColumns returns the SQL of each column of Statistics, for a query
// of devices. FirstTakenAt and LastTakenAt take one step in the index over
// device and time each.
func StatisticsColumns() map[string]string {
	ofDevice := func(sum string) string {
		return "(SELECT " + sum + " FROM images i WHERE i.device = devices.id)"
	}
	return map[string]string{
		ImageCount: ofDevice("COUNT(*)"), FirstTakenAt: ofDevice("MIN(i.taken_at)"), LastTakenAt: ofDevice("MAX(i.taken_at)"),
	}
}

// Statistics returns the statistics of each device, by name.
func (s *Service) Statistics(ctx context.Context, devices []*ent.Device) (map[string]Statistics, error) {
	var rows []struct {
		ID     string
		Images int              `sql:"image_count"`
		First  *instant.Instant `sql:"first_taken_at"`
		Last   *instant.Instant `sql:"last_taken_at"`
	}
	err := s.db.Device.Query().Where(database.AmongTexts(device.FieldID, ent.Devices(devices).IDs())).Modify(func(s *sql.Selector) {
		s.Select(s.C(device.FieldID))
		columns := StatisticsColumns()
		for _, name := range []string{ImageCount, FirstTakenAt, LastTakenAt} {
			s.AppendSelectExprAs(sql.Raw(columns[name]), name)
		}
	}).Scan(ctx, &rows)
	statistics := make(map[string]Statistics, len(rows))
	for _, row := range rows {
		statistics[row.ID] = Statistics{Images: row.Images, First: row.First, Last: row.Last}
	}
	return statistics, err
}

// Range is an interval of time from Start (inclusive) to End (exclusive). Nil means
// no bound.
type Range struct{ Start, End *instant.Instant }

// bounds returns the range in milliseconds since 1970, UTC.
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

// byTime sorts the images of one device.
var byTime = page.Order[*ent.Image]{ //nolint:gochecknoglobals // a table
	Columns: []page.Column{{Name: image.FieldTakenAt}},
	Key:     func(i *ent.Image) page.Key { return page.Key{int64(i.TakenAt)} },
}

// NarrowToPagesOfDevices returns the page that OfDevices makes for each device, and a
// function that restricts a query of images to the rows of all pages, for a reader
// that runs the query itself. Count returns the number of images of each device in
// the range, by name.
func (s *Service) NarrowToPagesOfDevices(devices []string, within Range, request page.Request) (
	plan page.Plan, order []page.Column, narrow func(*sql.Selector), count func(context.Context) (map[string]int, error), err error,
) {
	plan, err = byTime.Plan(s.limits.Page, request)
	first := within.first(plan)
	return plan, byTime.Columns, func(s *sql.Selector) {
		database.SelectFirst(s, first, devices)
		s.OrderBy(sql.Table(image.Table).C(image.FieldTakenAt))
	}, func(ctx context.Context) (map[string]int, error) { return s.count(ctx, devices, within) }, err
}

// first returns the description of the rows of a page of each device.
func (r Range) first(plan page.Plan) database.First {
	start, end := r.bounds()
	first := database.First{
		Table: image.Table, Parent: image.FieldDeviceID, Column: image.FieldTakenAt, From: start, Before: end, Most: plan.Length + 1,
	}
	if plan.After != nil {
		first.StartAfter(plan.After[0].(int64))
	}
	return first
}

// OfDevices returns the first page of the images of each device in the range, by the
// name of the device. OfDevices runs one statement for any number of devices, and
// one more when a caller requests a total.
func (s *Service) OfDevices(ctx context.Context, devices []*ent.Device, within Range, request page.Request) (map[string]*page.Page[*ent.Image], error) {
	names := ent.Devices(devices).IDs()
	plan, _, narrow, count, err := s.NarrowToPagesOfDevices(names, within, request)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.Image.Query().Where(narrow).Select(listColumns...).All(ctx)
	if err != nil {
		return nil, err
	}
	return page.OfParents(byTime, plan, names, ent.Images(rows).Siblings(),
		func(i *ent.Image) string { return i.DeviceID },
		func() (map[string]int, error) { return count(ctx) }), nil
}

// count returns the number of images of each device in the range.
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
