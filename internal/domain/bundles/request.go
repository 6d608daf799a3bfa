package bundles

import (
	"context"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundlearrival"
	"tagma/ent/generated/bundlecontent"
	"tagma/ent/generated/bundleupload"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/rawjson"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
)

// UploadLifetime is the time between the last request for an upload and its expiry.
const UploadLifetime = 24 * time.Hour

// maxOpen is the largest number of unpublished uploads of one person.
const maxOpen = 100

// Upload is an unpublished version.
type Upload struct {
	*ent.BundleUpload
	Requested []RequestedFile
	Unchanged []string // keys of all other files, which need not be sent
}

// RequestedFile is a file that the caller must send before publishing.
type RequestedFile struct {
	Key      string
	MD5      string
	Size     int64
	StoredAs string // name in the store, if sent through a server
	Incoming string // name in the store, if sent to the store directly
}

// Request returns an upload with the files that the caller must send to publish
// files under a bundle's name. A second request for the same files returns the
// same upload, without the files that have arrived meanwhile.
func (s *Service) Request(ctx context.Context, name string, files []NewFile) (*Upload, error) {
	m, err := s.validate(name, files)
	if err != nil {
		return nil, err
	}
	text, sum, err := m.encode(name)
	if err != nil {
		return nil, err
	}
	upload, err := s.findOrCreateUpload(ctx, name, text, sum)
	if err != nil {
		return nil, err
	}
	inv, err := s.inventory(ctx, upload, m)
	if err != nil {
		return nil, err
	}
	result := &Upload{BundleUpload: upload}
	requestedMD5s := map[string]bool{}
	for _, f := range m {
		_, arrived := inv.arrivals[f.MD5]
		_, stored := inv.stored[f.MD5]
		if arrived || stored || inv.content(f) != nil || requestedMD5s[f.MD5] {
			result.Unchanged = append(result.Unchanged, f.Key)
			continue
		}
		requestedMD5s[f.MD5] = true
		result.Requested = append(result.Requested, RequestedFile{f.Key, f.MD5, f.Size, storedName(upload.FileID, f.MD5), incomingName(upload.FileID, f.MD5)})
	}
	return result, nil
}

// findOrCreateUpload returns the caller's upload of a manifest, and creates the
// upload if necessary.
func (s *Service) findOrCreateUpload(ctx context.Context, name string, text rawjson.Value, sum string) (*ent.BundleUpload, error) {
	c := caller.From(ctx)
	if c == nil {
		return nil, fault.New(fault.Unauthenticated, "sign in to upload a bundle")
	}
	now := s.clock()
	openUploads := func() *ent.BundleUploadQuery {
		return s.db.BundleUpload.Query().Where(
			bundleupload.CreatedByID(c.UserID), bundleupload.VersionIDIsNil(), bundleupload.ExpiresAtGT(now))
	}
	upload, err := openUploads().Where(bundleupload.ManifestSha256(sum)).Order(bundleupload.ByID()).First(ctx)
	switch {
	case err == nil:
		renewedUpload, err := upload.Update().SetExpiresAt(now.Add(UploadLifetime)).Save(ctx)
		if !ent.IsNotFound(err) { // otherwise the sweep has deleted the upload
			return renewedUpload, err
		}
	case !ent.IsNotFound(err):
		return nil, err
	}
	openCount, err := openUploads().Count(ctx)
	if err != nil {
		return nil, err
	}
	if openCount >= maxOpen {
		return nil, fault.New(fault.TooLarge, "%d uploads of yours wait to be published: publish them, or wait until they are cleared away after a day", openCount)
	}
	return s.db.BundleUpload.Create().SetName(name).SetManifest(text).SetManifestSha256(sum).SetFileID(newFileID()).
		SetCreatedAt(now).SetExpiresAt(now.Add(UploadLifetime)).SetCreatedByID(c.UserID).Save(ctx)
}

// inventory holds the files of a manifest in the store.
type inventory struct {
	stored   map[string]bucket.Info          // in the store for this upload, by MD5
	arrivals map[string]*ent.BundleArrival   // arrived and recorded for this upload, by MD5
	contents map[string][]*ent.BundleContent // published, by MD5
}

func (s *Service) inventory(ctx context.Context, upload *ent.BundleUpload, m manifest) (inventory, error) {
	// List the store first: a file that another request has just checked is
	// missing there, but was recorded before.
	stored, err := s.storedFiles(ctx, upload)
	inv := inventory{stored, map[string]*ent.BundleArrival{}, map[string][]*ent.BundleContent{}}
	if err != nil {
		return inv, err
	}
	arrivals, err := s.db.BundleArrival.Query().Where(bundlearrival.UploadID(upload.ID)).All(ctx)
	if err != nil {
		return inv, err
	}
	for _, a := range arrivals {
		inv.arrivals[a.Md5] = a
	}
	contents, err := s.db.BundleContent.Query().Where(database.AmongTexts(bundlecontent.FieldMd5, m.md5s())).All(ctx)
	for _, c := range contents {
		inv.contents[c.Md5] = append(inv.contents[c.Md5], c)
	}
	return inv, err
}

// content returns the published content of a file, or nil. An MD5 can be
// forged: if two contents share the MD5, or the SHA-256 differs, the client
// must send the bytes.
func (h inventory) content(f NewFile) *ent.BundleContent {
	var match *ent.BundleContent
	for _, c := range h.contents[f.MD5] {
		switch {
		case c.Size != f.Size, f.SHA256 != nil && *f.SHA256 != c.Sha256:
		case match != nil:
			return nil
		default:
			match = c
		}
	}
	return match
}

// storedFiles returns the files in the store for an upload, by MD5. A file may
// have any bytes, because nobody checks a client that sends to the store
// directly. A file sent through a server is not recorded if the server was
// killed before.
func (s *Service) storedFiles(ctx context.Context, upload *ent.BundleUpload) (map[string]bucket.Info, error) {
	files := map[string]bucket.Info{}
	for _, prefix := range []string{incoming, folder} { // bundles/ last: its checked file replaces one of incoming/
		for file, err := range s.bucket.List(ctx, prefix+upload.FileID+"/") {
			if err != nil {
				return nil, err
			}
			if loc, ok := parseLocation(file.Key); ok && !loc.copied {
				files[loc.md5] = file
			}
		}
	}
	return files, nil
}
