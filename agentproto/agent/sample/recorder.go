package sample

import (
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/series"
)

const (
	// batchEvery is how long samples gather before they go, but the first.
	batchEvery = 5 * time.Second
	// sparseEvery is how far apart samples are when much waits or was written.
	sparseEvery = time.Minute
	// maxHeld is what of an attempt's series waits for the server at most: a quarter
	// of an hour of seconds, then six hours of minutes.
	maxHeld = 32 << 10
	// maxSeries is how many bytes of an attempt's series are written: a month of
	// seconds, then a year of minutes. The server takes a little more.
	maxSeries = 48 << 20
)

// recorder writes an attempt's samples into its box. What is left out for lack of
// room is in the next one that is not.
type recorder struct {
	box     *outbox.Box // nil: nobody wants them
	encoder series.Encoder
	batch   []byte
	gone    time.Time // when a batch went last; zero: none has

	begun time.Time // by which times are told, so that they rise whatever clocks do
	last  time.Time // end of the newest sample, or when the process that runs began
	told  counters
}

// counters only grow.
type counters struct {
	cpu                 time.Duration
	read, written       uint64
	received, sent      uint64
	diskKnown, netKnown bool // whether those were counted now
}

// begin notes that a process of the attempt begins.
func (r *recorder) begin(box *outbox.Box, now time.Time) {
	if r.begun.IsZero() {
		r.box, r.begun = box, now
	}
	r.last = now
}

// due tells whether it is time for a sample.
func (r *recorder) due(now time.Time) bool {
	if r.box == nil {
		return false
	}
	every, held, written := sampleEvery, r.box.Held()+len(r.batch), r.box.Written()
	switch {
	case held >= maxHeld, written >= maxSeries:
		return false
	case held >= maxHeld/2, written >= maxSeries/2:
		every = sparseEvery
	}
	return now.Sub(r.last) >= every-sampleEvery/2
}

// add writes the sample that ends now: what was used since the one before.
func (r *recorder) add(now time.Time, used counters, s series.Sample) {
	ms := func(t time.Time) int64 { return t.Sub(r.begun).Milliseconds() }
	over := ms(now) - ms(r.last)
	if over <= 0 {
		return
	}
	s.Time, s.Over = r.begun.UnixMilli()+ms(now), time.Duration(over)*time.Millisecond
	s.CPU = (used.cpu - r.told.cpu).Truncate(time.Millisecond)
	used.cpu = r.told.cpu + s.CPU
	if used.diskKnown {
		s.Known |= series.Disk
		s.Read, s.Written = used.read-r.told.read, used.written-r.told.written
	}
	if used.netKnown {
		s.Known |= series.Network
		s.Received, s.Sent = used.received-r.told.received, used.sent-r.told.sent
	}
	r.batch = r.encoder.Append(r.batch, s)
	r.last, r.told = now, used
	if r.gone.IsZero() || now.Sub(r.gone) >= batchEvery-sampleEvery/2 {
		r.flush(now)
	}
}

// flush lets the batch go. One for which there is no room stays; due sees to it that
// it is small.
func (r *recorder) flush(now time.Time) {
	if len(r.batch) == 0 {
		return
	}
	if r.box.Offer(outbox.Usage, r.batch) {
		r.batch, r.gone = r.batch[:0], now
	}
}
