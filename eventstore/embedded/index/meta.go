package index

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/hodei-jobs/hodei/eventstore"
)

// The checkpoint's value: version 1, position 8, frame 8, chain 32, a digest a
// bucket (keys 8, sum 16), CRC32C 4.
const (
	metaVersion = 1
	digestBytes = 8 + 16
	metaBytes   = 1 + 8 + 8 + 32 + buckets*digestBytes + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// meta is the checkpoint and what the index must hold at it.
type meta struct {
	Checkpoint
	digests [buckets]digest
}

func (m *meta) keys() (n uint64) {
	for _, d := range m.digests {
		n += d.keys
	}
	return n
}

func (m *meta) encode() []byte {
	b := make([]byte, 0, metaBytes)
	b = append(b, metaVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Position))
	b = binary.BigEndian.AppendUint64(b, m.Frame)
	b = append(b, m.Chain[:]...)
	for _, d := range m.digests {
		b = binary.BigEndian.AppendUint64(b, d.keys)
		b = binary.BigEndian.AppendUint64(b, d.high)
		b = binary.BigEndian.AppendUint64(b, d.low)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeMeta(b []byte) (m meta, err error) {
	if len(b) != metaBytes || b[0] != metaVersion {
		return m, damage("its checkpoint has %d bytes or is of another version", len(b))
	}
	body := b[:metaBytes-4]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[metaBytes-4:]) {
		return m, damage("its checkpoint's checksum is wrong")
	}
	m.Position = eventstore.Position(binary.BigEndian.Uint64(body[1:]))
	m.Frame = binary.BigEndian.Uint64(body[9:])
	copy(m.Chain[:], body[17:49])
	for i := range m.digests {
		d := body[49+i*digestBytes:]
		m.digests[i] = digest{binary.BigEndian.Uint64(d), binary.BigEndian.Uint64(d[8:]), binary.BigEndian.Uint64(d[16:])}
	}
	return m, nil
}

// digest is of a set of entries, whatever their order: how many there are, and
// the sum modulo 2^128 of the first half of each one's SHA-256.
type digest struct{ keys, high, low uint64 }

func (d *digest) add(key, value []byte) {
	var buf [160]byte
	b := binary.BigEndian.AppendUint32(buf[:0], uint32(len(key)))
	b = append(append(b, key...), value...)
	h := sha256.Sum256(b)
	var carry uint64
	d.keys++
	d.low, carry = bits.Add64(d.low, binary.BigEndian.Uint64(h[8:]), 0)
	d.high, _ = bits.Add64(d.high, binary.BigEndian.Uint64(h[:]), carry)
}
