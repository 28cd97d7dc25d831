package segment_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/joblog/segment"
)

var key = joblog.Key{Job: id.FromBytes([5]byte{1, 2, 3, 4, 5}), Attempt: 3}

// some makes pieces with n bytes of log from the offset on, of all sizes.
func some(r *rand.Rand, first uint64, n int) (pieces []joblog.Piece) {
	at, time := first, int64(1_700_000_000_000_000_000)
	for left := n; left > 0; {
		size := min(left, 1+r.IntN([]int{3, 100, 5000, joblog.MaxPiece}[r.IntN(4)]))
		data := make([]byte, size)
		for i := range data {
			data[i] = "abcdefgh ijk\n"[r.IntN(13)]
		}
		time += r.Int64N(2_000_000_000) - 500_000_000
		pieces = append(pieces, joblog.Piece{Tag: uint8(1 + r.IntN(2)), Offset: at, Time: time, Data: data})
		at, left = at+uint64(size), left-size
	}
	return pieces
}

// pack writes a segment.
func pack(t testing.TB, first uint64, pieces []joblog.Piece) ([]byte, segment.Summary) {
	t.Helper()
	var out bytes.Buffer
	w := segment.NewWriter(&out, key, first)
	for _, p := range pieces {
		if err := w.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	s, err := w.Close()
	if err != nil || w.Size() != int64(out.Len()) {
		t.Fatalf("closed with %v; %d of %d bytes", err, w.Size(), out.Len())
	}
	return out.Bytes(), s
}

// source fetches from bytes and counts.
type source struct {
	data  []byte
	calls int
	bytes int
}

func (s *source) fetch(_ context.Context, offset int64, n int) ([]byte, error) {
	s.calls++
	if offset > int64(len(s.data)) {
		return nil, nil
	}
	got := s.data[offset:min(int64(len(s.data)), offset+int64(n))]
	s.bytes += len(got)
	return got, nil
}

func open(ctx context.Context, data []byte) (*segment.Reader, *source, error) {
	s := &source{data: data}
	r, err := segment.Open(ctx, s.fetch, int64(len(data)))
	return r, s, err
}

func mustOpen(t testing.TB, data []byte) (*segment.Reader, *source) {
	t.Helper()
	r, s, err := open(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

// readAll reads by the limit, and says what comes of it in one line.
func readAll(ctx context.Context, r *segment.Reader, limit int) (pieces []joblog.Piece, err error) {
	for at := r.Summary().First; at < r.Summary().End; {
		found, err := r.Read(ctx, at, limit)
		if err != nil || len(found) == 0 {
			return pieces, errors.Join(err, fmt.Errorf("%d pieces at %d", len(found), at))
		}
		for _, p := range found {
			if p.Offset != at {
				return pieces, fmt.Errorf("a piece from %d at %d", p.Offset, at)
			}
			at += uint64(len(p.Data))
		}
		pieces = append(pieces, found...)
	}
	return pieces, nil
}

// flat writes each byte with its tag and time.
func flat(pieces []joblog.Piece) string {
	var b strings.Builder
	for _, p := range pieces {
		for _, c := range p.Data {
			fmt.Fprintf(&b, "%d %d %c|", p.Tag, p.Time, c)
		}
	}
	return b.String()
}

func joined(pieces []joblog.Piece) (all []byte) {
	for _, p := range pieces {
		all = append(all, p.Data...)
	}
	return all
}

func TestBytesTagsAndTimesAreKeptExactly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 10, 5000, 300_000, 1_500_000} {
		first := uint64(r.IntN(3)) * 1000
		pieces := some(r, first, n)
		data, s := pack(t, first, pieces)
		all := joined(pieces)
		want := segment.Summary{Key: key, First: first, End: first + uint64(n), Lines: uint64(bytes.Count(all, []byte{'\n'})), Digest: sha256.Sum256(all)}
		reader, _ := mustOpen(t, data)
		if s != want || reader.Summary() != want {
			t.Errorf("%d bytes: written as %+v, read as %+v, want %+v", n, s, reader.Summary(), want)
		}
		got, err := readAll(t.Context(), reader, 1<<30)
		if err != nil || len(got) != len(pieces) {
			t.Fatalf("%d bytes: %d pieces, want %d, %v", n, len(got), len(pieces), err)
		}
		for i := range got {
			if got[i].Tag != pieces[i].Tag || got[i].Time != pieces[i].Time || !bytes.Equal(got[i].Data, pieces[i].Data) {
				t.Fatalf("piece %d differs", i)
			}
		}
		if err := reader.Verify(t.Context()); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestAnyRangeIsRead(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	pieces := some(r, 100, 400_000)
	data, s := pack(t, 100, pieces)
	reader, _ := mustOpen(t, data)
	all := joined(pieces)
	for range 300 {
		from, limit := 100+uint64(r.IntN(len(all))), 1+r.IntN(1000)<<r.IntN(10)
		got, err := reader.Read(t.Context(), from, limit)
		if err != nil || len(got) == 0 || got[0].Offset != from {
			t.Fatalf("from %d: %d pieces, %v", from, len(got), err)
		}
		found := joined(got)
		if len(found) > limit || !bytes.Equal(found, all[from-100:][:len(found)]) {
			t.Fatalf("from %d, at most %d: %d bytes, or others", from, limit, len(found))
		}
	}
	for _, limit := range []int{4096, 300_000} {
		got, err := readAll(t.Context(), reader, limit)
		if err != nil || flat(got) != flat(pieces) {
			t.Errorf("read by %d it is another, %v", limit, err)
		}
	}
	for _, from := range []uint64{0, 99, s.End, s.End + 1} {
		if got, err := reader.Read(t.Context(), from, 10); err != nil || len(got) > 0 {
			t.Errorf("from %d: %d pieces, %v", from, len(got), err)
		}
	}
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	data, _ := pack(t, 7, some(r, 7, 3000))
	for i := range data {
		for range 2 {
			flip := byte(1 + r.IntN(255))
			data[i] ^= flip
			reader, _, err := open(t.Context(), data)
			if err == nil {
				_, err = readAll(t.Context(), reader, 1<<20)
			}
			if !errors.Is(err, segment.ErrDamaged) {
				t.Errorf("byte %d of %d, flipped by %#x, gets %v", i, len(data), flip, err)
			}
			data[i] ^= flip
		}
	}
}

func TestEveryCutIsFound(t *testing.T) {
	data, _ := pack(t, 0, some(rand.New(rand.NewPCG(4, 1)), 0, 2000))
	for n := range data {
		if _, _, err := open(t.Context(), data[:n]); !errors.Is(err, segment.ErrDamaged) {
			t.Fatalf("the first %d bytes get %v", n, err)
		}
	}
}

// noise does not compress, so that fetches can be counted.
func noise(n int) (pieces []joblog.Piece) {
	r := rand.New(rand.NewPCG(5, 1))
	for at := 0; at < n; at += joblog.MaxPiece {
		data := make([]byte, min(n-at, joblog.MaxPiece))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		pieces = append(pieces, joblog.Piece{Tag: 1, Offset: uint64(at), Time: 1, Data: data})
	}
	return pieces
}

func TestOnlyWhatIsAskedForIsFetched(t *testing.T) {
	data, _ := pack(t, 0, noise(12<<20))
	reader, source := mustOpen(t, data)
	if source.bytes > 100<<10 || source.calls > 3 {
		t.Errorf("to open %d bytes, %d were fetched in %d calls", len(data), source.bytes, source.calls)
	}
	source.bytes, source.calls = 0, 0
	for at := uint64(9 << 20); at < 9<<20+100_000; at += 1000 {
		if _, err := reader.Read(t.Context(), at, 1000); err != nil {
			t.Fatal(err)
		}
	}
	if source.calls > 2 || source.bytes > 700<<10 {
		t.Errorf("for 100 KB in the middle, %d bytes were fetched in %d calls", source.bytes, source.calls)
	}
	small, _ := pack(t, 0, noise(30_000))
	reader, source = mustOpen(t, small)
	if _, err := readAll(t.Context(), reader, 1000); err != nil || source.calls > 1 {
		t.Errorf("a small one took %d fetches, %v", source.calls, err)
	}
}

func TestLinesAndTimesAreFound(t *testing.T) {
	var pieces []joblog.Piece
	const line = "this is a line of the log, forty bytes.\n"
	for i := range 50_000 {
		pieces = append(pieces, joblog.Piece{Tag: 1, Offset: uint64(i * len(line)), Time: int64(i), Data: []byte(line)})
	}
	data, _ := pack(t, 0, pieces)
	reader, _ := mustOpen(t, data)
	for _, n := range []uint64{0, 1, 6999, 25_000, 49_999} {
		from, before := reader.LineAt(n)
		if start := n * uint64(len(line)); before > n || from > start || start-from > 400<<10 || before*uint64(len(line)) != from {
			t.Errorf("line %d begins at %d; look from %d, before which are %d", n, start, from, before)
		}
		if at := reader.TimeAt(int64(n)); at > n*uint64(len(line)) || n*uint64(len(line))-at > 400<<10 {
			t.Errorf("time %d is at %d; look from %d", n, n*uint64(len(line)), at)
		}
	}
	if reader.TimeAt(60_000) != reader.Summary().End {
		t.Error("there is something after the end of time")
	}
}

// What was stored is read for ever: these bytes are fixed.
func TestTheFormIsFixed(t *testing.T) {
	const stored = "484a4c3101020304050000000300000000000000050000000000"
	data, _ := pack(t, 5, []joblog.Piece{
		{Tag: 1, Offset: 5, Time: 1000, Data: []byte("hello\n")}, {Tag: 2, Offset: 11, Time: 900, Data: []byte("world")},
	})
	if got := hex.EncodeToString(data[:26]); got != stored {
		t.Errorf("the header is %s", got)
	}
	// Another version of zstd may pack the same otherwise, and must read this.
	const whole = "484a4c310102030405000000030000000000000005000000000092e23b1828b52ffd0000a1000001d00f0602c70105006865" +
		"6c6c6f0a776f726c6428b52ffd00005100001d0b01880e64b67d754f000000000000003b0000000000000001000000000000" +
		"000b000000000000000126c60a61d01db5836ca70fefd44a6a016620413c8ef5f259a6c5612d4f79d3b800000013d8b90213349f8487314c4a48"
	fixed, err := hex.DecodeString(whole)
	if err != nil {
		t.Fatal(err)
	}
	reader, _ := mustOpen(t, fixed)
	got, err := readAll(t.Context(), reader, 100)
	if err != nil || string(joined(got)) != "hello\nworld" || got[1].Time != 900 || got[1].Tag != 2 {
		t.Errorf("it reads %+v, %v", got, err)
	}
}

func TestWhatDoesNotFollowIsRefused(t *testing.T) {
	var out bytes.Buffer
	w := segment.NewWriter(&out, key, 10)
	for _, p := range []joblog.Piece{
		{Tag: 1, Offset: 9, Data: []byte("x")}, {Tag: 1, Offset: 11, Data: []byte("x")}, {Tag: 0, Offset: 10, Data: []byte("x")},
		{Tag: 1, Offset: 10, Data: make([]byte, joblog.MaxPiece+1)},
	} {
		if err := w.Add(p); err == nil {
			t.Errorf("%d bytes with tag %d from %d are taken", len(p.Data), p.Tag, p.Offset)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	text := bytes.Repeat([]byte("2026-01-02T03:04:05Z compiling package number 12345 of some module, which took a while\n"), 700)
	b.SetBytes(int64(len(text)))
	w := segment.NewWriter(new(bytes.Buffer), key, 0)
	at := uint64(0)
	for b.Loop() {
		if err := w.Add(joblog.Piece{Tag: 1, Offset: at, Time: int64(at), Data: text}); err != nil {
			b.Fatal(err)
		}
		at += uint64(len(text))
	}
}

func BenchmarkRead(b *testing.B) {
	data, s := pack(b, 0, some(rand.New(rand.NewPCG(6, 1)), 0, 8<<20))
	b.SetBytes(int64(s.End))
	reader, _ := mustOpen(b, data)
	for b.Loop() {
		if err := reader.Verify(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
