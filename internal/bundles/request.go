package bundles

import (
	"context"
	"errors"
	"io"
	"time"

	"gocloud.dev/blob"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundlearrival"
	"tagma/ent/generated/bundlecontent"
	"tagma/ent/generated/bundleupload"
	"tagma/internal/caller"
	"tagma/internal/database"
	"tagma/internal/fault"
	"tagma/internal/rawjson"
)

// Lifetime is how long an upload may wait to be published, from when it was
// last asked for.
const Lifetime = 24 * time.Hour

// maxOpen bounds the uploads of one person that wait to be published.
const maxOpen = 100

// Upload is a version on its way.
type Upload struct {
	*ent.BundleUpload
	Wanted    []Wanted
	Unchanged []string // the keys of all other files, which need not be sent
}

// Wanted is a file that must be sent before the upload can be published.
type Wanted struct {
	Key      string
	MD5      string
	Size     int64
	StoredAs string // its name in the store, if it is sent through a server,
	Incoming string // and if it is sent to the store itself
}

// Request says which of the files that the caller means to publish under a name
// must be sent. Asked again for the same, it finds the same upload, and what
// has come meanwhile is not wanted any more.
func (b *Bundles) Request(ctx context.Context, name string, files []NewFile) (*Upload, error) {
	m, err := b.check(name, files)
	if err != nil {
		return nil, err
	}
	text, sum, err := m.encode(name)
	if err != nil {
		return nil, err
	}
	upload, err := b.findOrCreateUpload(ctx, name, text, sum)
	if err != nil {
		return nil, err
	}
	inv, err := b.inventory(ctx, upload, m)
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
		result.Wanted = append(result.Wanted, Wanted{f.Key, f.MD5, f.Size, storedName(upload.FileID, f.MD5), incomingName(upload.FileID, f.MD5)})
	}
	return result, nil
}

// findOrCreateUpload finds the caller's upload of that manifest, or makes one.
func (b *Bundles) findOrCreateUpload(ctx context.Context, name string, text rawjson.Value, sum string) (*ent.BundleUpload, error) {
	c := caller.From(ctx)
	if c == nil {
		return nil, fault.New(fault.Unauthenticated, "sign in to upload a bundle")
	}
	now := b.clock()
	openUploads := func() *ent.BundleUploadQuery {
		return b.db.BundleUpload.Query().Where(
			bundleupload.CreatedByID(c.UserID), bundleupload.VersionIDIsNil(), bundleupload.ExpiresAtGT(now))
	}
	upload, err := openUploads().Where(bundleupload.ManifestSha256(sum)).Order(bundleupload.ByID()).First(ctx)
	switch {
	case err == nil:
		renewedUpload, err := upload.Update().SetExpiresAt(now.Add(Lifetime)).Save(ctx)
		if !ent.IsNotFound(err) { // else the sweep was faster
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
	return b.db.BundleUpload.Create().SetName(name).SetManifest(text).SetManifestSha256(sum).SetFileID(newFileID()).
		SetCreatedAt(now).SetExpiresAt(now.Add(Lifetime)).SetCreatedByID(c.UserID).Save(ctx)
}

// inventory is what the store has of a manifest.
type inventory struct {
	stored   map[string]*blob.ListObject     // what is in the store for this upload, by MD5
	arrivals map[string]*ent.BundleArrival   // what has come for it and is recorded, by MD5
	contents map[string][]*ent.BundleContent // that are published, by MD5
}

func (b *Bundles) inventory(ctx context.Context, upload *ent.BundleUpload, m manifest) (inventory, error) {
	// The store first: a file that another request has just checked is gone from
	// there, and was recorded before that.
	stored, err := b.storedFiles(ctx, upload)
	inv := inventory{stored, map[string]*ent.BundleArrival{}, map[string][]*ent.BundleContent{}}
	if err != nil {
		return inv, err
	}
	arrivals, err := b.db.BundleArrival.Query().Where(bundlearrival.UploadID(upload.ID)).All(ctx)
	if err != nil {
		return inv, err
	}
	for _, a := range arrivals {
		inv.arrivals[a.Md5] = a
	}
	contents, err := b.db.BundleContent.Query().Where(database.AmongTexts(bundlecontent.FieldMd5, m.md5s())).All(ctx)
	for _, c := range contents {
		inv.contents[c.Md5] = append(inv.contents[c.Md5], c)
	}
	return inv, err
}

// content is the published content that a file is, or nil. An MD5 can be
// forged: where two contents share it, or the file's SHA-256 is another, the
// bytes must come.
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

// waiting is the files that the store has for an upload, by MD5. They need not be
// what they should be: whoever sends to the store itself is checked by nobody
// else. A file that came through a server is not recorded, if that was killed in
// between.
func (b *Bundles) storedFiles(ctx context.Context, upload *ent.BundleUpload) (map[string]*blob.ListObject, error) {
	files := map[string]*blob.ListObject{}
	for _, prefix := range []string{incoming, folder} { // of two, take the one that a server has checked
		list := b.bucket.List(&blob.ListOptions{Prefix: prefix + upload.FileID + "/"})
		for {
			file, err := list.Next(ctx)
			if errors.Is(err, io.EOF) {
				break
			}
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
