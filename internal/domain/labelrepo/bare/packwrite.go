package bare

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
)

const (
	packHeaderSize = 12
	hashSize       = 20

	// maxDepth is how many deltas may follow one upon another, as git sets
	// itself: reading an object costs as many steps.
	maxDepth = 50

	// minDeflateSize is the size from which compression is tried. Below it
	// costs more time than the rest of a commit, and saves little: hashes and
	// edits do not compress.
	minDeflateSize = 400
)

// Pack gathers new objects in a temporary file of its repository, in git's pack
// format version 2 (git's Documentation/gitformat-pack.txt). It stands by
// itself: no object in it builds upon one outside. Whoever makes one seals it,
// may publish it, and discards it. What cannot be written is Seal's error.
type Pack struct {
	file      *os.File
	out       crcWriter
	deflater  *zlib.Writer
	storer    *zlib.Writer // without compression
	entries   []entry
	locations map[Hash]location
	sum       Hash // once it is sealed
}

// entry is one object's line in an index.
type entry struct {
	hash   Hash
	crc    uint32
	offset int64
}

// location is where an object begins in the pack, and how many deltas deep it is.
type location struct {
	offset int64
	depth  int
}

// Edit says how one object came from another: at byte At, Removed bytes gave
// way to Added bytes.
type Edit struct{ Offset, Removed, Added int }

// NewPack makes an empty pack.
func (r *Repo) NewPack() (*Pack, error) {
	f, err := os.CreateTemp(r.packFolder(), temporaryPrefix)
	if err != nil {
		return nil, err
	}
	p := &Pack{file: f, out: crcWriter{to: bufio.NewWriterSize(f, 1<<16)}, locations: map[Hash]location{}}
	p.deflater, _ = zlib.NewWriterLevel(&p.out, zlib.BestSpeed) // the levels are valid
	p.storer, _ = zlib.NewWriterLevel(&p.out, zlib.NoCompression)
	p.out.writeBytes(make([]byte, packHeaderSize)...)
	return p, nil
}

// Discard gives the file up, if it was not published.
func (p *Pack) Discard() {
	p.file.Close()
	os.Remove(p.file.Name())
}

// Len is how many objects are in the pack.
func (p *Pack) Len() int { return len(p.entries) }

// Has says whether the object is in the pack.
func (p *Pack) Has(h Hash) bool { _, found := p.locations[h]; return found }

// Add puts an object into the pack, once, and returns its name.
func (p *Pack) Add(kind Kind, content []byte) Hash {
	hash := HashObject(kind, content)
	if !p.Has(hash) {
		p.writeEntry(hash, 0, kind, len(content), nil, content)
	}
	return hash
}

// AddDelta is Add for content that came from the object base by one edit. If
// base is in the pack, only the edit is written: what makes many versions of a
// large tree affordable.
func (p *Pack) AddDelta(kind Kind, base Hash, content []byte, edit Edit) Hash {
	baseLocation, found := p.locations[base]
	if !found || baseLocation.depth >= maxDepth {
		return p.Add(kind, content)
	}
	hash := HashObject(kind, content)
	if p.Has(hash) {
		return hash
	}
	delta := encodeDelta(content, edit)
	distance := encodeBaseDistance(p.out.n - baseLocation.offset)
	p.writeEntry(hash, baseLocation.depth+1, plumbing.OFSDeltaObject, len(delta), distance, delta)
	return hash
}

// writeEntry appends one entry: its header, what lies between header and data, and
// the compressed data.
func (p *Pack) writeEntry(hash Hash, depth int, kind Kind, size int, extra, data []byte) {
	p.out.crc = 0
	begin := p.out.n
	head := byte(kind)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p.out.writeBytes(head | 0x80)
		head = byte(size & 0x7f)
	}
	p.out.writeBytes(head)
	p.out.writeBytes(extra...)
	z := p.deflater
	if len(data) < minDeflateSize {
		z = p.storer
	}
	z.Reset(&p.out)
	_, _ = z.Write(data) // Seal tells the error
	_ = z.Close()
	p.locations[hash] = location{begin, depth}
	p.entries = append(p.entries, entry{hash: hash, crc: p.out.crc, offset: begin})
}

// Seal finishes the pack. Nothing can be added after it.
func (p *Pack) Seal() error {
	if err := p.out.to.Flush(); err != nil {
		return err
	}
	header := make([]byte, packHeaderSize)
	putPackHeader(header, len(p.entries))
	if _, err := p.file.WriteAt(header, 0); err != nil {
		return err
	}
	digest := sha1.New()
	if _, err := io.Copy(digest, io.NewSectionReader(p.file, 0, p.out.n)); err != nil {
		return err
	}
	p.sum = Hash(digest.Sum(nil))
	_, err := p.file.WriteAt(p.sum[:], p.out.n)
	return err
}

// Content is the sealed pack.
func (p *Pack) Content() *io.SectionReader {
	return io.NewSectionReader(p.file, 0, p.out.n+hashSize)
}

func putPackHeader(b []byte, objects int) {
	copy(b, "PACK")
	binary.BigEndian.PutUint32(b[4:], 2)
	binary.BigEndian.PutUint32(b[8:], uint32(objects))
}

// HashObject is git's name for an object.
func HashObject(kind Kind, content []byte) Hash {
	h := sha1.New()
	fmt.Fprintf(h, "%s %d\x00", kind, len(content))
	h.Write(content)
	return Hash(h.Sum(nil))
}

// encodeDelta writes content as: what base has before the edit, the new bytes,
// what base has behind it.
func encodeDelta(content []byte, edit Edit) []byte {
	baseSize := len(content) - edit.Added + edit.Removed
	d := binary.AppendUvarint(nil, uint64(baseSize))
	d = binary.AppendUvarint(d, uint64(len(content)))
	d = appendCopy(d, 0, edit.Offset)
	for added := range slices.Chunk(content[edit.Offset:edit.Offset+edit.Added], 127) {
		d = append(d, byte(len(added)))
		d = append(d, added...)
	}
	end := edit.Offset + edit.Removed
	return appendCopy(d, end, baseSize-end)
}

// appendCopy writes instructions to copy size bytes of the base from offset.
func appendCopy(d []byte, offset, size int) []byte {
	const maxSize = 1<<24 - 1 // that one instruction can copy
	for size > 0 {
		n := min(size, maxSize)
		at := len(d)
		d = append(d, 0x80)
		for i := range 4 {
			if b := byte(offset >> (8 * i)); b != 0 {
				d[at] |= 1 << i
				d = append(d, b)
			}
		}
		for i := range 3 {
			if b := byte(n >> (8 * i)); b != 0 {
				d[at] |= 0x10 << i
				d = append(d, b)
			}
		}
		offset, size = offset+n, size-n
	}
	return d
}

// encodeBaseDistance encodes how far before its delta a base lies.
func encodeBaseDistance(n int64) []byte {
	b := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		b = append(b, 0x80|byte(n&0x7f))
	}
	slices.Reverse(b)
	return b
}

// writeIndex writes the index, version 2, of a pack with that checksum. It sorts
// the entries. It goes through them for each column, because the index of a
// large repository is not to be in memory as a whole.
func writeIndex(to io.Writer, entries []entry, packSum Hash) error {
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.hash[:], b.hash[:]) })

	sum := sha1.New()
	out := bufio.NewWriterSize(io.MultiWriter(to, sum), 1<<16)
	writeUint32 := func(n uint32) { _, _ = out.Write(binary.BigEndian.AppendUint32(out.AvailableBuffer(), n)) } // Flush tells the error
	_, _ = out.WriteString("\xfftOc\x00\x00\x00\x02")
	at := 0
	for first := range 256 {
		for at < len(entries) && int(entries[at].hash[0]) == first {
			at++
		}
		writeUint32(uint32(at))
	}
	for i := range entries {
		_, _ = out.Write(entries[i].hash[:])
	}
	for i := range entries {
		writeUint32(entries[i].crc)
	}
	var large []int64
	for i := range entries {
		offset := entries[i].offset
		if offset >= 1<<31 {
			large = append(large, offset)
			offset = 1<<31 | int64(len(large)-1)
		}
		writeUint32(uint32(offset))
	}
	for _, offset := range large {
		_, _ = out.Write(binary.BigEndian.AppendUint64(out.AvailableBuffer(), uint64(offset)))
	}
	_, _ = out.Write(packSum[:])
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := to.Write(sum.Sum(nil))
	return err
}

// crcWriter passes bytes on, and counts and sums them up.
type crcWriter struct {
	to  *bufio.Writer
	n   int64
	crc uint32 // of what came since it was last set to 0
}

func (w *crcWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	w.crc = crc32.Update(w.crc, crc32.IEEETable, p)
	return w.to.Write(p)
}

func (w *crcWriter) writeBytes(b ...byte) { _, _ = w.Write(b) }
