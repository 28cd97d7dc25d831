package api

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/jobs"
)

// waitingLook is how often the place in line of a job that waits is looked at: it
// changes without an event of the job's own.
const waitingLook = 2 * time.Second

const (
	// fillBytes is how much of a log is read in one go. What was read is encoded
	// before it is sent, so that a client that does not read holds up no more
	// memory than that, and never a frame of the journal.
	fillBytes = 64 << 10

	// maxLaggards is how many streams that are far behind read at once: each reads
	// whole frames of the journal.
	maxLaggards = 8
	// lagging is how far behind the head a stream reads the journal, perhaps.
	lagging = 64 << 10
)

// logFollower streams one job's output and states to one client.
type logFollower struct {
	*server
	job    jobs.Job   // as it was seen last
	key    joblog.Key // the attempt being streamed; 0 is not chosen yet
	offset uint64
	to     uint64 // send no byte from there on
	tag    uint8  // of the stream that is sent; 0 is both
	only   bool   // end with this attempt

	out     *sse.Writer
	told    jobs.Job // as the last state event had it
	seen    []byte   // that event
	waiting bool     // what it said was that the job waits
	sent    time.Time
}

// run streams until the job has ended, the client leaves or the server stops.
func (f *logFollower) run(ctx context.Context, out *sse.Writer) {
	f.out, f.sent = out, time.Now()
	look := time.NewTimer(sse.Heartbeat)
	defer look.Stop()
	for {
		changed, release := f.Watch.On(eventstore.StreamID(event.JobStream(f.job.ID)))
		more, done := f.advance(ctx)
		if f.flush() != nil || done {
			release()
			return
		}
		f.out.Idle()
		look.Reset(f.pause())
		select {
		case <-ctx.Done():
		case <-changed:
		case <-more:
		case <-look.C:
			f.told = jobs.Job{}
		}
		release()
		if ctx.Err() != nil {
			return
		}
	}
}

// pause is after what time to look though nothing has changed.
func (f *logFollower) pause() time.Duration {
	if f.waiting {
		return waitingLook
	}
	return sse.Heartbeat
}

// flush sends what has been gathered, or a sign of life if there was nothing for
// long.
func (f *logFollower) flush() error {
	switch {
	case f.out.Buffered() > 0:
	case time.Since(f.sent) >= sse.Heartbeat:
		f.out.Comment("")
	}
	if f.out.Buffered() > 0 {
		f.sent = time.Now()
	}
	return f.out.Flush()
}

// advance sends all there is to send. done is true after the end was sent, or
// if the log can't be read; else more is closed when the log has more.
func (f *logFollower) advance(ctx context.Context) (more <-chan struct{}, done bool) {
	for {
		w := f.Runner.World()
		if err := f.look(ctx, w); err != nil {
			f.failed(ctx, "cannot tell of a job's state", err)
			return nil, true
		}
		j := &f.job
		if f.key.Attempt == 0 {
			f.key.Attempt = max(j.Attempt, 1) // one that waits for its first is followed from there
		}
		f.state(ctx, w, j)
		_, _, more = f.Logs.Wait(f.key)
		if f.drain(ctx) != nil {
			return nil, true
		}
		switch {
		case f.writing(j): // also while it waits for its first or next attempt
			return more, false
		case f.ending(), f.offset < f.Logs.Head(f.key):
			return more, false // its last bytes, or the word that they were, are on their way
		case f.only || j.Attempt <= f.key.Attempt:
			f.end(ctx, w, j)
			return nil, true
		}
		f.key.Attempt, f.offset = f.key.Attempt+1, 0
	}
}

// look takes the job from the World. One that is not there ended long ago.
func (f *logFollower) look(ctx context.Context, w *projections.World) error {
	if j, ok := w.Jobs.ByID(f.job.ID); ok {
		f.job = j
		return nil
	}
	if f.job.Status.Terminal() {
		return nil
	}
	return f.recall(ctx, &f.job)
}

// writing says whether what is streamed may go on: the World was read before the
// log, so when it shows the attempt's end, the log was whole.
func (f *logFollower) writing(j *jobs.Job) bool {
	switch {
	case j.Status.Terminal():
		return false
	case j.Attempt > f.key.Attempt:
		return false
	case f.only:
		return j.Status == job.Bound || j.Status == job.Running
	}
	return true
}

// ending says whether the log of an attempt that is over has not been ended yet: of
// one that was lost, bytes may come until then.
func (f *logFollower) ending() bool {
	_, ended := f.Logs.Ended(f.key)
	return !ended && f.Logs.Head(f.key) > 0
}

// drain sends what the log has from the offset on.
func (f *logFollower) drain(ctx context.Context) error {
	for f.offset < f.to {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		before := f.offset
		if err := f.fill(ctx); err != nil {
			if ctx.Err() == nil {
				f.Logger.Error("cannot read a job's log", "job", f.job.ID.String(), "attempt", f.key.Attempt, "offset", f.offset, "error", err)
			}
			return err
		}
		if f.offset == before {
			return nil
		}
		if f.out.Buffered() < flushBytes {
			continue
		}
		if err := f.flush(); err != nil {
			return err
		}
	}
	return nil
}

// fill reads and encodes what comes next.
func (f *logFollower) fill(ctx context.Context) error {
	if head := f.Logs.Head(f.key); head > f.offset+lagging {
		select {
		case f.laggards <- struct{}{}:
			defer func() { <-f.laggards }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	pieces, next, err := f.Logs.Read(ctx, f.key, f.offset, int(min(fillBytes, f.to-f.offset)))
	if err != nil {
		return err
	}
	for i := range pieces {
		if p := &pieces[i]; f.tag == 0 || f.tag == p.Tag {
			f.out.Event("", logID(f.key.Attempt, p.Offset+uint64(len(p.Data))), pieceData(p))
		}
	}
	f.offset = next
	return nil
}

// state sends the job if it looks different than before.
func (f *logFollower) state(ctx context.Context, w *projections.World, j *jobs.Job) {
	f.waiting = j.Status == job.Pending
	if j.Status.Terminal() || *j == f.told && !f.waiting {
		return // a thousand readers of a job that prints should not look at it for each line
	}
	v, err := f.view(ctx, w, j)
	if err != nil {
		f.failed(ctx, "cannot tell of a job's state", err)
		return
	}
	f.told = *j
	if b, err := json.Marshal(v); err == nil && !bytes.Equal(b, f.seen) {
		f.seen = b
		f.out.Event("state", "", b)
	}
}

// end sends the job as it stands at the end of the stream.
func (f *logFollower) end(ctx context.Context, w *projections.World, j *jobs.Job) {
	v, err := f.story(ctx, w, j)
	if err != nil {
		f.failed(ctx, "cannot tell of a job's end", err)
		return
	}
	v.Spec = nil
	b, err := json.Marshal(v)
	if err != nil {
		f.failed(ctx, "cannot tell of a job's end", err)
		return
	}
	f.out.Event("end", "", b)
}

// failed logs what was not the client's doing. The stream ends without an end, and
// the client comes again.
func (f *logFollower) failed(ctx context.Context, message string, err error) {
	if ctx.Err() == nil {
		f.Logger.Error(message, "job", f.job.ID.String(), "error", err)
	}
}
