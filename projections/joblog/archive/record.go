package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore/fields"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// The catalog's record of one attempt's log, under its job (5 bytes) and attempt
// (4 bytes, big-endian). After a version byte:
//
//	flags     1 byte
//	end       of the log as far as the archive has it, uvarint
//	at        when it was sealed, s since 1970, varint
//	digest    32 bytes, if it is sealed
//	segments  how many, uvarint; of each its length, line feeds, stored bytes, uvarints
//	sum       CRC-32C of all before and of the key, 4 bytes big-endian
const (
	recordVersion = 1
	keyBytes      = 9
	maxSegments   = 1 << 20 // of one log
)

type flags uint8

const (
	ended  flags = 1 << iota // no more bytes come
	sealed                   // it is one segment, whose digest is known
	told                     // Config.Sealed was told
	clean                    // nothing else of it is in the store
	gone                     // it was removed, as retention asks
)

var errRecord = errors.New("archive: a record of the catalog is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is what the catalog says of one log.
type record struct {
	flags    flags
	end      uint64
	at       int64
	digest   [32]byte
	segments []ref // in order and without a gap, from 0 to end; none if it is gone
}

func (r record) has(f flags) bool { return r.flags&f == f }

// done tells that there is nothing left to do with the log.
func (r record) done() bool {
	switch {
	case !r.has(ended):
		return false
	case r.has(gone), r.end == 0:
		return r.has(clean) || r.end == 0
	}
	return r.has(sealed | told | clean)
}

// stored is how many bytes its segments take.
func (r record) stored() (n int64) {
	for _, s := range r.segments {
		n += s.stored
	}
	return n
}

// ref names a segment.
type ref struct {
	first, end uint64
	lines      uint64
	stored     int64
	whole      bool // of all of a log that has ended
}

func encodeKey(k joblog.Key) []byte {
	var job [8]byte
	binary.BigEndian.PutUint64(job[:], uint64(k.Job))
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, keyBytes), job[3:]...), k.Attempt)
}

func decodeKey(b []byte) joblog.Key {
	return joblog.Key{Job: id.FromBytes([5]byte(b)), Attempt: binary.BigEndian.Uint32(b[5:])}
}

func (r record) encode(key []byte) []byte {
	b := []byte{recordVersion, byte(r.flags)}
	b = binary.AppendUvarint(b, r.end)
	b = binary.AppendVarint(b, r.at)
	if r.has(sealed) {
		b = append(b, r.digest[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(r.segments)))
	for _, s := range r.segments {
		b = binary.AppendUvarint(b, s.end-s.first)
		b = binary.AppendUvarint(b, s.lines)
		b = binary.AppendUvarint(b, uint64(s.stored))
	}
	return binary.BigEndian.AppendUint32(b, recordSum(key, b))
}

func recordSum(key, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b)
}

func decodeRecord(key, b []byte) (r record, err error) {
	n := len(b) - 4
	if len(key) != keyBytes || n < 5 || b[0] != recordVersion || binary.BigEndian.Uint32(b[n:]) != recordSum(key, b[:n]) {
		return r, errRecord
	}
	d := fields.Reader{Rest: b[2:n]}
	r.flags, r.end, r.at = flags(b[1]), d.Uvarint(), d.Varint()
	if r.has(sealed) {
		copy(r.digest[:], d.Bytes(uint64(len(r.digest))))
	}
	count := d.Uvarint()
	if d.Bad || count > maxSegments || count > uint64(len(d.Rest)) {
		return r, errRecord
	}
	at := uint64(0)
	for range count {
		s := ref{first: at, end: at + d.Uvarint(), lines: d.Uvarint(), stored: int64(d.Uvarint()), whole: r.has(sealed)}
		at = s.end
		r.segments = append(r.segments, s)
	}
	if !d.Whole() || at != r.end && !r.has(gone) {
		return r, errRecord
	}
	return r, nil
}

// Names of objects: ab/abcdefgh-1-0000000000000-0000000004711.seg, the job, its
// attempt, and the offsets of the first byte and after the last. One that is the
// whole of a log that has ended is called .log. A u after the attempt says that it
// is of its series. They are in 1,024 folders.
const (
	seriesLetter  = "u"
	segmentSuffix = ".seg"
	wholeSuffix   = ".log"
	folderLetters = 2
	nameParts     = 4
)

func prefixOf(k joblog.Key) string {
	job, series := k.Job.String(), ""
	if k.IsSeries() {
		series = seriesLetter
	}
	return fmt.Sprintf("%s/%s-%d%s-", job[:folderLetters], job, k.Log().Attempt, series)
}

func (s ref) name(k joblog.Key) string {
	suffix := segmentSuffix
	if s.whole {
		suffix = wholeSuffix
	}
	return fmt.Sprintf("%s%013d-%013d%s", prefixOf(k), s.first, s.end, suffix)
}

// parseName reads a name; ok is false if it is not one that name makes.
func parseName(name string) (k joblog.Key, s ref, ok bool) {
	_, base, _ := strings.Cut(name, "/")
	base, s.whole = strings.CutSuffix(base, wholeSuffix)
	base = strings.TrimSuffix(base, segmentSuffix)
	parts := strings.Split(base, "-")
	if len(parts) != nameParts {
		return k, s, false
	}
	job, err := id.Parse(parts[0])
	number, series := strings.CutSuffix(parts[1], seriesLetter)
	attempt, err1 := strconv.ParseUint(number, 10, 31)
	first, err2 := strconv.ParseUint(parts[2], 10, 64)
	end, err3 := strconv.ParseUint(parts[3], 10, 64)
	k, s.first, s.end = joblog.Key{Job: job, Attempt: uint32(attempt)}, first, end
	if series {
		k = k.Series()
	}
	ok = errors.Join(err, err1, err2, err3) == nil && first < end && end <= joblog.MaxOffset && s.name(k) == name
	return k, s, ok
}
