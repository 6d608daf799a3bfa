// Package images owns the photographs: how they come in, are found, compared
// and deleted, and that a row and its files agree.
//
// The bytes are in a store of files, what is known of them in the database.
// Bytes go first and the row second, in one short transaction, so that a row
// never lacks its files. A file may for a while lack its row, after a crash or
// a race that was lost; the sweep clears those away. Each upload's files have
// names that no other upload's have, so that clearing one can never hurt
// another.
//
// It does not own what a photograph says (package photo) or looks like
// (package thumbnail), how a file is signed and served (package filelink), nor
// who may do what.
package images

import (
	"context"
	"slices"

	"entgo.io/ent/dialect/sql"
	"gocloud.dev/blob"
	"golang.org/x/sync/semaphore"

	ent "tagma/ent/generated"
	"tagma/ent/generated/device"
	"tagma/ent/generated/image"
	"tagma/ent/generated/predicate"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/base/siblings"
	"tagma/internal/domain/series"
	"tagma/internal/photo"
	"tagma/internal/storage/database"
)

// MaxKeys bounds a list of keys or fingerprints.
const MaxKeys = 10_000

// Images is the photographs of one server. It is safe for concurrent use.
type Images struct {
	db     *database.DB
	bucket *blob.Bucket
	clock  instant.Clock
	limits Limits

	decoders  chan struct{}       // one place for each photograph being decoded
	memory    *semaphore.Weighted // what those being decoded may take
	slow      *semaphore.Weighted // the same for those whose decoding is slow
	slowShare int64               // the least that each of them takes of slow, so that they leave decoders to others
	flight    chan struct{}       // one place for each that is decoded or stored
	content   *semaphore.Weighted // bytes of files that were read into memory here

	onAdded func(ids ...int64)
}

// OnAdded says who is told of images that were added. It is called before
// anything else.
func (c *Images) OnAdded(tell func(ids ...int64)) { c.onAdded = tell }

// Limits bounds what Images takes.
type Limits struct {
	Page      page.Limits
	Pixels    int64 // of one photograph
	FileBytes int64 // of one photograph
	Decoders  int   // photographs decoded at once: as many as there are cores
}

const (
	// MaxDecodeBytes bounds the memory that photographs take that are decoded at
	// once: the ordinary ones, and as much again for the others. One that takes
	// more alone is refused. An ordinary photograph of 5 megapixels takes 5 MB,
	// and one of 64 megapixels 34 MB.
	MaxDecodeBytes = 192 << 20
	// contentMemory bounds the bytes of files that wait on the disk for their
	// turn and are then read into memory.
	contentMemory = 64 << 20
)

// New is the photographs in db and bucket. The caller closes both.
func New(db *database.DB, bucket *blob.Bucket, clock instant.Clock, limits Limits) *Images {
	decoders := max(1, limits.Decoders)
	return &Images{
		db: db, bucket: bucket, clock: clock, limits: limits,
		decoders:  make(chan struct{}, decoders),
		memory:    semaphore.NewWeighted(MaxDecodeBytes),
		slow:      semaphore.NewWeighted(MaxDecodeBytes),
		slowShare: MaxDecodeBytes / int64(max(1, decoders/2)),
		// While some are decoded, others are read or written to the store.
		flight:  make(chan struct{}, 4*decoders),
		content: semaphore.NewWeighted(max(contentMemory, limits.FileBytes)),
	}
}

// Key names one image.
type Key struct {
	Device  string
	TakenAt instant.Instant
}

// listed is the columns of an image that are cheap to read and that a caller may
// ask for. What the camera wrote is fetched when it is asked for: see Metadata.
var listed = slices.DeleteFunc(slices.Clone(image.Columns), func(column string) bool { //nolint:gochecknoglobals // a table
	return column == image.FieldMetadata || column == image.FieldThumbnailSha256 || column == image.FieldThumbnailMiniSha256
})

// Together tells images that they were loaded together: see package batch.
func Together(all []*ent.Image) []*ent.Image {
	group := siblings.NewGroup(all)
	for _, i := range all {
		i.Group = group
	}
	return all
}

// ByKeys gives the images that are there, each once, in the keys' order.
// Argument is what the caller calls the keys.
func (c *Images) ByKeys(ctx context.Context, argument string, keys []Key) ([]*ent.Image, error) {
	keys, err := checkKeys(argument, keys)
	if err != nil {
		return nil, err
	}
	found, err := c.among(ctx, keys)
	if err != nil {
		return nil, err
	}
	all := make([]*ent.Image, 0, len(found))
	for _, key := range keys {
		if i, ok := found[key]; ok {
			all = append(all, i)
			delete(found, key)
		}
	}
	return Together(all), nil
}

// checkKeys bounds keys and brings their devices into the form of the names.
func checkKeys(argument string, keys []Key) ([]Key, error) {
	if len(keys) > MaxKeys {
		return nil, fault.New(fault.TooLarge, "%s has %d items: at most %d are taken at once", argument, len(keys), MaxKeys)
	}
	var problems fault.Problems
	checked := slices.Clone(keys)
	for n := range checked {
		name, err := photo.ParseDevice(checked[n].Device)
		if err != nil {
			problems.Add(fault.BadInput, []any{argument, n, "device"}, "%s", err)
		}
		checked[n].Device = name
	}
	return checked, problems.Err()
}

// among gives the images with these keys that are there.
func (c *Images) among(ctx context.Context, keys []Key) (map[Key]*ent.Image, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	all, err := c.db.Image.Query().Where(among(keys)).Select(listed...).All(ctx)
	found := make(map[Key]*ent.Image, len(all))
	for _, i := range all {
		found[KeyOf(i)] = i
	}
	return found, err
}

// KeyOf is the key of an image.
func KeyOf(i *ent.Image) Key { return Key{i.DeviceID, i.TakenAt} }

// ByIDs gives the images with these ids that are there.
func (c *Images) ByIDs(ctx context.Context, ids []int64) (map[int64]*ent.Image, error) {
	all, err := c.db.Image.Query().Where(database.AmongNumbers(image.FieldID, ids)).Select(listed...).All(ctx)
	return byID(Together(all)), err
}

func byID(all []*ent.Image) map[int64]*ent.Image {
	found := make(map[int64]*ent.Image, len(all))
	for _, i := range all {
		found[i.ID] = i
	}
	return found
}

// WantKeys narrows a query of the images to those that have the keys, for a
// reader that fetches them by itself. Places are where in an answer each of
// them stands, counted from 0. Argument is what the caller calls the keys.
func WantKeys(argument string, keys []Key) (narrow predicate.Image, places map[Key]int, err error) {
	keys, err = checkKeys(argument, keys)
	if err != nil {
		return nil, nil, err
	}
	places = make(map[Key]int, len(keys))
	for _, key := range keys {
		if _, ok := places[key]; !ok {
			places[key] = len(places)
		}
	}
	if len(keys) == 1 { // which a database plans better than a list of one
		return image.And(
			database.Exactly(image.FieldDeviceID, keys[0].Device),
			database.Exactly(image.FieldTakenAt, int64(keys[0].TakenAt)),
		), places, nil
	}
	return among(keys), places, nil
}

// WantSeries is the page that Series gives, and what narrows a query of the
// images to it, for a reader that fetches them by itself.
func (c *Images) WantSeries(all []series.Series, order series.Order, request page.Request) (page.Keyset, predicate.Image, error) {
	union, err := series.Parse(all)
	if err != nil {
		return page.Keyset{}, nil, err
	}
	keyset, err := order.Places().Keyset(c.limits.Page, request, func(ctx context.Context) (int, error) {
		return c.db.Image.Query().Where(union.Select).Count(ctx)
	})
	return keyset, func(s *sql.Selector) { union.Narrow(s, keyset) }, err
}

// Series gives a page of the images that are in at least one of the series.
func (c *Images) Series(ctx context.Context, all []series.Series, order series.Order, request page.Request) (*page.Page[*ent.Image], error) {
	keyset, narrow, err := c.WantSeries(all, order, request)
	if err != nil {
		return nil, err
	}
	found, err := c.db.Image.Query().Where(narrow, keyset.Limit).Select(listed...).All(ctx)
	if err != nil {
		return nil, err
	}
	return order.Places().Page(keyset.Plan, Together(found), keyset.Count), nil
}

// WantDevices is the page that Devices gives, and what narrows a query of the
// devices to it, for a reader that fetches them by itself.
func (c *Images) WantDevices(pattern string, request page.Request) (page.Keyset, predicate.Device, error) {
	match, err := devicePattern(pattern)
	if err != nil {
		return page.Keyset{}, nil, err
	}
	keyset, err := devicesByName.Keyset(c.limits.Page, request, func(ctx context.Context) (int, error) {
		return c.db.Device.Query().Where(match).Count(ctx)
	})
	return keyset, func(s *sql.Selector) {
		match(s)
		keyset.Apply(s)
	}, err
}

// WantDevice narrows a query of the devices to the one of that name.
func WantDevice(name string) (predicate.Device, error) {
	name, err := photo.ParseDevice(name)
	return device.ID(name), err
}

// devicesByName is the order of devices.
var devicesByName = page.Order[*ent.Device]{ //nolint:gochecknoglobals // a table
	Columns: []page.Column{{Name: device.FieldID, IsText: true}},
	Key:     func(d *ent.Device) page.Key { return page.Key{d.ID} },
}

// Devices gives a page of the devices whose name matches the pattern.
func (c *Images) Devices(ctx context.Context, pattern string, request page.Request) (*page.Page[*ent.Device], error) {
	match, err := devicePattern(pattern)
	if err != nil {
		return nil, err
	}
	matching := func() *ent.DeviceQuery { return c.db.Device.Query().Where(match) }
	return page.Fetch(ctx, c.limits.Page, request, devicesByName,
		func(ctx context.Context, add func(*sql.Selector)) ([]*ent.Device, error) {
			found, err := matching().Where(add).All(ctx)
			return togetherDevices(found), err
		},
		func(ctx context.Context) (int, error) { return matching().Count(ctx) })
}

// DevicesByName gives the devices with these names that are there.
func (c *Images) DevicesByName(ctx context.Context, names []string) (map[string]*ent.Device, error) {
	all, err := c.db.Device.Query().Where(database.AmongTexts(device.FieldID, names)).All(ctx)
	found := make(map[string]*ent.Device, len(all))
	for _, d := range togetherDevices(all) {
		found[d.ID] = d
	}
	return found, err
}

func togetherDevices(all []*ent.Device) []*ent.Device {
	group := siblings.NewGroup(all)
	for _, d := range all {
		d.Group = group
	}
	return all
}

// Device gives the device of that name, or nil if it has sent nothing.
func (c *Images) Device(ctx context.Context, name string) (*ent.Device, error) {
	name, err := photo.ParseDevice(name)
	if err != nil {
		return nil, err
	}
	found, err := c.DevicesByName(ctx, []string{name})
	return found[name], err
}
