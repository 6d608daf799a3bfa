package bare

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"
	"sort"

	"github.com/go-git/go-git/v5/plumbing"
)

// indexer computes the index of a pack from a remote. It holds about 40 bytes per
// object and about two unpacked objects at a time, because the first fetch of a
// large repository must fit into memory.
type indexer struct {
	repo    *Repo
	pack    *pack // its offsets stand in for an index
	entries []entry
	deltas  []delta // the offset deltas, sorted by base
	buffer  bufio.Reader
}

// delta is an entry whose hash is unknown until its base is unpacked. Both fields
// are indexes into entries.
type delta struct{ base, index int32 }

// indexPack reads a pack and returns its entries and its checksum. The error
// wraps ErrDamaged for an invalid pack, or if a delta has no base in the pack.
func (r *Repo) indexPack(f *os.File) ([]entry, Hash, error) {
	x := indexer{repo: r, pack: &pack{path: f.Name(), data: f, offsets: map[Hash]int64{}}}
	sum, count, err := x.readHeaderAndTrailer(f)
	if err != nil {
		return nil, sum, err
	}
	hasRefDeltas, err := x.readEntries(count)
	if err == nil {
		err = x.resolveOffsetDeltas()
	}
	if err == nil && hasRefDeltas {
		err = x.resolveRefDeltas()
	}
	if err == nil && slices.ContainsFunc(x.entries, func(e entry) bool { return e.hash.IsZero() }) {
		err = fmt.Errorf("the base of an object is not in its pack: %w", ErrDamaged)
	}
	return x.entries, sum, err
}

// readHeaderAndTrailer checks the header and the checksum of the pack. It returns
// the checksum and the number of objects in the header.
func (x *indexer) readHeaderAndTrailer(f *os.File) (sum Hash, count int, err error) {
	info, err := f.Stat()
	if err != nil {
		return sum, 0, err
	}
	x.pack.size = info.Size()
	var header [packHeaderSize]byte
	if _, err := f.ReadAt(header[:], 0); err != nil || x.pack.size < packHeaderSize+hashSize {
		return sum, 0, fmt.Errorf("the pack is too short: %w", ErrDamaged)
	}
	objects := binary.BigEndian.Uint32(header[8:])
	if string(header[:8]) != "PACK\x00\x00\x00\x02" || objects > math.MaxInt32 {
		return sum, 0, fmt.Errorf("no pack of version 2, or too many objects: %w", ErrDamaged)
	}
	digest := sha1.New()
	if _, err := io.Copy(digest, io.NewSectionReader(f, 0, x.pack.size-hashSize)); err != nil {
		return sum, 0, err
	}
	if _, err := f.ReadAt(sum[:], x.pack.size-hashSize); err != nil {
		return sum, 0, err
	}
	if !bytes.Equal(digest.Sum(nil), sum[:]) {
		return sum, 0, fmt.Errorf("the pack's checksum is wrong: %w", ErrDamaged)
	}
	return sum, int(objects), nil
}

// readEntries reads the pack once, from the first byte to the last. It fills
// entries with offsets, checksums and the hashes of all objects but deltas. It
// reports whether the pack has ref deltas, which name their base by hash.
func (x *indexer) readEntries(count int) (hasRefDeltas bool, err error) {
	end := x.pack.size - hashSize
	in := &countingReader{from: bufio.NewReaderSize(io.NewSectionReader(x.pack.data, packHeaderSize, end-packHeaderSize), 1<<16), n: packHeaderSize}
	var raw []byte
	x.entries = make([]entry, 0, min(int64(count), end/9)) // the shortest entry has 9 bytes
	for i := range count {
		e := entry{offset: in.n}
		kind, size, err := readEntryHeader(in)
		if err != nil {
			return false, err
		}
		switch kind {
		case plumbing.OFSDeltaObject:
			distance, err := readBaseDistance(in)
			if err != nil {
				return false, err
			}
			base, found := slices.BinarySearchFunc(x.entries, e.offset-distance, func(e entry, at int64) int { return cmp.Compare(e.offset, at) })
			if !found {
				return false, fmt.Errorf("the base of an object is not in its pack: %w", ErrDamaged)
			}
			x.deltas = append(x.deltas, delta{int32(base), int32(i)})
		case plumbing.REFDeltaObject:
			hasRefDeltas = true
			if _, err := io.CopyN(io.Discard, in, hashSize); err != nil {
				return false, ErrDamaged
			}
		}
		content, err := x.repo.inflate(in, size)
		if err != nil {
			return false, err
		}
		if kind != plumbing.OFSDeltaObject && kind != plumbing.REFDeltaObject {
			e.hash = HashObject(kind, content)
		}
		raw = slices.Grow(raw[:0], int(in.n-e.offset))[:in.n-e.offset]
		if _, err := x.pack.data.ReadAt(raw, e.offset); err != nil {
			return false, err
		}
		e.crc = crc32.ChecksumIEEE(raw)
		x.entries = append(x.entries, e)
	}
	if in.n != end {
		return false, fmt.Errorf("the pack holds more than it announces: %w", ErrDamaged)
	}
	slices.SortFunc(x.deltas, func(a, b delta) int { return cmp.Compare(a.base, b.base) })
	return hasRefDeltas, nil
}

// deltasOf returns the offset deltas with the given base.
func (x *indexer) deltasOf(base int) []delta {
	first := sort.Search(len(x.deltas), func(i int) bool { return int(x.deltas[i].base) >= base })
	last := first
	for last < len(x.deltas) && int(x.deltas[last].base) == base {
		last++
	}
	return x.deltas[first:last]
}

// resolveOffsetDeltas computes the hashes of the offset deltas above each whole
// object. It walks the tree of deltas of each object, so each entry is unpacked
// once.
func (x *indexer) resolveOffsetDeltas() error {
	type step struct {
		delta
		kind        Kind
		baseContent []byte
	}
	var todo []step
	push := func(base int, kind Kind, content []byte) {
		for _, d := range x.deltasOf(base) {
			todo = append(todo, step{d, kind, content})
		}
	}
	for i, e := range x.entries {
		// If the first delta has a hash, a walk from another base has already
		// computed the hashes of the whole tree.
		children := x.deltasOf(i)
		if e.hash.IsZero() || len(children) == 0 || !x.entries[children[0].index].hash.IsZero() {
			continue
		}
		kind, content, err := x.repo.unpackEntry(x.pack, e.offset, 0)
		if err != nil {
			return err
		}
		push(i, kind, content)
		for len(todo) > 0 {
			next := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			e := &x.entries[next.index]
			content, err := x.applyDeltaAt(e.offset, next.baseContent)
			if err != nil {
				return err
			}
			e.hash = HashObject(next.kind, content)
			push(int(next.index), next.kind, content)
		}
	}
	return nil
}

// applyDeltaAt unpacks the offset delta at offset and applies the delta to base.
func (x *indexer) applyDeltaAt(offset int64, base []byte) ([]byte, error) {
	in := &x.buffer
	in.Reset(io.NewSectionReader(x.pack.data, offset, x.pack.size-hashSize-offset))
	_, size, err := readEntryHeader(in)
	if err != nil {
		return nil, err
	}
	if _, err := readBaseDistance(in); err != nil {
		return nil, err
	}
	data, err := x.repo.inflate(in, size)
	if err != nil {
		return nil, err
	}
	return applyDelta(base, data)
}

// resolveRefDeltas computes the remaining hashes, in as many passes as necessary.
// Git itself sends offset deltas. Only other implementations send ref deltas, so
// speed does not matter here.
func (x *indexer) resolveRefDeltas() error {
	for progress := true; progress; {
		progress = false
		for _, e := range x.entries {
			if !e.hash.IsZero() {
				x.pack.offsets[e.hash] = e.offset
			}
		}
		for i := range x.entries {
			e := &x.entries[i]
			if !e.hash.IsZero() {
				continue
			}
			if kind, content, err := x.repo.readPacked(x.pack, e.offset, 0); err == nil {
				e.hash, progress = HashObject(kind, content), true
			}
		}
	}
	return nil
}

// countingReader counts the bytes read. It implements io.ByteReader, so zlib does
// not read beyond the end of an entry.
type countingReader struct {
	from *bufio.Reader
	n    int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countingReader) ReadByte() (byte, error) {
	b, err := c.from.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}
