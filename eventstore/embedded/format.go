package embedded

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"sort"
	"unsafe"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/fields"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// The body of a frame is a list of appends, each as its number of records and
// the records in canonical form (see eventstore.Record.AppendCanonical):
//
//	uvarint n, n records
//	uvarint n, n records
//	…
//
// A record's position is the frame's first plus its ordinal. Where an append
// begins is written down because its first event id is its key.

// frame is a frame in memory. It is immutable.
type frame struct {
	number  uint64
	first   eventstore.Position
	chain   eventstore.Hash // before its first record
	records []eventstore.Record
	starts  []int32 // ordinals of the records that begin an append, ascending
}

func (f *frame) last() eventstore.Position {
	return f.first + eventstore.Position(len(f.records)) - 1
}

// at returns the record at p, which the frame must have.
func (f *frame) at(p eventstore.Position) *eventstore.Record { return &f.records[p-f.first] }

// appendAt returns the records of the append that begins at p; none if no
// append begins there.
func (f *frame) appendAt(p eventstore.Position) []eventstore.Record {
	ordinal := int32(p - f.first)
	i := sort.Search(len(f.starts), func(i int) bool { return f.starts[i] >= ordinal })
	if i == len(f.starts) || f.starts[i] != ordinal {
		return nil
	}
	end := int32(len(f.records))
	if i+1 < len(f.starts) {
		end = f.starts[i+1]
	}
	return f.records[ordinal:end]
}

var errForm = errors.New("a record is not in canonical form")

// decode reads a frame. Its records share the frame's body, which must never
// change.
func decode(w wal.Frame) (*frame, error) {
	f := &frame{
		number: w.Number, first: eventstore.Position(w.First), chain: w.Chain,
		records: make([]eventstore.Record, 0, min(int(w.Count), len(w.Body))),
	}
	d := decoder{fields.Reader{Rest: w.Body}}
	for len(d.Rest) > 0 {
		n := d.Uvarint()
		if n == 0 || n > uint64(int(w.Count)-len(f.records)) {
			return nil, errForm
		}
		f.starts = append(f.starts, int32(len(f.records)))
		for range n {
			f.records = append(f.records, eventstore.Record{})
			r := &f.records[len(f.records)-1]
			d.record(r)
			r.Position = f.last()
		}
		if d.Bad {
			return nil, errForm
		}
	}
	if len(f.records) != int(w.Count) {
		return nil, errForm
	}
	return f, nil
}

// checkBody reports whether a frame's body is one that this store could have
// written.
func checkBody(w wal.Frame) error {
	_, err := decode(w)
	return err
}

// decoder reads records.
type decoder struct{ fields.Reader }

func (d *decoder) record(r *eventstore.Record) {
	r.Stream = eventstore.StreamID(d.text())
	r.Revision = eventstore.Revision(d.Uvarint())
	copy(r.ID[:], d.Bytes(uint64(len(r.ID))))
	r.Type = d.text()
	if t := d.Bytes(8); len(t) == 8 {
		r.Time = int64(binary.BigEndian.Uint64(t))
	}
	r.Metadata = d.Bytes(d.Uvarint())
	r.Data = d.Bytes(d.Uvarint())
}

// text returns a string that shares the frame's body.
func (d *decoder) text() string {
	b := d.Bytes(d.Uvarint())
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// sealMeta is what the store writes into a journal's seal: what it must know of
// a journal without reading it. The streams are many: they stay on disk.
type sealMeta struct {
	lastTime int64 // of its last record
	maxID    int64 // the highest time of an event id in this and all earlier journals, ms
	begun    bloom // streams whose first record is in it
}

const sealMetaBytes = 16 // that stay in memory: all but the streams

func (m sealMeta) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(m.lastTime))
	b = binary.BigEndian.AppendUint64(b, uint64(m.maxID))
	return append(b, m.begun...)
}

func decodeSealMeta(b []byte) (sealMeta, bool) {
	if len(b) < sealMetaBytes {
		return sealMeta{}, false
	}
	return sealMeta{
		lastTime: int64(binary.BigEndian.Uint64(b)),
		maxID:    int64(binary.BigEndian.Uint64(b[8:])),
		begun:    bloom(b[sealMetaBytes:]),
	}, true
}

// mayBegin reports whether a stream's first record may be in a sealed journal. Of
// one whose seal can't be read it may.
func mayBegin(j wal.Journal, stream eventstore.StreamID) bool {
	b, err := j.ReadMeta()
	meta, ok := decodeSealMeta(b)
	return err != nil || !ok || meta.begun.mayHave(stream)
}

// bloom is a set of streams that may hold more than was put into it, never less.
// An empty one holds everything: nothing is known.
type bloom []byte

const (
	bloomBits   = 10 // a stream: 1 in 100 strangers is taken for a member
	bloomProbes = 7
)

func newBloom(streams []eventstore.StreamID) bloom {
	b := make(bloom, max(8, (len(streams)*bloomBits+7)/8))
	for _, s := range streams {
		b.each(s, func(i, mask int) bool {
			b[i] |= byte(mask)
			return true
		})
	}
	return b
}

func (b bloom) mayHave(s eventstore.StreamID) bool {
	if len(b) == 0 {
		return true
	}
	return b.each(s, func(i, mask int) bool { return b[i]&byte(mask) != 0 })
}

// each calls fn for the bits of s until it says no, and returns what it said.
func (b bloom) each(s eventstore.StreamID, fn func(i, mask int) bool) bool {
	h := fnv.New128a()
	_, _ = h.Write([]byte(s)) // a hash takes anything
	sum := h.Sum(nil)
	first, step := binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:])|1
	bits := uint64(len(b)) * 8
	for probe := range uint64(bloomProbes) {
		bit := (first + probe*step) % bits
		if !fn(int(bit/8), 1<<(bit%8)) {
			return false
		}
	}
	return true
}
