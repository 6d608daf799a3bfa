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
	"tagma/internal/domain/series"
	"tagma/internal/photo"
	"tagma/internal/storage/database"
)

// MaxKeys bounds a list of keys or fingerprints.
const MaxKeys = 10_000

// Service is the photographs of one server. It is safe for concurrent use.
type Service struct {
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
func (s *Service) OnAdded(tell func(ids ...int64)) { s.onAdded = tell }

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
func New(db *database.DB, bucket *blob.Bucket, clock instant.Clock, limits Limits) *Service {
	decoders := max(1, limits.Decoders)
	return &Service{
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

// ByKeys gives the images that are there, each once, in the keys' order.
// Argument is what the caller calls the keys.
func (s *Service) ByKeys(ctx context.Context, argument string, keys []Key) ([]*ent.Image, error) {
	keys, err := checkKeys(argument, keys)
	if err != nil {
		return nil, err
	}
	found, err := s.among(ctx, keys)
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
	return ent.Images(all).Siblings(), nil
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
func (s *Service) among(ctx context.Context, keys []Key) (map[Key]*ent.Image, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	all, err := s.db.Image.Query().Where(among(keys)).Select(listed...).All(ctx)
	found := make(map[Key]*ent.Image, len(all))
	for _, i := range all {
		found[KeyOf(i)] = i
	}
	return found, err
}

// KeyOf is the key of an image.
func KeyOf(i *ent.Image) Key { return Key{i.DeviceID, i.TakenAt} }

// ByIDs gives the images with these ids that are there.
func (s *Service) ByIDs(ctx context.Context, ids []int64) (map[int64]*ent.Image, error) {
	all, err := s.db.Image.Query().Where(database.AmongNumbers(image.FieldID, ids)).Select(listed...).All(ctx)
	return ent.Images(all).Siblings().ByID(), err
}

// NarrowToKeys narrows a query of the images to those that have the keys, for a
// reader that fetches them by itself. Places are where in an answer each of
// them stands, counted from 0. Argument is what the caller calls the keys.
func NarrowToKeys(argument string, keys []Key) (narrow predicate.Image, places map[Key]int, err error) {
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

// NarrowToSeries is the page that Series gives, and what narrows a query of the
// images to it, for a reader that fetches them by itself.
func (s *Service) NarrowToSeries(all []series.Series, order series.Order, request page.Request) (page.Wanted, predicate.Image, error) {
	union, err := series.Parse(all)
	if err != nil {
		return page.Wanted{}, nil, err
	}
	wanted, err := order.PageOrder().Want(s.limits.Page, request, func(ctx context.Context) (int, error) {
		return s.db.Image.Query().Where(union.Select).Count(ctx)
	})
	return wanted, func(s *sql.Selector) { union.Narrow(s, wanted) }, err
}

// Series gives a page of the images that are in at least one of the series.
func (s *Service) Series(ctx context.Context, all []series.Series, order series.Order, request page.Request) (*page.Page[*ent.Image], error) {
	wanted, narrow, err := s.NarrowToSeries(all, order, request)
	if err != nil {
		return nil, err
	}
	found, err := s.db.Image.Query().Where(narrow, wanted.Limit).Select(listed...).All(ctx)
	if err != nil {
		return nil, err
	}
	return order.PageOrder().Page(wanted.Plan, ent.Images(found).Siblings(), wanted.Count), nil
}

// NarrowToDevices is the page that Devices gives, and what narrows a query of the
// devices to it, for a reader that fetches them by itself.
func (s *Service) NarrowToDevices(pattern string, request page.Request) (page.Wanted, predicate.Device, error) {
	match, err := devicePattern(pattern)
	if err != nil {
		return page.Wanted{}, nil, err
	}
	wanted, err := devicesByName.Want(s.limits.Page, request, func(ctx context.Context) (int, error) {
		return s.db.Device.Query().Where(match).Count(ctx)
	})
	return wanted, func(s *sql.Selector) {
		match(s)
		wanted.Narrow(s)
	}, err
}

// NarrowToDevice narrows a query of the devices to the one of that name.
func NarrowToDevice(name string) (predicate.Device, error) {
	name, err := photo.ParseDevice(name)
	return device.ID(name), err
}

// devicesByName is the order of devices.
var devicesByName = page.Order[*ent.Device]{ //nolint:gochecknoglobals // a table
	Columns: []page.Column{{Name: device.FieldID, Text: true}},
	Key:     func(d *ent.Device) page.Key { return page.Key{d.ID} },
}

// Devices gives a page of the devices whose name matches the pattern.
func (s *Service) Devices(ctx context.Context, pattern string, request page.Request) (*page.Page[*ent.Device], error) {
	match, err := devicePattern(pattern)
	if err != nil {
		return nil, err
	}
	matching := func() *ent.DeviceQuery { return s.db.Device.Query().Where(match) }
	return page.Fetch(ctx, s.limits.Page, request, devicesByName,
		func(ctx context.Context, add func(*sql.Selector)) ([]*ent.Device, error) {
			found, err := matching().Where(add).All(ctx)
			return ent.Devices(found).Siblings(), err
		},
		func(ctx context.Context) (int, error) { return matching().Count(ctx) })
}

// DevicesByName gives the devices with these names that are there.
func (s *Service) DevicesByName(ctx context.Context, names []string) (map[string]*ent.Device, error) {
	all, err := s.db.Device.Query().Where(database.AmongTexts(device.FieldID, names)).All(ctx)
	return ent.Devices(all).Siblings().ByID(), err
}

// Device gives the device of that name, or nil if it has sent nothing.
func (s *Service) Device(ctx context.Context, name string) (*ent.Device, error) {
	name, err := photo.ParseDevice(name)
	if err != nil {
		return nil, err
	}
	found, err := s.DevicesByName(ctx, []string{name})
	return found[name], err
}
