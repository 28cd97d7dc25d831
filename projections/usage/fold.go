package usage

import (
	"time"

	"github.com/hodei-jobs/hodei/agentproto/series"
)

// ladder is the steps there are without one that is asked for. Each is a multiple of
// the one before, so that points can be made of finer ones.
var ladder = []time.Duration{
	time.Second, 2 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

const day = 24 * time.Hour // and its doubles follow the ladder

// coarser is the next step of the ladder.
func coarser(step time.Duration) time.Duration {
	for _, s := range ladder {
		if s > step {
			return s
		}
	}
	return max(day, 2*step)
}

// fold gathers samples into points.
type fold struct {
	q     Query
	fixed bool // the step was asked for
	step  time.Duration
	sums  []sum
	over  bool // all that follows is later than what is asked for
	err   error
}

func newFold(q Query) *fold {
	f := &fold{q: q, step: q.Step, fixed: q.Step > 0}
	if !f.fixed {
		f.step = ladder[0]
	}
	if f.fixed || f.q.Points <= 0 || f.q.Points > MaxPoints {
		f.q.Points = MaxPoints
	}
	return f
}

// sum is the samples of a point, or of a finer one.
type sum struct {
	begin  int64 // of the first sample, ms since 1970
	end    int64 // of the last
	over   time.Duration
	cpu    rates
	memory levels
	most   uint32 // processes

	known                         series.Known // of any
	read, written, received, sent uint64
}

// rates are CPU time in time; least and most are of those samples that are long.
type rates struct {
	used        time.Duration
	least, most float64
	counted     bool
}

// levels are weighted by how long they lasted.
type levels struct {
	weighted    float64
	over        time.Duration
	least, most float64
}

// add takes the next sample.
func (f *fold) add(s series.Sample) {
	begin := s.Time - s.Over.Milliseconds()
	switch {
	case f.err != nil || f.q.Since > 0 && s.Time <= f.q.Since/1e6:
		return
	case f.q.Until > 0 && begin >= (f.q.Until+1e6-1)/1e6:
		f.over = true
		return
	}
	one := sumOf(s)
	if n := len(f.sums); n > 0 && f.together(f.sums[n-1].end, one.end) {
		f.sums[n-1].join(one)
		return
	}
	f.sums = append(f.sums, one)
	if len(f.sums) <= f.q.Points {
		return
	}
	if f.fixed {
		f.err = ErrTooFine
		return
	}
	for len(f.sums) > f.q.Points {
		f.step = coarser(f.step)
		f.merge()
	}
}

// together tells whether samples that end then are of one point. Samples of a second
// stay as they are: their ends are no exact seconds.
func (f *fold) together(a, b int64) bool {
	step := f.step.Milliseconds()
	return f.step > time.Second && (a-1)/step == (b-1)/step
}

// merge makes points of the step that is new.
func (f *fold) merge() {
	kept := f.sums[:1]
	for _, s := range f.sums[1:] {
		if last := &kept[len(kept)-1]; f.together(last.end, s.end) {
			last.join(s)
		} else {
			kept = append(kept, s)
		}
	}
	f.sums = kept
}

func sumOf(s series.Sample) sum {
	one := sum{
		begin: s.Time - s.Over.Milliseconds(), end: s.Time, over: s.Over, known: s.Known, most: s.Processes,
		read: s.Read, written: s.Written, received: s.Received, sent: s.Sent,
	}
	rate := s.CPU.Seconds() / s.Over.Seconds()
	one.cpu = rates{s.CPU, rate, rate, s.Over >= leastOver}
	if s.Known&series.Memory != 0 {
		level := float64(s.Memory)
		one.memory = levels{level * s.Over.Seconds(), s.Over, level, level}
	}
	return one
}

func (s *sum) join(o sum) {
	s.end, s.over, s.most = o.end, s.over+o.over, max(s.most, o.most)
	s.cpu.join(o.cpu)
	if o.known&series.Memory != 0 {
		s.memory.join(o.memory)
	}
	s.known |= o.known
	s.read, s.written, s.received, s.sent = s.read+o.read, s.written+o.written, s.received+o.received, s.sent+o.sent
}

func (r *rates) join(o rates) {
	r.used += o.used
	switch {
	case r.counted && o.counted:
		r.least, r.most = min(r.least, o.least), max(r.most, o.most)
	case o.counted:
		r.least, r.most, r.counted = o.least, o.most, true
	}
}

func (l *levels) join(o levels) {
	if l.over == 0 {
		*l = o
		return
	}
	l.weighted, l.over = l.weighted+o.weighted, l.over+o.over
	l.least, l.most = min(l.least, o.least), max(l.most, o.most)
}

func (f *fold) reading() Reading {
	r := Reading{Step: f.step, Points: make([]Point, 0, len(f.sums))}
	for _, s := range f.sums {
		r.Points = append(r.Points, f.point(s))
	}
	return r
}

func (f *fold) point(s sum) Point {
	at := s.begin
	if step := f.step.Milliseconds(); f.step > time.Second {
		at = (s.end - 1) / step * step
	}
	mean := s.cpu.used.Seconds() / s.over.Seconds()
	p := Point{
		At: time.UnixMilli(at).UTC(), Over: s.over, Processes: s.most,
		CPU: Spread{min(s.cpu.least, mean), mean, max(s.cpu.most, mean)},
	}
	if s.known&series.Memory != 0 {
		p.Memory = &Spread{s.memory.least, s.memory.weighted / s.memory.over.Seconds(), s.memory.most}
	}
	if s.known&series.Disk != 0 {
		p.Read, p.Written = &s.read, &s.written
	}
	if s.known&series.Network != 0 {
		p.Received, p.Sent = &s.received, &s.sent
	}
	return p
}
