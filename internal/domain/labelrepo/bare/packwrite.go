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

	// maxDepth is the longest chain of deltas, as in git's default. Reading an
	// object applies each delta of the chain.
	maxDepth = 50

	// minDeflateSize is the size in bytes from which data is compressed.
	// Compressing less data takes more time than the rest of a commit, and saves
	// little: hashes and deltas do not compress.
	minDeflateSize = 400
)

// Pack writes new objects into a temporary file, in git's pack format version 2
// (git's Documentation/gitformat-pack.txt). The base of each delta is in the same
// pack. The caller adds objects, calls Seal, may publish the pack, and calls
// Discard. Seal returns the errors of earlier writes.
type Pack struct {
	file      *os.File
	out       crcWriter
	deflater  *zlib.Writer
	storer    *zlib.Writer // without compression
	entries   []entry
	locations map[Hash]location
	sum       Hash // set by Seal
}

// entry is one object in an index.
type entry struct {
	hash   Hash
	crc    uint32
	offset int64
}

// location is the offset of an object in the pack and the length of its chain of
// deltas.
type location struct {
	offset int64
	depth  int
}

// Edit is the difference between a base and a content: Removed bytes of the base
// at Offset are replaced by Added bytes of the content.
type Edit struct{ Offset, Removed, Added int }

// NewPack creates an empty pack. The caller calls Discard.
func (r *Repo) NewPack() (*Pack, error) {
	f, err := os.CreateTemp(r.packFolder(), temporaryPrefix)
	if err != nil {
		return nil, err
	}
	p := &Pack{file: f, out: crcWriter{to: bufio.NewWriterSize(f, 1<<16)}, locations: map[Hash]location{}}
	p.deflater, _ = zlib.NewWriterLevel(&p.out, zlib.BestSpeed) // both levels are valid
	p.storer, _ = zlib.NewWriterLevel(&p.out, zlib.NoCompression)
	p.out.writeBytes(make([]byte, packHeaderSize)...)
	return p, nil
}

// Discard closes the pack. Discard removes the file, unless the pack was
// published.
func (p *Pack) Discard() {
	p.file.Close()
	os.Remove(p.file.Name())
}

// Len returns the number of objects in the pack.
func (p *Pack) Len() int { return len(p.entries) }

// Has reports whether the object is in the pack.
func (p *Pack) Has(h Hash) bool { _, found := p.locations[h]; return found }

// Add adds an object, unless the pack has the object already, and returns its
// hash.
func (p *Pack) Add(kind Kind, content []byte) Hash {
	hash := HashObject(kind, content)
	if !p.Has(hash) {
		p.writeEntry(hash, 0, kind, len(content), nil, content)
	}
	return hash
}

// AddDelta is Add for content that differs from the object base by one edit. If
// base is in the pack, only the edit is written. Without deltas, a batch of
// commits in a large folder would write the whole tree for each commit.
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

// writeEntry appends an entry: its header, the distance to the base for a delta,
// and the compressed data. size is the size of data before compression.
func (p *Pack) writeEntry(hash Hash, depth int, kind Kind, size int, distance, data []byte) {
	p.out.crc = 0
	begin := p.out.n
	head := byte(kind)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p.out.writeBytes(head | 0x80)
		head = byte(size & 0x7f)
	}
	p.out.writeBytes(head)
	p.out.writeBytes(distance...)
	z := p.deflater
	if len(data) < minDeflateSize {
		z = p.storer
	}
	z.Reset(&p.out)
	_, _ = z.Write(data) // Seal returns the error
	_ = z.Close()
	p.locations[hash] = location{begin, depth}
	p.entries = append(p.entries, entry{hash: hash, crc: p.out.crc, offset: begin})
}

// Seal writes the header and the checksum. Add must not be called after Seal.
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

// Content returns a reader of the sealed pack.
func (p *Pack) Content() *io.SectionReader {
	return io.NewSectionReader(p.file, 0, p.out.n+hashSize)
}

func putPackHeader(b []byte, objects int) {
	copy(b, "PACK")
	binary.BigEndian.PutUint32(b[4:], 2)
	binary.BigEndian.PutUint32(b[8:], uint32(objects))
}

// HashObject returns the hash that git gives to an object.
func HashObject(kind Kind, content []byte) Hash {
	h := sha1.New()
	fmt.Fprintf(h, "%s %d\x00", kind, len(content))
	h.Write(content)
	return Hash(h.Sum(nil))
}

// encodeDelta returns the delta from the base to content: a copy of the base
// before the edit, the added bytes, a copy of the base after the edit.
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

// appendCopy appends instructions that copy size bytes of the base from offset.
func appendCopy(d []byte, offset, size int) []byte {
	const maxSize = 1<<24 - 1 // limit of one copy instruction
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

// encodeBaseDistance encodes the distance in bytes from a delta back to its base.
func encodeBaseDistance(n int64) []byte {
	b := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		b = append(b, 0x80|byte(n&0x7f))
	}
	slices.Reverse(b)
	return b
}

// writeIndex writes an index of version 2 for the pack with the checksum packSum.
// It sorts entries. It iterates over entries once for each column, because the
// index of a large repository should not be in memory as a whole.
func writeIndex(to io.Writer, entries []entry, packSum Hash) error {
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.hash[:], b.hash[:]) })

	sum := sha1.New()
	out := bufio.NewWriterSize(io.MultiWriter(to, sum), 1<<16)
	writeUint32 := func(n uint32) { _, _ = out.Write(binary.BigEndian.AppendUint32(out.AvailableBuffer(), n)) } // Flush returns the error
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

// crcWriter counts the bytes written to another writer and computes their CRC-32.
type crcWriter struct {
	to  *bufio.Writer
	n   int64
	crc uint32 // since the caller last set crc to 0
}

func (w *crcWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	w.crc = crc32.Update(w.crc, crc32.IEEETable, p)
	return w.to.Write(p)
}

func (w *crcWriter) writeBytes(b ...byte) { _, _ = w.Write(b) }
