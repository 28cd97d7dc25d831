package eventstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// AppendCanonical appends the record's canonical form to dst: all of it but its
// position. It is what the chain hashes and what the embedded store writes.
//
//	uvarint n, n bytes   stream
//	uvarint              revision
//	16 bytes             event id
//	uvarint n, n bytes   type
//	8 bytes              time, ns since 1970 UTC, big-endian
//	uvarint n, n bytes   metadata
//	uvarint n, n bytes   data
func (r *Record) AppendCanonical(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(r.Stream)))
	dst = append(dst, r.Stream...)
	dst = binary.AppendUvarint(dst, uint64(r.Revision))
	dst = append(dst, r.ID[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(r.Type)))
	dst = append(dst, r.Type...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Time))
	dst = binary.AppendUvarint(dst, uint64(len(r.Metadata)))
	dst = append(dst, r.Metadata...)
	dst = binary.AppendUvarint(dst, uint64(len(r.Data)))
	return append(dst, r.Data...)
}

// Chain computes the record chain: h(p) = SHA-256(h(p−1), p as 8 bytes
// big-endian, the canonical form of record p), with h(0) all zero. It is not
// safe for concurrent use.
type Chain struct {
	Hash     Hash     // h(Position)
	Position Position // of the last record that was added
	scratch  []byte
}

// Add takes the record at Position+1, given in canonical form, into the chain.
func (c *Chain) Add(canonical []byte) {
	c.begin()
	c.scratch = append(c.scratch, canonical...)
	c.Hash = sha256.Sum256(c.scratch)
}

// AddRecord is Add for a record whose canonical form is not at hand.
func (c *Chain) AddRecord(r *Record) {
	c.begin()
	c.scratch = r.AppendCanonical(c.scratch)
	c.Hash = sha256.Sum256(c.scratch)
}

func (c *Chain) begin() {
	c.Position++
	c.scratch = append(c.scratch[:0], c.Hash[:]...)
	c.scratch = binary.BigEndian.AppendUint64(c.scratch, uint64(c.Position))
}
