package bare

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	indexHeaderSize = 8
	indexNames      = indexHeaderSize + 256*4

	// maxObject is the size in bytes of the largest object that is unpacked into
	// memory. A label file has some kilobytes, the tree of a flat folder some
	// megabytes.
	maxObject = 256 << 20
)

// pack is a pack file with its index. Both files stay open, so a pack that git gc
// has removed remains readable.
type pack struct {
	path         string // of the pack file
	index        *os.File
	data         *os.File
	size         int64 // of the pack file, in bytes
	fanout       [256]uint32
	largeOffsets int64 // number of offsets that need more than 31 bits
	sum          Hash

	offsets map[Hash]int64 // replaces the index while indexPack computes the index
}

// openPack opens a pack and its index. It checks the headers, and that the index
// holds the pack's checksum, without reading all of either file. Each object is
// checked when the object is read.
func openPack(indexPath string) (*pack, error) {
	p := &pack{path: packPathOf(indexPath)}
	var err error
	if p.index, err = os.Open(indexPath); err != nil {
		return nil, err
	}
	if p.data, err = os.Open(p.path); err == nil {
		err = p.readHeadersAndTrailers()
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("pack %s: %w", filepath.Base(p.path), err)
	}
	return p, nil
}

func (p *pack) close() {
	p.index.Close()
	if p.data != nil {
		p.data.Close()
	}
}

// readHeadersAndTrailers reads the fan-out table, the checksums and the sizes. It
// returns an error that wraps ErrDamaged if the files do not match.
func (p *pack) readHeadersAndTrailers() error {
	head := make([]byte, indexNames)
	if _, err := p.index.ReadAt(head, 0); err != nil || string(head[:8]) != "\xfftOc\x00\x00\x00\x02" {
		return fmt.Errorf("no index of version 2: %w", ErrDamaged)
	}
	previous := uint32(0)
	for i := range p.fanout {
		p.fanout[i] = binary.BigEndian.Uint32(head[indexHeaderSize+4*i:])
		if p.fanout[i] < previous {
			return fmt.Errorf("index out of order: %w", ErrDamaged)
		}
		previous = p.fanout[i]
	}
	indexInfo, err := p.index.Stat()
	if err != nil {
		return err
	}
	least := int64(indexNames) + int64(p.count())*28 + 2*hashSize
	if rest := indexInfo.Size() - least; rest < 0 || rest%8 != 0 {
		return fmt.Errorf("the index has the wrong length: %w", ErrDamaged)
	} else {
		p.largeOffsets = rest / 8
	}
	if _, err := p.index.ReadAt(p.sum[:], indexInfo.Size()-2*hashSize); err != nil {
		return err
	}

	packInfo, err := p.data.Stat()
	if err != nil {
		return err
	}
	p.size = packInfo.Size()
	var header, want [packHeaderSize]byte
	var sum Hash
	putPackHeader(want[:], p.count())
	if p.size < packHeaderSize+hashSize {
		return fmt.Errorf("the pack is too short: %w", ErrDamaged)
	}
	if _, err := p.data.ReadAt(header[:], 0); err != nil {
		return err
	}
	if _, err := p.data.ReadAt(sum[:], p.size-hashSize); err != nil {
		return err
	}
	if header != want || sum != p.sum {
		return fmt.Errorf("pack and index do not belong together: %w", ErrDamaged)
	}
	return nil
}

func (p *pack) count() int { return int(p.fanout[255]) }

// find returns the offset of the object in the pack.
func (p *pack) find(h Hash) (offset int64, found bool, err error) {
	if p.index == nil {
		offset, found = p.offsets[h]
		return offset, found, nil
	}
	first := uint32(0)
	if h[0] > 0 {
		first = p.fanout[h[0]-1]
	}
	n := int(p.fanout[h[0]] - first)
	if n == 0 {
		return 0, false, nil
	}
	names := make([]byte, n*hashSize)
	if _, err := p.index.ReadAt(names, indexNames+int64(first)*hashSize); err != nil {
		return 0, false, err
	}
	i := sort.Search(n, func(i int) bool { return bytes.Compare(names[i*hashSize:(i+1)*hashSize], h[:]) >= 0 })
	if i == n || !bytes.Equal(names[i*hashSize:(i+1)*hashSize], h[:]) {
		return 0, false, nil
	}
	offset, err = p.offsetAt(int64(first) + int64(i))
	return offset, err == nil, err
}

// offsetAt returns the offset in the pack of the i-th object of the index.
func (p *pack) offsetAt(i int64) (int64, error) {
	var b [8]byte
	offsets := indexNames + int64(p.count())*24
	if _, err := p.index.ReadAt(b[:4], offsets+i*4); err != nil {
		return 0, err
	}
	short := binary.BigEndian.Uint32(b[:4])
	if short < 1<<31 {
		return int64(short), nil
	}
	large := int64(short &^ (1 << 31))
	if large >= p.largeOffsets {
		return 0, ErrDamaged
	}
	if _, err := p.index.ReadAt(b[:], offsets+int64(p.count())*4+large*8); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b[:])), nil
}

// entries reads the whole index.
func (p *pack) entries() ([]entry, error) {
	n := int64(p.count())
	columns := make([]byte, n*24)
	if _, err := p.index.ReadAt(columns, indexNames); err != nil {
		return nil, err
	}
	list := make([]entry, n)
	for i := range list {
		copy(list[i].hash[:], columns[i*hashSize:])
		list[i].crc = binary.BigEndian.Uint32(columns[int(n)*hashSize+i*4:])
		offset, err := p.offsetAt(int64(i))
		if err != nil {
			return nil, err
		}
		list[i].offset = offset
	}
	return list, nil
}

// readPacked returns the object at offset, after all deltas are applied. The
// content belongs to the cache: the caller must not change the content. depth is
// the number of deltas above this object.
func (r *Repo) readPacked(p *pack, offset int64, depth int) (Kind, []byte, error) {
	key := objectKey{p, offset}
	if cached, found := r.cache.Get(key); found {
		return cached.kind, cached.content, nil
	}
	if offset < packHeaderSize || offset >= p.size-hashSize || depth > 4095 {
		return 0, nil, fmt.Errorf("pack %s: no object at %d: %w", filepath.Base(p.path), offset, ErrDamaged)
	}
	kind, content, err := r.unpackEntry(p, offset, depth)
	if err != nil {
		return 0, nil, err
	}
	r.cache.Add(key, object{kind, content})
	return kind, content, nil
}

// unpackEntry is readPacked without the cache.
func (r *Repo) unpackEntry(p *pack, offset int64, depth int) (Kind, []byte, error) {
	in := bufio.NewReader(io.NewSectionReader(p.data, offset, p.size-hashSize-offset))
	kind, size, err := readEntryHeader(in)
	if err != nil {
		return 0, nil, err
	}
	var base int64
	switch kind {
	case plumbing.OFSDeltaObject:
		distance, err := readBaseDistance(in)
		if err != nil {
			return 0, nil, err
		}
		base = offset - distance
	case plumbing.REFDeltaObject:
		var name Hash
		if _, err := io.ReadFull(in, name[:]); err != nil {
			return 0, nil, ErrDamaged
		}
		found := false
		if base, found, err = p.find(name); err != nil || !found {
			return 0, nil, fmt.Errorf("the base %s is not in its pack: %w", name, ErrDamaged)
		}
	}
	data, err := r.inflate(in, size)
	if err != nil || base == 0 {
		return kind, data, err
	}
	kind, baseContent, err := r.readPacked(p, base, depth+1)
	if err != nil {
		return 0, nil, err
	}
	content, err := applyDelta(baseContent, data)
	return kind, content, err
}

// readEntryHeader returns the kind of an entry and the size of its unpacked data.
func readEntryHeader(in io.ByteReader) (Kind, int, error) {
	b, err := in.ReadByte()
	kind, size := Kind(b>>4&7), int(b&15)
	for shift := 4; b&0x80 != 0 && err == nil; shift += 7 {
		if shift > 32 {
			return 0, 0, ErrDamaged
		}
		b, err = in.ReadByte()
		size |= int(b&0x7f) << shift
	}
	if err != nil || size > maxObject || kind == plumbing.InvalidObject || kind == 5 {
		return 0, 0, ErrDamaged
	}
	return kind, size, nil
}

// readBaseDistance reads the distance in bytes from an offset delta back to its
// base.
func readBaseDistance(in io.ByteReader) (int64, error) {
	b, err := in.ReadByte()
	n := int64(b & 0x7f)
	for b&0x80 != 0 && err == nil && n < 1<<48 {
		b, err = in.ReadByte()
		n = (n+1)<<7 | int64(b&0x7f)
	}
	if err != nil || n <= 0 {
		return 0, ErrDamaged
	}
	return n, nil
}

// inflate unpacks exactly size bytes. Other lengths return an error that wraps
// ErrDamaged.
func (r *Repo) inflate(in io.Reader, size int) ([]byte, error) {
	z, _ := r.inflaters.Get().(io.ReadCloser)
	var err error
	if z == nil {
		z, err = zlib.NewReader(in)
	} else {
		err = z.(zlib.Resetter).Reset(in, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer r.inflaters.Put(z)
	// At most 1 MiB in advance: the size in a damaged header may be wrong.
	content := make([]byte, min(size, 1<<20))
	if _, err = io.ReadFull(z, content); err == nil && len(content) < size {
		var rest []byte
		rest, err = io.ReadAll(io.LimitReader(z, int64(size-len(content))))
		content = append(content, rest...)
	}
	if err == nil && len(content) < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var rest [1]byte
	if n, err := z.Read(rest[:]); n != 0 || !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: an object does not end where it should", ErrDamaged)
	}
	return content, nil
}

// applyDelta applies a delta to its base and returns the new content. It checks
// every number of the delta.
func applyDelta(base, delta []byte) ([]byte, error) {
	baseSize, n := binary.Uvarint(delta)
	if n <= 0 || baseSize != uint64(len(base)) {
		return nil, ErrDamaged
	}
	delta = delta[n:]
	size, n := binary.Uvarint(delta)
	if n <= 0 || size > maxObject {
		return nil, ErrDamaged
	}
	delta = delta[n:]
	out := make([]byte, 0, min(size, uint64(len(base)+len(delta))))
	for len(delta) > 0 {
		op := delta[0]
		delta = delta[1:]
		if op&0x80 == 0 {
			if op == 0 || int(op) > len(delta) {
				return nil, ErrDamaged
			}
			out = append(out, delta[:op]...)
			delta = delta[op:]
			continue
		}
		var operand [7]int // four bytes of the offset, three of the length
		for i := range operand {
			if op>>i&1 == 0 {
				continue
			}
			if len(delta) == 0 {
				return nil, ErrDamaged
			}
			operand[i], delta = int(delta[0]), delta[1:]
		}
		offset := operand[0] | operand[1]<<8 | operand[2]<<16 | operand[3]<<24
		length := operand[4] | operand[5]<<8 | operand[6]<<16
		if length == 0 {
			length = 0x10000
		}
		if offset+length > len(base) || len(out)+length > int(size) {
			return nil, ErrDamaged
		}
		out = append(out, base[offset:offset+length]...)
	}
	if len(out) != int(size) {
		return nil, ErrDamaged
	}
	return out, nil
}

// readLoose reads a loose object: an object in a file of its own. Git writes the
// objects of a small push this way.
func (r *Repo) readLoose(h Hash) (Kind, []byte, error) {
	name := h.String()
	f, err := os.Open(filepath.Join(r.dir, "objects", name[:2], name[2:]))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil, ErrMissing
	}
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	z, err := zlib.NewReader(bufio.NewReader(f))
	if err != nil {
		return 0, nil, ErrDamaged
	}
	data, err := io.ReadAll(io.LimitReader(z, maxObject))
	if err != nil {
		return 0, nil, ErrDamaged
	}
	head, content, _ := bytes.Cut(data, []byte{0})
	kindName, _, _ := strings.Cut(string(head), " ")
	kind, err := plumbing.ParseObjectType(kindName)
	if err != nil {
		return 0, nil, ErrDamaged
	}
	return kind, content, nil
}
