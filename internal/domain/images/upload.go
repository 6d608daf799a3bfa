package images

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // a fingerprint that traps and clients know, not a defence
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"time"

	stdsql "database/sql"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"golang.org/x/sync/errgroup"

	ent "tagma/ent/generated"
	"tagma/ent/generated/annotation"
	"tagma/ent/generated/device"
	"tagma/ent/generated/image"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/rawjson"
	"tagma/internal/photo"
	"tagma/internal/photo/thumbnail"
	"tagma/internal/storage/database"
)

// File is one file of an upload. If Content has a method Bytes() []byte, the bytes are
// used without a copy, and must not change.
type File struct {
	Name    string
	Size    int64
	Content io.Reader
}

// Policy decides about a file if the device has another image of the same time.
type Policy string

// Policies.
const (
	Refuse  Policy = "REFUSE"
	Replace Policy = "REPLACE"
)

// Verdict is the result for one file of an upload.
type Verdict string

// Results of an upload.
const (
	Created   Verdict = "CREATED"
	Unchanged Verdict = "UNCHANGED" // the image exists with the same MD5
	Replaced  Verdict = "REPLACED"
	Conflict  Verdict = "CONFLICT" // the image exists with another MD5, and the policy is Refuse
	Rejected  Verdict = "REJECTED" // the file is invalid, or the caller may not add it
)

// Result is the result for one file, with its verdict.
type Result struct {
	Filename           string
	Verdict            Verdict
	Image              *ent.Image     // the image with the file's key; nil for Rejected
	Warnings           []string       // deviations of the image from the JPEG standard; nil for Conflict and Rejected
	Problem            *fault.Problem // for Conflict and Rejected
	AnnotationsDeleted int            // annotations of the replaced image
}

// Upload ingests photographs independently of each other, and returns the results in
// the order of the files. After Upload returns, a created image survives a crash and a
// loss of power. Uploading a file again does no harm. An error means that the server
// failed: some files may have been ingested, and a second call ingests the rest.
func (s *Service) Upload(ctx context.Context, files []File, policy Policy) ([]Result, error) {
	results := make([]Result, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.maxUploads)
	for n, file := range files {
		group.Go(func() error {
			result, err := s.ingest(ctx, file, policy)
			results[n] = result
			results[n].Filename = file.Name
			if result.Image != nil && result.Verdict != Conflict {
				results[n].Warnings = result.Image.Warnings
			}
			if result.Problem != nil {
				results[n].Problem.Path = []string{"files", strconv.Itoa(n)}
			}
			return err
		})
	}
	err := group.Wait()
	var list ent.Images
	for _, result := range results {
		if result.Image != nil {
			list = append(list, result.Image)
		}
	}
	list.Siblings()
	return results, err
}

// ingest validates and stores one photograph.
func (s *Service) ingest(ctx context.Context, file File, policy Policy) (Result, error) {
	key, err := s.validateFile(ctx, file)
	if err != nil {
		return rejected(err)
	}
	// load reads the file into memory.
	if _, ok := file.Content.(inMemory); !ok {
		size := min(max(file.Size, 0), s.limits.FileBytes)
		if err := s.content.Acquire(ctx, size); err != nil {
			return Result{}, err
		}
		defer s.content.Release(size)
	}
	p, err := s.load(ctx, key, file)
	if err != nil {
		return rejected(err)
	}
	existing, err := s.byKey(ctx, key)
	if err != nil {
		return Result{}, err
	}
	if existing != nil && existing.Md5 == p.row.Md5 { // the same bytes were validated before
		return resultOfExisting(existing, p.row.Md5), nil
	}
	release, err := s.admit(ctx, p, s.limits.Pixels)
	if err != nil {
		return rejected(err)
	}
	defer release()
	if existing != nil && policy != Replace {
		if err := s.decode(ctx, p, s.limits.Pixels); err != nil {
			return rejected(err)
		}
		return resultOfExisting(existing, p.row.Md5), nil
	}
	// After a failure of the bucket or the database, the files stay until Sweep: the
	// row may have been written without an answer.
	if err := s.store(ctx, key, p); err != nil {
		result, err := rejected(err)
		if err == nil {
			s.discard(ctx, p.row)
		}
		return result, err
	}
	result, err := s.record(ctx, p, policy)
	if err == nil && result.Verdict != Created && result.Verdict != Replaced {
		s.discard(ctx, p.row) // another request was faster
	}
	return result, err
}

// rejected returns a result for an error that the file or the caller caused, and
// returns err for a failure of the server.
func rejected(err error) (Result, error) {
	if refused, ok := errors.AsType[*fault.Error](err); ok && refused.Code != fault.Unavailable {
		return Result{Verdict: Rejected, Problem: &fault.Problem{Code: refused.Code, Message: refused.Message}}, nil
	}
	return Result{}, err
}

// maxClockAhead is the time by which the clock of a device may be ahead of the server's.
const maxClockAhead = 24 * time.Hour

// validateFile validates the name, the time, the size and the right of the caller to add
// the file, and returns the key of the image.
func (s *Service) validateFile(ctx context.Context, file File) (Key, error) {
	name, err := photo.ParseName(file.Name)
	if err != nil {
		return Key{}, err
	}
	if by := caller.From(ctx); by != nil && by.Device != "" && by.Device != name.Device {
		return Key{}, fault.New(fault.Forbidden, "this token adds images of the device %s only, and this is one of %s", by.Device, name.Device)
	}
	if now := s.clock(); name.TakenAt > now.Add(maxClockAhead) {
		return Key{}, fault.New(fault.BadInput,
			"%s is in the future: the server's clock says %s. Set the clock of the device, and rename the file to the time when the photograph was taken",
			name.TakenAt, now.Add(-time.Duration(now%1000)*time.Millisecond))
	}
	if file.Size > s.limits.FileBytes {
		return Key{}, fault.New(fault.TooLarge, "the file has %d bytes: at most %d are taken", file.Size, s.limits.FileBytes)
	}
	return Key(name), nil
}

// photograph is a file during ingest.
type photograph struct {
	row    *ent.Image // the row to insert
	files  map[Variant][]byte
	weight thumbnail.Weight
}

// admit blocks until a photograph may be decoded and stored. The caller must call
// release afterwards. The error is a *fault.Error if the photograph has more than
// maxPixels pixels or needs too much memory.
//
// A photograph whose decoding is slow waits for slowMemory first, and takes no slot of
// uploads meanwhile.
func (s *Service) admit(ctx context.Context, p *photograph, maxPixels int64) (release func(), err error) {
	if p.weight, err = thumbnail.Weigh(p.files[Original], maxPixels); err != nil {
		return nil, err
	}
	if p.weight.Bytes > MaxDecodeBytes {
		return nil, fault.New(fault.TooLarge,
			"the image takes %d MiB to decode, and the limit is %d MiB: save it as a baseline JPEG, or with fewer pixels",
			(p.weight.Bytes+1<<20-1)>>20, int64(MaxDecodeBytes)>>20)
	}
	releaseMemory := func() {}
	if p.weight.Slow {
		share := max(p.weight.Bytes, s.slowShare)
		if err := s.slowMemory.Acquire(ctx, share); err != nil {
			return nil, err
		}
		releaseMemory = func() { s.slowMemory.Release(share) }
	}
	if err := s.uploads.Acquire(ctx, 1); err != nil {
		releaseMemory()
		return nil, err
	}
	return func() {
		s.uploads.Release(1)
		releaseMemory()
	}, nil
}

// load reads a file and computes its MD5.
func (s *Service) load(ctx context.Context, key Key, file File) (*photograph, error) {
	content, err := s.read(file)
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > s.limits.FileBytes {
		return nil, fault.New(fault.TooLarge, "the file has more than %d bytes", s.limits.FileBytes)
	}
	md5Sum := md5.Sum(content) //nolint:gosec // see above
	row := &ent.Image{
		DeviceID:  key.Device,
		TakenAt:   key.TakenAt,
		Md5:       hex.EncodeToString(md5Sum[:]),
		Size:      int64(len(content)),
		FileID:    newFileID(),
		CreatedAt: s.clock(),
	}
	if by := caller.From(ctx); by != nil {
		row.UploadedByID = &by.UserID
	}
	return &photograph{row: row, files: map[Variant][]byte{Original: content}}, nil
}

// inMemory is implemented by content that is in memory already.
type inMemory interface{ Bytes() []byte }

// read returns the content of a file, or one byte more than the limit of a file that is
// too large. It returns content in memory without a copy.
func (s *Service) read(file File) ([]byte, error) {
	if content, ok := file.Content.(inMemory); ok {
		return content.Bytes(), nil
	}
	var content bytes.Buffer
	content.Grow(int(min(file.Size, s.limits.FileBytes)) + bytes.MinRead)
	_, err := content.ReadFrom(io.LimitReader(file.Content, s.limits.FileBytes+1))
	return content.Bytes(), err
}

// store writes the files of a photograph to the bucket. The original is written during
// decoding. If decoding fails, the caller discards the original. So store waits for
// both: a cancelled write could still create the file after discard.
func (s *Service) store(ctx context.Context, key Key, p *photograph) error {
	original := p.files[Original]
	var group errgroup.Group
	group.Go(func() error {
		sum := sha256.Sum256(original)
		p.row.Sha256 = hex.EncodeToString(sum[:])
		return s.write(ctx, key, p.row.FileID, map[Variant][]byte{Original: original})
	})
	group.Go(func() error {
		if err := s.decode(ctx, p, s.limits.Pixels); err != nil {
			return err
		}
		return s.write(ctx, key, p.row.FileID, map[Variant][]byte{Thumbnail: p.files[Thumbnail], ThumbnailMini: p.files[ThumbnailMini]})
	})
	return group.Wait()
}

// decode validates that the whole of a photograph of at most maxPixels decodes, makes
// its thumbnails, and reads its metadata.
func (s *Service) decode(ctx context.Context, p *photograph, maxPixels int64) error {
	content := p.files[Original]
	if !p.weight.Slow {
		if err := s.memory.Acquire(ctx, p.weight.Bytes); err != nil {
			return err
		}
		defer s.memory.Release(p.weight.Bytes)
	}
	if err := s.decoders.Acquire(ctx, 1); err != nil {
		return err
	}
	defer s.decoders.Release(1)
	small, err := thumbnail.Make(ctx, content, maxPixels)
	if err != nil {
		return err
	}
	metadata := photo.ReadMetadata(content)
	p.row.Orientation = metadata.Orientation
	if metadata.Orientation != 1 {
		// Browsers turn the original. So that they show the thumbnails alike, the
		// thumbnails have the same pixels and the same orientation.
		small.Thumbnail = photo.WithOrientation(small.Thumbnail, metadata.Orientation)
		small.Mini = photo.WithOrientation(small.Mini, metadata.Orientation)
	}
	p.files[Thumbnail], p.files[ThumbnailMini] = small.Thumbnail, small.Mini
	p.row.ThumbnailSha256, p.row.ThumbnailMiniSha256 = sumOf(small.Thumbnail), sumOf(small.Mini)
	p.row.Width, p.row.Height = small.Width, small.Height
	for _, warning := range small.Warnings {
		p.row.Warnings = append(p.row.Warnings, string(warning))
	}
	p.row.Metadata = rawjson.Value(metadata.Raw)
	p.row.DeviceVersion = metadata.DeviceVersion
	p.row.Altitude, p.row.Latitude, p.row.Longitude = metadata.Altitude, metadata.Latitude, metadata.Longitude
	p.row.Temperature, p.row.Humidity = metadata.Temperature, metadata.Humidity
	p.row.Luminosity, p.row.Battery, p.row.Button = metadata.Luminosity, metadata.Battery, metadata.Button
	p.row.NoFlashShutterSpeed = metadata.NoFlashShutterSpeed
	p.row.NoFlashExposureTime = metadata.NoFlashExposureTime
	p.row.NoFlashBrightness = metadata.NoFlashBrightness
	p.row.NoFlashIso = metadata.NoFlashIso
	return nil
}

// sumOf returns the SHA-256 of a thumbnail in the form of the row.
func sumOf(picture []byte) []byte {
	sum := sha256.Sum256(picture)
	return sum[:]
}

// record inserts the row of a photograph whose files are in the bucket, in one
// transaction, and deletes the image that the photograph replaces.
func (s *Service) record(ctx context.Context, p *photograph, policy Policy) (Result, error) {
	var result Result
	var replaced *ent.Image
	err := database.RetryConflict(ctx, func() error {
		var conflict error
		result, replaced, conflict = s.tryRecord(ctx, p, policy)
		if !database.IsUnique(conflict) && !errors.Is(conflict, database.ErrConflict) {
			return conflict
		}
		// Another request has changed the image. The verdict may be certain now.
		existing, err := s.byKey(ctx, KeyOf(p.row))
		if err != nil {
			return err
		}
		if existing != nil && (existing.Md5 == p.row.Md5 || policy != Replace) {
			result, replaced = resultOfExisting(existing, p.row.Md5), nil
			return nil
		}
		return conflict
	})
	if err != nil {
		return Result{}, err
	}
	if s.onAdded != nil && (result.Verdict == Created || result.Verdict == Replaced) {
		s.onAdded(result.Image.ID)
	}
	if replaced != nil {
		s.discard(ctx, replaced)
	}
	return result, nil
}

// tryRecord runs the transaction of record once, and returns the image that was
// replaced, or nil. The error is a conflict of database.RetryConflict if another
// request changed the image.
func (s *Service) tryRecord(ctx context.Context, p *photograph, policy Policy) (result Result, replaced *ent.Image, err error) {
	result.Verdict = Created
	err = s.db.InTx(ctx, func(tx *ent.Tx) error {
		if policy == Replace {
			if replaced, result.AnnotationsDeleted, err = s.removeRow(ctx, tx, KeyOf(p.row)); err != nil {
				return err
			}
		}
		if replaced != nil {
			if replaced.Md5 == p.row.Md5 {
				return database.ErrConflict
			}
			result.Verdict = Replaced
		}
		result.Image, err = insert(ctx, tx, p.row)
		return err
	})
	return result, replaced, err
}

// removeRow deletes the row of the image with the given key. It returns the image, or
// nil if there is none, and the number of deleted annotations.
func (s *Service) removeRow(ctx context.Context, tx *ent.Tx, key Key) (*ent.Image, int, error) {
	query := tx.Image.Query().Where(image.DeviceID(key.Device), image.TakenAt(key.TakenAt)).Select(listColumns...)
	if s.db.Dialect == dialect.Postgres {
		query.ForUpdate() // no annotation is added in between
	}
	existing, err := query.Only(ctx)
	if ent.IsNotFound(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	annotations, err := tx.Annotation.Delete().Where(annotation.ImageID(existing.ID)).Exec(ctx)
	if err != nil {
		return nil, 0, err
	}
	err = tx.Image.DeleteOneID(existing.ID).Exec(ctx)
	if ent.IsNotFound(err) {
		err = database.ErrConflict
	}
	return existing, annotations, err
}

// insert inserts a row, and the row of its device if necessary.
func insert(ctx context.Context, tx *ent.Tx, row *ent.Image) (*ent.Image, error) {
	err := tx.Device.Create().SetID(row.DeviceID).SetCreatedAt(row.CreatedAt).
		OnConflict(sql.ConflictColumns(device.FieldID), sql.DoNothing()).Exec(ctx)
	if err != nil && !errors.Is(err, stdsql.ErrNoRows) { // the device exists
		return nil, err
	}
	create := tx.Image.Create().
		SetDeviceID(row.DeviceID).
		SetTakenAt(row.TakenAt).
		SetMd5(row.Md5).
		SetSha256(row.Sha256).
		SetSize(row.Size).
		SetWidth(row.Width).
		SetHeight(row.Height).
		SetFileID(row.FileID).
		SetThumbnailSha256(row.ThumbnailSha256).
		SetThumbnailMiniSha256(row.ThumbnailMiniSha256).
		SetNillableDeviceVersion(row.DeviceVersion).
		SetNillableAltitude(row.Altitude).
		SetNillableLatitude(row.Latitude).
		SetNillableLongitude(row.Longitude).
		SetNillableTemperature(row.Temperature).
		SetNillableHumidity(row.Humidity).
		SetNillableLuminosity(row.Luminosity).
		SetNillableBattery(row.Battery).
		SetNillableButton(row.Button).
		SetOrientation(row.Orientation).
		SetNillableNoFlashShutterSpeed(row.NoFlashShutterSpeed).
		SetNillableNoFlashExposureTime(row.NoFlashExposureTime).
		SetNillableNoFlashBrightness(row.NoFlashBrightness).
		SetNillableNoFlashIso(row.NoFlashIso).
		SetMetadata(row.Metadata).
		SetCreatedAt(row.CreatedAt).
		SetNillableUploadedByID(row.UploadedByID)
	if len(row.Warnings) > 0 { // null otherwise
		create.SetWarnings(row.Warnings)
	}
	return create.Save(ctx)
}

// byKey returns the image with the given key, or nil.
func (s *Service) byKey(ctx context.Context, key Key) (*ent.Image, error) {
	byKey, err := s.queryByKeys(ctx, []Key{key})
	return byKey[key], err
}

// resultOfExisting returns the result for a file whose key an image has already. MD5 is
// of the file.
func resultOfExisting(existing *ent.Image, md5 string) Result {
	if existing.Md5 == md5 {
		return Result{Verdict: Unchanged, Image: existing}
	}
	return Result{Verdict: Conflict, Image: existing, Problem: &fault.Problem{
		Code: fault.Conflict,
		Message: "device " + existing.DeviceID + " has another image of " + existing.TakenAt.String() + ", with the md5 " + existing.Md5 +
			": send this one with onConflict: REPLACE to put it in its place",
	}}
}
