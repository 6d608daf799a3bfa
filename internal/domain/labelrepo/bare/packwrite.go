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

	// maxChain is how many deltas may follow one upon another, as git sets
	// itself: reading an object costs as many steps.
	maxChain = 50

	// worthDeflating is the size from which compression is tried. Below it
	// costs more time than the rest of a commit, and saves little: hashes and
	// edits do not compress.
	worthDeflating = 400
)

// Pack gathers new objects in a temporary file of its repository, in git's pack
// format version 2 (git's Documentation/gitformat-pack.txt). It stands by
// itself: no object in it builds upon one outside. Whoever makes one seals it,
// may publish it, and discards it. What cannot be written is Seal's error.
type Pack struct {
	file    *os.File
	out     tally
	deflate *zlib.Writer
	store   *zlib.Writer // without compression
	entries []entry
	at      map[Hash]spot
	sum     Hash // once it is sealed
}

// entry is one object's line in an index.
type entry struct {
	hash   Hash
	crc    uint32
	offset int64
}

// spot is where an object begins in the pack, and how many deltas deep it is.
type spot struct {
	offset int64
	chain  int
}

// Edit says how one object came from another: at byte At, Removed bytes gave
// way to Added bytes.
type Edit struct{ At, Removed, Added int }

// NewPack makes an empty pack.
func (r *Repo) NewPack() (*Pack, error) {
	f, err := os.CreateTemp(r.packFolder(), temporaryPrefix)
	if err != nil {
		return nil, err
	}
	p := &Pack{file: f, out: tally{to: bufio.NewWriterSize(f, 1<<16)}, at: map[Hash]spot{}}
	p.deflate, _ = zlib.NewWriterLevel(&p.out, zlib.BestSpeed) // the levels are valid
	p.store, _ = zlib.NewWriterLevel(&p.out, zlib.NoCompression)
	p.out.put(make([]byte, packHeaderSize)...)
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
func (p *Pack) Has(h Hash) bool { _, found := p.at[h]; return found }

// Add puts an object into the pack, once, and returns its name.
func (p *Pack) Add(kind Kind, content []byte) Hash {
	name := NameOf(kind, content)
	if !p.Has(name) {
		p.write(name, 0, kind, len(content), nil, content)
	}
	return name
}

// AddEdited is Add for content that came from the object base by one edit. If
// base is in the pack, only the edit is written: what makes many versions of a
// large tree affordable.
func (p *Pack) AddEdited(kind Kind, base Hash, content []byte, edit Edit) Hash {
	from, found := p.at[base]
	if !found || from.chain >= maxChain {
		return p.Add(kind, content)
	}
	name := NameOf(kind, content)
	if p.Has(name) {
		return name
	}
	delta := encodeDelta(content, edit)
	back := offsetBack(p.out.n - from.offset)
	p.write(name, from.chain+1, plumbing.OFSDeltaObject, len(delta), back, delta)
	return name
}

// write appends one entry: its header, what lies between header and data, and
// the compressed data.
func (p *Pack) write(name Hash, chain int, kind Kind, size int, between, data []byte) {
	p.out.crc = 0
	begin := p.out.n
	head := byte(kind)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p.out.put(head | 0x80)
		head = byte(size & 0x7f)
	}
	p.out.put(head)
	p.out.put(between...)
	z := p.deflate
	if len(data) < worthDeflating {
		z = p.store
	}
	z.Reset(&p.out)
	_, _ = z.Write(data) // Seal tells the error
	_ = z.Close()
	p.at[name] = spot{begin, chain}
	p.entries = append(p.entries, entry{hash: name, crc: p.out.crc, offset: begin})
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

// NameOf is git's name for an object.
func NameOf(kind Kind, content []byte) Hash {
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
	d = appendCopy(d, 0, edit.At)
	for added := range slices.Chunk(content[edit.At:edit.At+edit.Added], 127) {
		d = append(d, byte(len(added)))
		d = append(d, added...)
	}
	behind := edit.At + edit.Removed
	return appendCopy(d, behind, baseSize-behind)
}

// appendCopy writes instructions to copy size bytes of the base from offset.
func appendCopy(d []byte, offset, size int) []byte {
	const most = 1<<24 - 1 // that one instruction can copy
	for size > 0 {
		n := min(size, most)
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

// offsetBack encodes how far before its delta a base lies.
func offsetBack(n int64) []byte {
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
	four := func(n uint32) { _, _ = out.Write(binary.BigEndian.AppendUint32(out.AvailableBuffer(), n)) } // Flush tells the error
	_, _ = out.WriteString("\xfftOc\x00\x00\x00\x02")
	at := 0
	for first := range 256 {
		for at < len(entries) && int(entries[at].hash[0]) == first {
			at++
		}
		four(uint32(at))
	}
	for i := range entries {
		_, _ = out.Write(entries[i].hash[:])
	}
	for i := range entries {
		four(entries[i].crc)
	}
	var far []int64
	for i := range entries {
		offset := entries[i].offset
		if offset >= 1<<31 {
			far = append(far, offset)
			offset = 1<<31 | int64(len(far)-1)
		}
		four(uint32(offset))
	}
	for _, offset := range far {
		_, _ = out.Write(binary.BigEndian.AppendUint64(out.AvailableBuffer(), uint64(offset)))
	}
	_, _ = out.Write(packSum[:])
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := to.Write(sum.Sum(nil))
	return err
}

// tally passes bytes on, and counts and sums them up.
type tally struct {
	to  *bufio.Writer
	n   int64
	crc uint32 // of what came since it was last set to 0
}

func (t *tally) Write(p []byte) (int, error) {
	t.n += int64(len(p))
	t.crc = crc32.Update(t.crc, crc32.IEEETable, p)
	return t.to.Write(p)
}

func (t *tally) put(b ...byte) { _, _ = t.Write(b) }
