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

// File is one file of an upload. What has its Content in memory may give it by a
// method Bytes; then nobody may change it.
type File struct {
	Name    string
	Size    int64
	Content io.Reader
}

// Policy is what to do where another image is in the way.
type Policy string

// The policies.
const (
	Refuse  Policy = "REFUSE"
	Replace Policy = "REPLACE"
)

// Verdict is what became of a file.
type Verdict string

// The verdicts.
const (
	Created   Verdict = "CREATED"
	Unchanged Verdict = "UNCHANGED"
	Replaced  Verdict = "REPLACED"
	Conflict  Verdict = "CONFLICT"
	Rejected  Verdict = "REJECTED"
)

// Result is what became of one file.
type Result struct {
	Filename           string
	Verdict            Verdict
	Image              *ent.Image     // that is there now; nil for Rejected
	Problem            *fault.Problem // for Conflict and Rejected
	AnnotationsDeleted int            // with the image that was replaced
}

// Upload takes photographs in, each by itself, and tells what became of each.
// A file that was taken survives a crash and a loss of power from then on; to
// send one again does no harm. An error is the server's fault, not a file's:
// files may have been taken nevertheless, and to try again finishes the rest.
func (s *Service) Upload(ctx context.Context, files []File, policy Policy) ([]Result, error) {
	results := make([]Result, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cap(s.flight))
	for n, file := range files {
		group.Go(func() error {
			result, err := s.take(ctx, file, policy)
			results[n] = result
			results[n].Filename = file.Name
			if result.Problem != nil {
				results[n].Problem.Path = []string{"files", strconv.Itoa(n)}
			}
			return err
		})
	}
	err := group.Wait()
	var there []*ent.Image
	for _, result := range results {
		if result.Image != nil {
			there = append(there, result.Image)
		}
	}
	ent.Images(there).Siblings()
	return results, err
}

// take takes one photograph in.
func (s *Service) take(ctx context.Context, file File, policy Policy) (Result, error) {
	key, err := s.mayAdd(ctx, file)
	if err != nil {
		return rejected(err)
	}
	// From here on the file is in memory.
	if _, loaded := file.Content.(inMemory); !loaded {
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
	there, err := s.at(ctx, key)
	if err != nil {
		return Result{}, err
	}
	if there != nil && there.Md5 == p.row.Md5 { // checked when it came
		return standing(there, p.row.Md5), nil
	}
	leave, err := s.admit(ctx, p, s.limits.Pixels)
	if err != nil {
		return rejected(err)
	}
	defer leave()
	if there != nil && policy != Replace {
		if err := s.develop(ctx, p); err != nil {
			return rejected(err)
		}
		return standing(there, p.row.Md5), nil
	}
	// If the files or the row cannot be written, what there is of the files is
	// the sweep's: the row may be there after all, its answer lost.
	if err := s.keep(ctx, key, p); err != nil {
		result, err := rejected(err)
		if err == nil {
			s.discard(ctx, p.row)
		}
		return result, err
	}
	result, err := s.record(ctx, p, policy)
	if err == nil && result.Verdict != Created && result.Verdict != Replaced {
		s.discard(ctx, p.row) // another request has won a race
	}
	return result, err
}

// rejected tells a refusal, which is the file's fault, from a failure.
func rejected(err error) (Result, error) {
	if refused, ok := errors.AsType[*fault.Error](err); ok && refused.Code != fault.Unavailable {
		return Result{Verdict: Rejected, Problem: &fault.Problem{Code: refused.Code, Message: refused.Message}}, nil
	}
	return Result{}, err
}

// mayAdd says whether a file's name and the caller allow it to be taken.
func (s *Service) mayAdd(ctx context.Context, file File) (Key, error) {
	name, err := photo.ParseName(file.Name)
	if err != nil {
		return Key{}, err
	}
	if by := caller.From(ctx); by != nil && by.Device != "" && by.Device != name.Device {
		return Key{}, fault.New(fault.Forbidden, "this token adds images of the device %s only, and this is one of %s", by.Device, name.Device)
	}
	if file.Size > s.limits.FileBytes {
		return Key{}, fault.New(fault.TooLarge, "the file has %d bytes: at most %d are taken", file.Size, s.limits.FileBytes)
	}
	return Key(name), nil
}

// photograph is a file on its way in.
type photograph struct {
	row    *ent.Image // what will be known of it
	files  map[Variant][]byte
	weight thumbnail.Weight
}

// admit waits until a photograph may be decoded and stored. It refuses a photograph
// with more than so many pixels, or one that takes too much to decode. The caller of admit calls leave when the photograph
// is stored.
//
// A photograph whose decoding is slow waits for others of the kind first, and
// meanwhile keeps no place from those that are not.
func (s *Service) admit(ctx context.Context, p *photograph, pixels int64) (leave func(), err error) {
	if p.weight, err = thumbnail.Weigh(p.files[Original], pixels); err != nil {
		return nil, err
	}
	if p.weight.Bytes > MaxDecodeBytes {
		return nil, fault.New(fault.TooLarge,
			"the image takes %d MiB to decode, and the limit is %d MiB: save it as a baseline JPEG, or with fewer pixels",
			(p.weight.Bytes+1<<20-1)>>20, int64(MaxDecodeBytes)>>20)
	}
	done := func() {}
	if p.weight.Slow {
		share := max(p.weight.Bytes, s.slowShare)
		if err := s.slow.Acquire(ctx, share); err != nil {
			return nil, err
		}
		done = func() { s.slow.Release(share) }
	}
	if err := enter(ctx, s.flight); err != nil {
		done()
		return nil, err
	}
	return func() {
		exit(s.flight)
		done()
	}, nil
}

// load reads a file and takes its MD5.
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

// inMemory is the content of a file that need not be read.
type inMemory interface{ Bytes() []byte }

// read gives the content of a file, of a large one a byte more than is allowed. It
// copies nothing that is in memory already.
func (s *Service) read(file File) ([]byte, error) {
	if loaded, ok := file.Content.(inMemory); ok {
		return loaded.Bytes(), nil
	}
	var content bytes.Buffer
	content.Grow(int(min(file.Size, s.limits.FileBytes)) + bytes.MinRead)
	_, err := content.ReadFrom(io.LimitReader(file.Content, s.limits.FileBytes+1))
	return content.Bytes(), err
}

// keep puts a photograph's files into the store. Its original goes there while
// it is decoded: if it is refused then, the original is to be discarded. So it is
// not called off, for nobody could tell whether it comes nevertheless.
func (s *Service) keep(ctx context.Context, key Key, p *photograph) error {
	original := p.files[Original]
	var group errgroup.Group
	group.Go(func() error {
		sum := sha256.Sum256(original)
		p.row.Sha256 = hex.EncodeToString(sum[:])
		return s.write(ctx, key, p.row.FileID, map[Variant][]byte{Original: original})
	})
	group.Go(func() error {
		if err := s.develop(ctx, p); err != nil {
			return err
		}
		return s.write(ctx, key, p.row.FileID, map[Variant][]byte{Thumbnail: p.files[Thumbnail], ThumbnailMini: p.files[ThumbnailMini]})
	})
	return group.Wait()
}

// develop checks that the whole of a photograph decodes, makes its thumbnails,
// and reads what its camera wrote.
func (s *Service) develop(ctx context.Context, p *photograph) error {
	return s.decode(ctx, p, s.limits.Pixels)
}

// decode is develop for a photograph of at most so many pixels.
func (s *Service) decode(ctx context.Context, p *photograph, pixels int64) error {
	content := p.files[Original]
	if !p.weight.Slow {
		if err := s.memory.Acquire(ctx, p.weight.Bytes); err != nil {
			return err
		}
		defer s.memory.Release(p.weight.Bytes)
	}
	if err := enter(ctx, s.decoders); err != nil {
		return err
	}
	defer exit(s.decoders)
	small, err := thumbnail.Make(ctx, content, pixels)
	if err != nil {
		return err
	}
	p.files[Thumbnail], p.files[ThumbnailMini] = small.Thumbnail, small.Mini
	p.row.ThumbnailSha256, p.row.ThumbnailMiniSha256 = sumOf(small.Thumbnail), sumOf(small.Mini)
	p.row.Width, p.row.Height = small.Width, small.Height

	seen := photo.ReadMetadata(content)
	p.row.Metadata = rawjson.Value(seen.Raw)
	p.row.DeviceVersion = seen.DeviceVersion
	p.row.Altitude, p.row.Latitude, p.row.Longitude = seen.Altitude, seen.Latitude, seen.Longitude
	p.row.Temperature, p.row.Humidity = seen.Temperature, seen.Humidity
	p.row.NoFlashShutterSpeed = seen.NoFlashShutterSpeed
	p.row.NoFlashExposureTime = seen.NoFlashExposureTime
	p.row.NoFlashBrightness = seen.NoFlashBrightness
	p.row.NoFlashIso = seen.NoFlashIso
	return nil
}

// sumOf returns the SHA-256 of a small picture, as a row keeps it.
func sumOf(picture []byte) []byte {
	sum := sha256.Sum256(picture)
	return sum[:]
}

// enter waits for one of the places that a channel has.
func enter(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func exit(places chan struct{}) { <-places }

// record writes the row of a photograph whose files are in the store, in one
// transaction, and takes away what it replaces.
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
		existing, err := s.at(ctx, KeyOf(p.row))
		if err != nil {
			return err
		}
		if existing != nil && (existing.Md5 == p.row.Md5 || policy != Replace) {
			result, replaced = standing(existing, p.row.Md5), nil
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

// removeRow deletes the image with that key, and tells which it was and how
// many annotations went with it.
func (s *Service) removeRow(ctx context.Context, tx *ent.Tx, key Key) (*ent.Image, int, error) {
	query := tx.Image.Query().Where(image.DeviceID(key.Device), image.TakenAt(key.TakenAt)).Select(listed...)
	if s.db.Dialect == dialect.Postgres {
		query.ForUpdate() // so that no annotation comes in between
	}
	there, err := query.Only(ctx)
	if ent.IsNotFound(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	annotations, err := tx.Annotation.Delete().Where(annotation.ImageID(there.ID)).Exec(ctx)
	if err != nil {
		return nil, 0, err
	}
	err = tx.Image.DeleteOneID(there.ID).Exec(ctx)
	if ent.IsNotFound(err) {
		err = database.ErrConflict
	}
	return there, annotations, err
}

func insert(ctx context.Context, tx *ent.Tx, row *ent.Image) (*ent.Image, error) {
	err := tx.Device.Create().SetID(row.DeviceID).SetCreatedAt(row.CreatedAt).
		OnConflict(sql.ConflictColumns(device.FieldID), sql.DoNothing()).Exec(ctx)
	if err != nil && !errors.Is(err, stdsql.ErrNoRows) { // the device is known
		return nil, err
	}
	return tx.Image.Create().
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
		SetNillableNoFlashShutterSpeed(row.NoFlashShutterSpeed).
		SetNillableNoFlashExposureTime(row.NoFlashExposureTime).
		SetNillableNoFlashBrightness(row.NoFlashBrightness).
		SetNillableNoFlashIso(row.NoFlashIso).
		SetMetadata(row.Metadata).
		SetCreatedAt(row.CreatedAt).
		SetNillableUploadedByID(row.UploadedByID).
		Save(ctx)
}

// at is the image with that key, or nil.
func (s *Service) at(ctx context.Context, key Key) (*ent.Image, error) {
	found, err := s.among(ctx, []Key{key})
	return found[key], err
}

// standing is the verdict on a file in whose place there is an image.
func standing(there *ent.Image, md5 string) Result {
	if there.Md5 == md5 {
		return Result{Verdict: Unchanged, Image: there}
	}
	return Result{Verdict: Conflict, Image: there, Problem: &fault.Problem{
		Code: fault.Conflict,
		Message: "device " + there.DeviceID + " has another image of " + there.TakenAt.String() + ", with the md5 " + there.Md5 +
			": send this one with onConflict: REPLACE to put it in its place",
	}}
}
