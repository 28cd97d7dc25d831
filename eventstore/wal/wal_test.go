package wal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// chainAt stands in for a caller's chain: what it is before position p.
func chainAt(p uint64) (c [32]byte) {
	if p > 1 {
		binary.BigEndian.PutUint64(c[:], p)
	}
	return c
}

// body is what the frame that begins with position p holds in these tests.
func body(p uint64) []byte {
	return bytes.Repeat([]byte{byte(p), byte(p >> 8), 0x5a}, 5+int(p%7))
}

func checkBody(f Frame) error {
	if !bytes.Equal(f.Body, body(f.First)) {
		return errors.New("not the body of this frame")
	}
	return nil
}

func frameAt(p uint64) (Header, []byte) {
	return Header{First: p, Count: uint32(1 + p%3), Chain: chainAt(p)}, append(make([]byte, HeaderSize), body(p)...)
}

// appendFrames appends n frames, rolling whenever it is time.
func appendFrames(l *Log, n int) error {
	for range n {
		h, frame := frameAt(l.Next())
		if l.Full(len(frame)) {
			if err := l.Roll(chainAt(l.Next()), []byte("meta")); err != nil {
				return err
			}
		}
		if err := l.Append(h, frame); err != nil {
			return err
		}
	}
	return nil
}

// verify reads the whole log by Frames and returns the number of the last one.
func verify(l *Log) (n uint64, err error) {
	next := l.First()
	for f, err := range l.Frames(l.First()) {
		if err != nil {
			return n, err
		}
		if f.First != next || f.Chain != chainAt(next) {
			return n, fmt.Errorf("frame %d begins at %d, expected %d", f.Number, f.First, next)
		}
		if err := checkBody(f); err != nil {
			return n, err
		}
		next = f.Next()
		n = f.Number
	}
	if next != l.Next() {
		return n, fmt.Errorf("the frames end before %d, the log before %d", next, l.Next())
	}
	return n, nil
}

var small = Options{JournalBytes: 600, Check: checkBody}

func mustOpen(t *testing.T, dir string, opts Options) (*Log, Recovery) {
	t.Helper()
	l, rec, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(nil); err != nil {
			t.Error(err)
		}
	})
	return l, rec
}

// filled makes a log of n frames that was killed, and returns its folder.
func filled(t *testing.T, n int, opts Options) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	l, _, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := appendFrames(l, n); err != nil {
		t.Fatal(err)
	}
	if err := l.Abandon(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// These bytes can never change: they are in every data folder.
func TestFrameIsFixed(t *testing.T) {
	frame := append(make([]byte, HeaderSize), "body"...)
	Header{First: 0x0102030405060708, Count: 3, Chain: [32]byte{0: 0xaa, 31: 0xbb}}.seal(frame, mark{0x21, 7: 0x28}, 0x1112131415161718)
	const want = "00000004" + "2100000000000028" + "1112131415161718" + "0102030405060708" + "00000003" +
		"aa000000000000000000000000000000000000000000000000000000000000bb" + "d53f641e" + "626f6479"
	if got := hex.EncodeToString(frame); got != want {
		t.Errorf("frame\n got %s\nwant %s", got, want)
	}
	if got := hex.EncodeToString(mark{0x21, 7: 0x28}.begin()); got != "48574a31"+"2100000000000028"+"681513a9" {
		t.Errorf("the beginning of a journal is %s", got)
	}
}

func TestAppendsComeBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	total := 0
	for round := range 4 {
		l, rec, err := Open(dir, small)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Clean != (round > 0) || string(rec.Meta) != strings.Repeat("end", min(round, 1)) {
			t.Errorf("round %d: recovery %+v", round, rec)
		}
		if err := appendFrames(l, 10*round); err != nil {
			t.Fatal(err)
		}
		total += 10 * round
		if n, err := verify(l); err != nil || n != uint64(total) {
			t.Errorf("round %d: %d frames, %v; expected %d", round, n, err, total)
		}
		if err := l.Close([]byte("end")); err != nil {
			t.Fatal(err)
		}
		if h, frame := frameAt(l.Next()); !errors.Is(l.Append(h, frame), ErrClosed) || l.Close(nil) != nil {
			t.Error("a closed log is not closed")
		}
	}
}

// A kill between the seal and the frame after it, first thing after a clean end.
func TestARollAfterACleanEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	for range 2 {
		l, _, err := Open(dir, small)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(appendFrames(l, 1), l.Close(nil)); err != nil {
			t.Fatal(err)
		}
		if l, _, err = Open(dir, small); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Roll(chainAt(l.Next()), nil), l.Abandon()); err != nil {
			t.Fatal(err)
		}
	}
	mustOpen(t, dir, small)
}

func TestBlocksBeginAtWaypoints(t *testing.T) {
	l, _ := mustOpen(t, filepath.Join(t.TempDir(), "log"), Options{})
	const frames, size = 40, 10_000
	for p := uint64(1); p <= frames; p++ {
		if err := l.Append(Header{First: p, Count: 1}, make([]byte, HeaderSize+size)); err != nil {
			t.Fatal(err)
		}
	}
	for p := uint64(1); p <= frames; p++ {
		block, err := l.Block(p)
		if err != nil || len(block) == 0 {
			t.Fatal(err)
		}
		start, _ := l.BlockStart(p)
		if block[0].First != start || start > p || block[len(block)-1].First < p || len(block) > 8 {
			t.Errorf("block of %d has %d frames from %d", p, len(block), start)
		}
	}
	if block, err := l.Block(frames + 1); err != nil || len(block) > 0 {
		t.Errorf("after the end: %d frames, %v", len(block), err)
	}
}

// Of what journals were given to keep, no more stays in memory than was asked for,
// and all of it can be read, also of a log that was opened again.
func TestLittleOfAMetaStaysInMemory(t *testing.T) {
	dir, opts := filepath.Join(t.TempDir(), "log"), small
	opts.MetaBytes = 4
	l, _ := mustOpen(t, dir, opts)
	long := strings.Repeat("long", 1000)
	check := func() {
		t.Helper()
		var kept, whole []string
		for _, j := range l.Journals() {
			if !j.Sealed {
				continue
			}
			meta, err := j.ReadMeta()
			if err != nil {
				t.Fatal(err)
			}
			kept, whole = append(kept, string(j.Meta)), append(whole, string(meta))
			if cap(j.Meta) > 64 {
				t.Errorf("%d bytes are held for %d", cap(j.Meta), len(j.Meta))
			}
		}
		if !slices.Equal(kept, []string{"long", "abc", ""}) || !slices.Equal(whole, []string{long, "abc", ""}) {
			t.Errorf("in memory are %q; read are %d bytes", kept, len(strings.Join(whole, "")))
		}
	}
	for _, meta := range []string{long, "abc", ""} {
		err := appendFrames(l, 1)
		if err := errors.Join(err, l.Roll(chainAt(l.Next()), []byte(meta))); err != nil {
			t.Fatal(err)
		}
	}
	check()
	first := l.Journals()[0]
	if err := l.Abandon(); err != nil {
		t.Fatal(err)
	}
	l, _ = mustOpen(t, dir, opts)
	check()
	if err := l.Remove(first.Next - 1); err != nil {
		t.Fatal(err)
	}
	if _, err := first.ReadMeta(); !errors.Is(err, ErrRemoved) {
		t.Errorf("of a journal that was removed: %v", err)
	}
}

func TestRemovedJournalsAreGone(t *testing.T) {
	dir := filled(t, 40, small)
	l, _ := mustOpen(t, dir, small)
	second := l.Journals()[1]
	if err := l.Remove(second.Next - 1); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Block(1); !errors.Is(err, ErrRemoved) {
		t.Errorf("reading what was removed: %v", err)
	}
	if l.First() != second.Next {
		t.Errorf("the log begins at %d, expected %d", l.First(), second.Next)
	}
	if err := appendFrames(l, 3); err != nil {
		t.Fatal(err)
	}
	if err := l.Abandon(); err != nil {
		t.Fatal(err)
	}
	again, _ := mustOpen(t, dir, small)
	if n, err := verify(again); err != nil || again.First() != second.Next || n < 3 {
		t.Errorf("opened again: %d frames from %d, %v", n, again.First(), err)
	}
}

func TestUnknownFilesAreRefused(t *testing.T) {
	for _, name := range []string{"00000000000000000001.START", "notes.txt", "00000000000000000001/00000000000000000003.START"} {
		dir := filled(t, 3, Options{})
		if err := os.WriteFile(filepath.Join(dir, name), nil, fileMode); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), filepath.Base(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestALostPartIsNoticed(t *testing.T) {
	for _, row := range []struct{ name, gone, want string }{
		{"a journal in the middle", "", "the journal is missing"},
		{"the seal of an older journal", sealName, "the seal is missing"},
		{"the segment of a journal", segmentName, "the segment is missing"},
	} {
		dir := filled(t, 20, small)
		names, err := filepath.Glob(filepath.Join(dir, "0*"))
		if err != nil || len(names) < 3 {
			t.Fatal(names, err)
		}
		if err := os.RemoveAll(filepath.Join(names[1], row.gone)); err != nil {
			t.Fatal(err)
		}
		var damaged *DamageError
		if _, _, err := Open(dir, small); !errors.As(err, &damaged) || !strings.Contains(damaged.Reason, row.want) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	if dir := os.Getenv("WAL_TEST_DIR"); dir != "" {
		_, _, err := Open(dir, small)
		fmt.Println(err)
		return
	}
	dir := filled(t, 1, small)
	mustOpen(t, dir, small)
	child := exec.Command(os.Args[0], "-test.run=^TestASecondProcessIsRefused$")
	child.Env = append(os.Environ(), "WAL_TEST_DIR="+dir)
	out, err := child.Output()
	if want := fmt.Sprintf("process %d has it open", os.Getpid()); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("second process says %q, %v; expected %q", out, err, want)
	}
}

// A log that is refused is left as it was, with its torn frame: what refuses it
// may know of that frame.
func TestARefusedLogIsNotCut(t *testing.T) {
	dir := filled(t, 4, Options{})
	path := filepath.Join(dir, "00000000000000000001", segmentName)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-3); err != nil {
		t.Fatal(err)
	}
	known := errors.New("frame 4 is known")
	opts := Options{Check: checkBody, Accept: func(l *Log, rec Recovery) error {
		if n, err := verify(l); n != 3 || err != nil || rec.Cut == 0 {
			t.Errorf("asked with %d frames, %v, %+v", n, err, rec)
		}
		return known
	}}
	for range 2 {
		if _, _, err := Open(dir, opts); !errors.Is(err, known) {
			t.Error(err)
		}
	}
	if now, err := os.Stat(path); err != nil || now.Size() != info.Size()-3 {
		t.Error("the torn frame of a refused log is cut off")
	}
	opts.Accept = nil
	l, rec := mustOpen(t, dir, opts)
	if n, err := verify(l); n != 3 || err != nil || rec.Cut == 0 {
		t.Errorf("accepted: %d frames, %v, %+v", n, err, rec)
	}
}

// The slow way to find what flippedBit finds: try every bit.
func TestFlippedBitAgreesWithTryingEach(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	frame := append(make([]byte, HeaderSize), body(5)...)
	Header{First: 1, Count: 1}.seal(frame, mark{7}, 1)
	entry := append(binary.AppendUvarint(nil, uint64(len(frame))), frame...)
	whole := func(f Frame) bool { return f.Number == 1 && f.First == 1 }
	for bit := range 8 * len(entry) {
		entry[bit/8] ^= 1 << (bit % 8)
		if !oneBitFromWhole(entry, whole) {
			t.Errorf("flipping bit %d of %d was not found", bit, 8*len(entry))
		}
		other := random.IntN(8 * len(entry))
		entry[other/8] ^= 1 << (other % 8)
		if other != bit && oneBitFromWhole(entry, whole) {
			t.Errorf("bits %d and %d are flipped, yet one is said to be", bit, other)
		}
		entry[other/8] ^= 1 << (other % 8)
		entry[bit/8] ^= 1 << (bit % 8)
	}
}

func TestFullMeansTheDisk(t *testing.T) {
	if !full(fmt.Errorf("write: %w", unix.ENOSPC)) || full(unix.EIO) || full(finalError{unix.ENOSPC}) {
		t.Error("full disks are not told from broken ones")
	}
}
