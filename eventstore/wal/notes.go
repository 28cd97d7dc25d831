package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hodei-jobs/hodei/eventstore/fields"
)

// Beside its journals a log keeps small files, all of one form: a magic of four
// bytes, the payload, CRC-32C of both. Each is written under another name,
// synced and renamed, so that it is whole or absent.
const (
	lockName    = "LOCK"
	cleanName   = "CLEAN"   // the log was closed in order; removed before the first append
	horizonName = "HORIZON" // where the log begins, once journals were removed
	sealName    = "SEAL"    // in a journal's folder: nothing will be appended to it

	tempSuffix = ".tmp"
	newSuffix  = ".new" // a journal's folder that is not complete

	cleanMagic   = "HWC1"
	horizonMagic = "HWH1"
	sealMagic    = "HWS1"

	wayBytes = 64 << 10 // how far waypoints stand apart, at least
)

func (l *Log) writeNote(path, magic string, payload []byte) error {
	data := append([]byte(magic), payload...)
	data = binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
	temp := path + tempSuffix
	if err := l.files.Write(temp, data); err != nil {
		return errors.Join(err, l.files.Remove(temp))
	}
	if err := l.files.Rename(temp, path); err != nil {
		return finalError{err}
	}
	return l.syncDir(filepath.Dir(path))
}

// readNote returns a note's payload; ok is false if there is no such file.
func readNote(path, magic string) (payload []byte, ok bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	n := len(data) - 4
	if n < len(magic) || !bytes.HasPrefix(data, []byte(magic)) ||
		crc32.Checksum(data[:n], castagnoli) != binary.BigEndian.Uint32(data[n:]) {
		return nil, false, &DamageError{File: path, Reason: "the checksum is wrong"}
	}
	return data[len(magic):n], true, nil
}

// waypoint says where in its journal the frame with a position begins.
type waypoint struct {
	place
	offset int64
}

// Journal is one closed or current file of frames.
type Journal struct {
	Frame      uint64   // number of its first frame, and its folder's name
	Frames     uint64   // how many it has
	First      uint64   // position of its first record
	Next       uint64   // position after its last
	Bytes      int64    // of its segment
	Chain      [32]byte // before its first record
	ChainAfter [32]byte // after its last; of a sealed one only
	Meta       []byte   // what the caller gave to Roll, or the beginning of it; of a sealed one only
	Sealed     bool

	dir  string
	mark mark       // of its frames; of the current one only
	ways []waypoint // ascending; the first is its first frame
}

// Folder returns the journal's folder, for a copy of a sealed one.
func (j Journal) Folder() string { return j.dir }

// kept returns a copy of what stays in memory of a journal's meta.
func (l *Log) kept(meta []byte) []byte {
	if l.meta > 0 {
		meta = meta[:min(len(meta), l.meta)]
	}
	return bytes.Clone(meta)
}

// ReadMeta reads from a sealed journal what the caller gave to Roll. Errors: a
// *[DamageError], [ErrRemoved], or those of the disk.
func (j Journal) ReadMeta() ([]byte, error) {
	payload, ok, err := readNote(filepath.Join(j.dir, sealName), sealMagic)
	if err == nil && !ok {
		err = ErrRemoved
	}
	if err != nil {
		return nil, err
	}
	sealed, err := decodeSeal(j.dir, payload)
	return sealed.Meta, err
}

func (j Journal) segment() string { return filepath.Join(j.dir, segmentName) }

func (j Journal) end() place { return place{j.Frame + j.Frames, j.Next} }

// add takes a frame of size bytes, prefix included, that stands at its end.
func (j *Journal) add(f Frame, size int) {
	if len(j.ways) == 0 || j.Bytes-j.ways[len(j.ways)-1].offset >= wayBytes {
		j.ways = append(j.ways, waypoint{place{f.Number, f.First}, j.Bytes})
	}
	if j.Frames == 0 {
		j.Chain = f.Chain
	}
	j.Frames++
	j.Next = f.Next()
	j.Bytes += int64(size)
}

func (j Journal) encodeSeal() []byte {
	var b []byte
	for _, n := range []uint64{j.Frame, j.Frames, j.First, j.Next, uint64(j.Bytes)} {
		b = binary.AppendUvarint(b, n)
	}
	b = append(b, j.Chain[:]...)
	b = append(b, j.ChainAfter[:]...)
	b = binary.AppendUvarint(b, uint64(len(j.Meta)))
	b = append(b, j.Meta...)
	b = binary.AppendUvarint(b, uint64(len(j.ways)))
	for _, m := range j.ways {
		for _, n := range []uint64{m.number, m.first, uint64(m.offset)} {
			b = binary.AppendUvarint(b, n)
		}
	}
	return b
}

// decodeSeal reads what encodeSeal wrote. Its checksum was right, so anything
// unexpected is another version's form.
func decodeSeal(dir string, payload []byte) (Journal, error) {
	d := fields.Reader{Rest: payload}
	j := Journal{
		Frame: d.Uvarint(), Frames: d.Uvarint(), First: d.Uvarint(), Next: d.Uvarint(),
		Bytes: int64(d.Uvarint()), Sealed: true, dir: dir,
	}
	copy(j.Chain[:], d.Bytes(32))
	copy(j.ChainAfter[:], d.Bytes(32))
	j.Meta = d.Bytes(d.Uvarint())
	n := d.Uvarint()
	for i := uint64(0); i < n && !d.Bad; i++ {
		j.ways = append(j.ways, waypoint{place{d.Uvarint(), d.Uvarint()}, int64(d.Uvarint())})
	}
	if !d.Whole() {
		return Journal{}, &DamageError{File: filepath.Join(dir, sealName), Reason: "it is not a seal of this version"}
	}
	return j, nil
}

// DamageError says that a file is not what was written.
type DamageError struct {
	File     string
	Offset   int64
	Frame    uint64 // the last frame known to be whole
	Position uint64 // the last record known to be whole
	Reason   string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d, after frame %d: %s", e.File, e.Offset, e.Frame, e.Reason)
}
