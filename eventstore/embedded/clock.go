package embedded

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// slew is by how much log time may run faster or slower than time passes:
	// 200 ppm, above the drift of a bad crystal. A wall clock that was set by an
	// hour changes a timeout of an hour by less than a second.
	slew = 5000

	// clockStep is from where on a difference is a step and no drift.
	clockStep = time.Second
)

// logClock gives the records' times. It never goes back, runs as time passes
// (also while the machine sleeps), and drifts towards the wall clock.
type logClock struct {
	now     func() (wall int64, passed time.Duration)
	stepped func(by time.Duration)

	mu   sync.Mutex // guards the rest; never held over anything that waits
	last time.Duration
	log  int64 // ns since 1970 UTC
	off  int64 // how far the wall clock was ahead of log at last
}

// newLogClock continues a log whose last record has the time last. now returns
// the wall clock, in ns since 1970 UTC, and the time passed since some moment.
func newLogClock(now func() (int64, time.Duration), last int64, stepped func(time.Duration)) *logClock {
	wall, passed := now()
	log := max(wall, last)
	return &logClock{now: now, stepped: stepped, last: passed, log: log, off: wall - log}
}

// bothClocks takes wall clock and passing time from one clock, as tests have,
// which can't be set without time passing; nil are those of the machine.
func bothClocks(now func() time.Time) func() (int64, time.Duration) {
	if now == nil {
		return machineClocks
	}
	start := now()
	return func() (int64, time.Duration) {
		t := now()
		return t.UnixNano(), t.Sub(start)
	}
}

// machineClocks returns the wall clock and the time since the machine was started,
// which goes on while it sleeps. That of a [time.Time] doesn't.
func machineClocks() (int64, time.Duration) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // there is no Linux without it
	}
	return time.Now().UnixNano(), time.Duration(t.Nano())
}

// read returns log time and the wall clock, both in ns since 1970 UTC.
func (c *logClock) read() (log, wall int64) {
	log, wall, step := c.advance()
	if step != 0 && c.stepped != nil {
		c.stepped(step)
	}
	return log, wall
}

func (c *logClock) advance() (log, wall int64, step time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, now := c.now()
	passed := max(0, int64(now-c.last))
	c.last = now
	off := wall - (c.log + passed)
	if by := time.Duration(off - c.off); by.Abs() > clockStep {
		step = by
	}
	most := passed / slew
	drift := max(-most, min(most, off))
	c.log += passed + drift
	c.off = off - drift
	return c.log, wall, step
}
