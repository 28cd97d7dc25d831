package wal

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// copyTree copies a log's folder, so that a test can damage the copy.
func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// unsynced is a disk that never syncs: good enough where nothing crashes.
type unsynced struct{ Disk }

func (unsynced) SyncDir(string) error { return nil }

func (unsynced) Segment(dir string) (Segment, error) {
	f, err := os.OpenFile(filepath.Join(dir, segmentName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, fileMode)
	return unsyncedSegment{f}, err
}

// unsyncedSegment writes what tidwall/wal writes, which syncs when it is closed.
type unsyncedSegment struct{ *os.File }

func (s unsyncedSegment) Write(frame []byte) error {
	_, err := s.File.Write(append(binary.AppendUvarint(nil, uint64(len(frame))), frame...))
	return err
}

func (unsyncedSegment) Sync() error { return nil }

func (unsynced) Rewrite(path string, at int64, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	return errors.Join(err, f.Close())
}

// hasty are the options of logs that are opened thousands of times.
var hasty = Options{JournalBytes: small.JournalBytes, Check: checkBody, Files: unsynced{}}

// reopen opens dir, verifies all of it, appends a frame, and closes it as a kill
// would. It returns the number of frames before that append.
func reopen(dir string) (frames uint64, rec Recovery, err error) {
	l, rec, err := Open(dir, hasty)
	if err != nil {
		return 0, rec, err
	}
	frames, err = verify(l)
	if err == nil {
		err = appendFrames(l, 1)
	}
	if err == nil {
		var n uint64
		if n, err = verify(l); err == nil && n != frames+1 {
			err = errors.New("the frame appended after recovery is not there")
		}
	}
	return frames, rec, errors.Join(err, l.Abandon())
}

func TestLastFrameTornAtEachByte(t *testing.T) {
	const frames = 4
	dir := filled(t, frames, Options{})
	path := filepath.Join(dir, "00000000000000000001", segmentName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	short := filled(t, frames-1, Options{})
	info, err := os.Stat(filepath.Join(short, "00000000000000000001", segmentName))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	garbage := make([]byte, 512)
	for i := range garbage {
		garbage[i] = byte(random.Uint32())
	}
	stride := 1
	if testing.Short() {
		stride = 5
	}
	for _, row := range []struct {
		name string
		tail []byte
	}{{"cut", nil}, {"then zeros", make([]byte, 4096)}, {"then garbage", garbage}} {
		for at := int(info.Size()); at < len(whole); at += stride {
			torn := append(whole[:at:at], row.tail...)
			if err := os.WriteFile(path, torn, fileMode); err != nil {
				t.Fatal(err)
			}
			n, rec, err := reopen(dir)
			if err != nil || n != frames-1 {
				t.Fatalf("torn at byte %d, %s: %d frames, %v", at, row.name, n, err)
			}
			if wantCut := int64(len(torn)) - info.Size(); rec.Cut != wantCut || wantCut > 0 && len(rec.Notes) != 1 {
				t.Errorf("torn at byte %d, %s: recovery says %+v, expected %d bytes cut", at, row.name, rec, wantCut)
			}
		}
	}
}

// Whoever writes into a body knows the format, but not the journal's mark.
func TestAForgedFrameInABodyIsNoProofOfDamage(t *testing.T) {
	forged := append(make([]byte, HeaderSize), "forged"...)
	Header{First: 1000, Count: 1}.seal(forged, newMark(), 1000)
	dir := filepath.Join(t.TempDir(), "log")
	l, _, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	frame := append(make([]byte, HeaderSize), "output"...)
	frame = append(append(frame, forged...), "and more of it"...)
	for p := uint64(1); p <= 2; p++ {
		if err := l.Append(Header{First: p, Count: 1}, frame); err != nil {
			t.Fatal(err)
		}
	}
	path := l.Current().segment()
	size := l.Current().Bytes
	if err := l.Abandon(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size-5); err != nil {
		t.Fatal(err)
	}
	again, rec := mustOpen(t, dir, Options{})
	if again.LastFrame() != 1 || rec.Cut == 0 {
		t.Errorf("%d frames, %+v", again.LastFrame(), rec)
	}
}

// A journal is complete before it has its name, so one without a beginning lost it.
func TestASegmentThatWasEmptiedIsNoticed(t *testing.T) {
	dir := filled(t, 4, Options{})
	for size := range beginBytes {
		if err := os.Truncate(filepath.Join(dir, "00000000000000000001", segmentName), int64(beginBytes-1-size)); err != nil {
			t.Fatal(err)
		}
		var damaged *DamageError
		if _, _, err := Open(dir, Options{}); !errors.As(err, &damaged) {
			t.Errorf("cut to %d bytes: %v", beginBytes-1-size, err)
		}
	}
}

func TestACleanEndIsNotTorn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l, _, err := Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(appendFrames(l, 3), l.Close(nil)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "00000000000000000001", segmentName)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := range info.Size() {
		torn := copyTree(t, dir)
		if err := os.Truncate(filepath.Join(torn, "00000000000000000001", segmentName), size); err != nil {
			t.Fatal(err)
		}
		var damaged *DamageError
		if _, _, err := Open(torn, small); !errors.As(err, &damaged) {
			t.Fatalf("cut to %d bytes after a clean end: %v", size, err)
		}
	}
}

// Every bit of every file is flipped: either Open or reading says so, or all
// frames are there.
func TestFlippedBitsAreFoundOrHarmless(t *testing.T) {
	const frames = 9
	dir := filled(t, frames, small)
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found, harmless := 0, 0
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(data) {
			flipped := []byte{data[bit/8] ^ 1<<(bit%8)}
			if err := (unsynced{}).Rewrite(path, int64(bit/8), flipped); err != nil {
				t.Fatal(err)
			}
			n, err := open(dir)
			var damaged *DamageError
			switch {
			case errors.As(err, &damaged):
				found++
			case err != nil:
				t.Errorf("%s bit %d: %v", path, bit, err)
			case n != frames:
				t.Fatalf("%s bit %d: %d of %d frames, and nobody noticed", path, bit, n, frames)
			default:
				harmless++
			}
			if err := (unsynced{}).Rewrite(path, int64(bit/8), data[bit/8:bit/8+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d flips found, %d harmless", found, harmless)
}

// open opens dir, verifies all of it and leaves it as it is.
func open(dir string) (uint64, error) {
	l, _, err := Open(dir, hasty)
	if err != nil {
		return 0, err
	}
	n, err := verify(l)
	return n, errors.Join(err, l.Abandon())
}
