package bare

import "tagma/internal/base/bytecache"

// objectKey identifies an entry of a pack.
type objectKey struct {
	pack   *pack
	offset int64
}

// object is an unpacked object.
type object struct {
	kind    Kind
	content []byte
}

// newObjectCache returns an empty cache of at most 16 MiB of objects.
func newObjectCache() *bytecache.Cache[objectKey, object] {
	return bytecache.New(16<<20, func(_ objectKey, o object) int { return len(o.content) })
}
