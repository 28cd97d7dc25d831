package sample

import (
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/series"
)

// sampled is a recorder with a server that takes what it is given when it is asked
// to.
type sampled struct {
	recorder
	out   *outbox.Outbox
	now   time.Time
	used  counters
	read  series.Decoder
	taken []series.Sample
}

func newSampled() *sampled {
	s := &sampled{out: outbox.New(), now: time.Now()}
	s.begin(s.out.Open(outbox.Key{Job: "j1", Attempt: 1}), s.now)
	return s
}

// tick is a busy second.
func (s *sampled) tick(i int) {
	s.now = s.now.Add(time.Second)
	s.used.cpu += time.Duration(900+i*37%200)*time.Millisecond + 300*time.Microsecond
	s.used.written += uint64(i%3) << 20
	s.used.diskKnown = true
	if s.due(s.now) {
		s.add(s.now, s.used, series.Sample{Known: series.Memory, Memory: uint64(300+i*13%40) << 20, Processes: 3})
	}
}

func (s *sampled) take(t *testing.T) {
	t.Helper()
	s.out.SetWindow(1<<30, 1<<30, 0)
	for piece, ok := s.out.Take(); ok; piece, ok = s.out.Take() {
		if err := s.read.Decode(piece.Data, func(one series.Sample) { s.taken = append(s.taken, one) }); err != nil {
			t.Fatal(err)
		}
		if err := s.box.Ack(piece.Offset + uint64(len(piece.Data))); err != nil {
			t.Fatal(err)
		}
	}
	s.out.SetWindow(0, 0, 0)
}

// end takes what is left, whether or not there is credit for it.
func (s *sampled) end(t *testing.T) {
	t.Helper()
	s.box.Close()
	s.take(t)
}

// A server that is away for days costs little memory: then samples are farther
// apart, and nothing that was used in between is missing in their sums.
func TestASeriesThatNobodyTakesIsSmall(t *testing.T) {
	s := newSampled()
	begun, most := s.now, 0
	const days = 4
	for i := range days * 24 * 3600 {
		s.tick(i)
		if i%1000 == 0 {
			most = max(most, s.box.Held()+cap(s.batch))
		}
	}
	if most > maxHeld+1<<10 || most < maxHeld/2 {
		t.Errorf("at most %d bytes were held", most)
	}
	s.take(t)
	first := len(s.taken)
	if first < 900 || first > 5000 {
		t.Errorf("%d samples were kept", first)
	}
	for i := range 100 {
		s.tick(i)
	}
	s.flush(s.now)
	s.end(t)
	if n := len(s.taken) - first; n != 100 {
		t.Errorf("%d samples of 100 seconds after the server came back", n)
	}
	var cpu, over time.Duration
	written := uint64(0)
	for i, one := range s.taken {
		cpu, over, written = cpu+one.CPU, over+one.Over, written+one.Written
		if i > 0 && one.Time-one.Over.Milliseconds() != s.taken[i-1].Time {
			t.Fatalf("sample %d begins %d ms after the one before", i, one.Time-one.Over.Milliseconds()-s.taken[i-1].Time)
		}
	}
	if want := s.used.cpu.Truncate(time.Millisecond); cpu != want || over != s.now.Sub(begun) || written != s.used.written {
		t.Errorf("samples sum up to %v of CPU in %v and %d bytes, used were %v in %v and %d", cpu, over, written, want, s.now.Sub(begun), s.used.written)
	}
}

// What a server takes comes in batches of five seconds, the first sample at once.
func TestBatches(t *testing.T) {
	s := newSampled()
	for i, want := range []int{1, 1, 1, 1, 1, 6, 6, 6, 6, 6, 11} {
		s.tick(i)
		s.take(t)
		if len(s.taken) != want {
			t.Errorf("after %d s %d samples went, want %d", i+1, len(s.taken), want)
		}
	}
}

// No series grows for ever.
func TestALongSeriesBecomesSparse(t *testing.T) {
	s := newSampled()
	i := 0
	for ; s.box.Written() < maxSeries/2; i++ {
		const much = 1 << 41 // so that each sample has many bytes
		s.used.read, s.used.received, s.used.sent, s.used.netKnown = s.used.read+much, s.used.received+much, s.used.sent+much, true
		s.tick(i)
		s.take(t)
		s.taken = s.taken[:0]
	}
	for range 600 {
		i++
		s.tick(i)
	}
	s.end(t)
	sparse := 0
	for _, one := range s.taken {
		if one.Over >= sparseEvery-sampleEvery {
			sparse++
		}
	}
	if sparse < 9 || sparse > 11 {
		t.Errorf("%d samples of a minute in ten", sparse)
	}
}
