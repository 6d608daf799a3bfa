// Package images owns the photographs: ingesting, querying, comparing and deleting
// images, and the agreement of rows and files.
//
// Files are in a bucket, rows in the database. An upload writes the files first,
// and then the row in one short transaction, so a row never lacks its files. After
// a crash or a lost race a file may lack its row; Sweep deletes such files. The
// files of each upload have names of their own, so deleting the files of one upload
// never hurts another upload.
//
// Package images does not own the metadata of a photograph (package photo), its
// thumbnails (package thumbnail), the links to files (package filelink), nor rights.
package images

import (
	"cmp"
	"context"
	"slices"

	"entgo.io/ent/dialect/sql"
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
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
)

// MaxKeys is the largest number of keys or fingerprints in one list.
const MaxKeys = 10_000

// Service holds the images of one server. A Service is safe for concurrent use.
type Service struct {
	db     *database.DB
	bucket bucket.Bucket
	clock  instant.Clock
	limits Limits

	decoders   *semaphore.Weighted // photographs that are being decoded
	memory     *semaphore.Weighted // bytes for decoding ordinary photographs
	slowMemory *semaphore.Weighted // bytes for decoding photographs whose decoding is slow
	slowShare  int64               // least bytes of slowMemory per photograph, so that slow photographs never take all decoders
	maxUploads int                 // photographs that may be decoded or stored at once
	uploads    *semaphore.Weighted // photographs that are being decoded or stored
	content    *semaphore.Weighted // bytes of files that this package has read into memory

	onAdded func(ids ...int64)
}

// OnAdded sets the function that is called with the ids of new images. Call OnAdded
// before any other method.
func (s *Service) OnAdded(notify func(ids ...int64)) { s.onAdded = notify }

// Limits bounds the images and the work of a Service.
type Limits struct {
	Page      page.Limits
	Pixels    int64 // of one photograph
	FileBytes int64 // of one photograph
	Decoders  int   // photographs decoded at once, usually the number of cores
}

const (
	// MaxDecodeBytes is the memory for decoding ordinary photographs at once, and
	// again for decoding slow photographs. A photograph that needs more is refused.
	// An ordinary photograph of 5 megapixels needs 5 MB, of 64 megapixels 32 MB; a
	// progressive one 3 to 7 bytes a pixel.
	MaxDecodeBytes = 192 << 20
	// contentMemory is the memory for the bytes of uploaded files that were on the
	// disk.
	contentMemory = 64 << 20
)

// New returns the images in db and bucket. The caller closes both.
func New(db *database.DB, bucket bucket.Bucket, clock instant.Clock, limits Limits) *Service {
	decoders := max(1, limits.Decoders)
	maxUploads := 4 * decoders // so that the bucket is busy while photographs are decoded
	return &Service{
		db: db, bucket: bucket, clock: clock, limits: limits,
		decoders:   semaphore.NewWeighted(int64(decoders)),
		memory:     semaphore.NewWeighted(MaxDecodeBytes),
		slowMemory: semaphore.NewWeighted(MaxDecodeBytes),
		slowShare:  MaxDecodeBytes / int64(max(1, decoders/2)),
		maxUploads: maxUploads,
		uploads:    semaphore.NewWeighted(int64(maxUploads)),
		content:    semaphore.NewWeighted(max(contentMemory, limits.FileBytes)),
	}
}

// Key identifies an image.
type Key struct {
	Device  string
	TakenAt instant.Instant
}

// listColumns are the columns of an image that are cheap to read and part of the
// schema. Metadata reads the metadata on demand.
var listColumns = slices.DeleteFunc(slices.Clone(image.Columns), func(column string) bool { //nolint:gochecknoglobals // a table
	return column == image.FieldMetadata || column == image.FieldThumbnailSha256 || column == image.FieldThumbnailMiniSha256
})

// ByKeys returns the existing images with the keys, each once, in the order of
// the keys. Argument is the name that the caller uses for the keys.
func (s *Service) ByKeys(ctx context.Context, argument string, keys []Key) ([]*ent.Image, error) {
	narrow, places, err := NarrowToKeys(argument, keys)
	if err != nil || len(places) == 0 {
		return nil, err
	}
	rows, err := s.db.Image.Query().Where(narrow).Select(listColumns...).All(ctx)
	slices.SortFunc(rows, func(a, b *ent.Image) int { return cmp.Compare(places[KeyOf(a)], places[KeyOf(b)]) })
	return ent.Images(rows).Siblings(), err
}

// validateKeys returns keys with the names of devices in lower case. The error is a
// *fault.Error with every problem.
func validateKeys(argument string, keys []Key) ([]Key, error) {
	if len(keys) > MaxKeys {
		return nil, fault.New(fault.TooLarge, "%s has %d items: at most %d are taken at once", argument, len(keys), MaxKeys)
	}
	var problems fault.Problems
	validKeys := slices.Clone(keys)
	for n := range validKeys {
		validKeys[n] = validKeys[n].Validate(&problems, argument, n)
	}
	return validKeys, problems.Err()
}

// Validate returns the key with the name of the device in lower case, and adds a problem for
// each wrong part of the key. Path leads to the key.
func (k Key) Validate(problems *fault.Problems, path ...any) Key {
	name, err := photo.ParseDevice(k.Device)
	if err != nil {
		problems.Add(fault.BadInput, append(slices.Clip(path), "device"), "%s", err)
	}
	if k.TakenAt%1000 != 0 {
		problems.Add(fault.BadInput, append(slices.Clip(path), "takenAt"),
			"%s has milliseconds: the time of an image is in whole seconds, as in the name of its file", k.TakenAt)
	}
	return Key{Device: name, TakenAt: k.TakenAt}
}

// queryByKeys returns the existing images with the given keys, by key.
func (s *Service) queryByKeys(ctx context.Context, keys []Key) (map[Key]*ent.Image, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	rows, err := s.db.Image.Query().Where(hasAnyKey(keys)).Select(listColumns...).All(ctx)
	byKey := make(map[Key]*ent.Image, len(rows))
	for _, i := range rows {
		byKey[KeyOf(i)] = i
	}
	return byKey, err
}

// KeyOf returns the key of an image.
func KeyOf(i *ent.Image) Key { return Key{i.DeviceID, i.TakenAt} }

// ByIDs returns the existing images with the given ids, by id.
func (s *Service) ByIDs(ctx context.Context, ids []int64) (map[int64]*ent.Image, error) {
	rows, err := s.db.Image.Query().Where(database.AmongNumbers(image.FieldID, ids)).Select(listColumns...).All(ctx)
	return ent.Images(rows).Siblings().ByID(), err
}

// NarrowToKeys returns a function that restricts a query of images to the given
// keys, for a reader that runs the query itself. Places maps each key to the
// position of its image in the answer, from 0. Argument is the name of the keys in
// an error.
func NarrowToKeys(argument string, keys []Key) (narrow predicate.Image, places map[Key]int, err error) {
	keys, err = validateKeys(argument, keys)
	if err != nil {
		return nil, nil, err
	}
	places = make(map[Key]int, len(keys))
	for _, key := range keys {
		if _, ok := places[key]; !ok {
			places[key] = len(places)
		}
	}
	if len(keys) == 1 { // databases plan an equality better than a list of one key
		return image.And(
			database.Exactly(image.FieldDeviceID, keys[0].Device),
			database.Exactly(image.FieldTakenAt, int64(keys[0].TakenAt)),
		), places, nil
	}
	return hasAnyKey(keys), places, nil
}

// NarrowToSeries returns the page of Series, and a function that restricts a query
// of images to the page, for a reader that runs the query itself.
func (s *Service) NarrowToSeries(list []series.Series, order series.Order, request page.Request) (page.Keyset, predicate.Image, error) {
	union, err := series.Parse(list)
	if err != nil {
		return page.Keyset{}, nil, err
	}
	keyset, err := order.PageOrder().Keyset(s.limits.Page, request, func(ctx context.Context) (int, error) {
		return s.db.Image.Query().Where(union.Select).Count(ctx)
	})
	return keyset, func(s *sql.Selector) { union.Narrow(s, keyset) }, err
}

// Series returns a page of the images in at least one of the series.
func (s *Service) Series(ctx context.Context, list []series.Series, order series.Order, request page.Request) (*page.Page[*ent.Image], error) {
	keyset, narrow, err := s.NarrowToSeries(list, order, request)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.Image.Query().Where(narrow, keyset.Limit).Select(listColumns...).All(ctx)
	if err != nil {
		return nil, err
	}
	return order.PageOrder().Page(keyset.Plan, ent.Images(rows).Siblings(), keyset.Count), nil
}

// NarrowToDevices returns the page of Devices, and a function that restricts a query
// of devices to the page, for a reader that runs the query itself.
func (s *Service) NarrowToDevices(pattern string, request page.Request) (page.Keyset, predicate.Device, error) {
	match, err := devicePattern(pattern)
	if err != nil {
		return page.Keyset{}, nil, err
	}
	keyset, err := devicesByName.Keyset(s.limits.Page, request, func(ctx context.Context) (int, error) {
		return s.db.Device.Query().Where(match).Count(ctx)
	})
	return keyset, func(s *sql.Selector) {
		match(s)
		keyset.Apply(s)
	}, err
}

// NarrowToDevice returns the condition that a device has the given name. The error is
// a *fault.Error.
func NarrowToDevice(name string) (predicate.Device, error) {
	name, err := photo.ParseDevice(name)
	return device.ID(name), err
}

// devicesByName sorts devices by name.
var devicesByName = page.Order[*ent.Device]{ //nolint:gochecknoglobals // a table
	Columns: []page.Column{{Name: device.FieldID, IsText: true}},
	Key:     func(d *ent.Device) page.Key { return page.Key{d.ID} },
}

// Devices returns a page of the devices whose name matches the pattern.
func (s *Service) Devices(ctx context.Context, pattern string, request page.Request) (*page.Page[*ent.Device], error) {
	keyset, narrow, err := s.NarrowToDevices(pattern, request)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.Device.Query().Where(narrow, keyset.Limit).All(ctx)
	if err != nil {
		return nil, err
	}
	return devicesByName.Page(keyset.Plan, ent.Devices(rows).Siblings(), keyset.Count), nil
}

// DevicesByName returns the existing devices with the given names, by name.
func (s *Service) DevicesByName(ctx context.Context, names []string) (map[string]*ent.Device, error) {
	rows, err := s.db.Device.Query().Where(database.AmongTexts(device.FieldID, names)).All(ctx)
	return ent.Devices(rows).Siblings().ByID(), err
}

// Device returns the device with the name, or nil if no image has come from the
// device.
func (s *Service) Device(ctx context.Context, name string) (*ent.Device, error) {
	narrow, err := NarrowToDevice(name)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.Device.Query().Where(narrow).All(ctx)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return ent.Devices(rows).Siblings()[0], nil
}
