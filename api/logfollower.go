package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/jobs"
)

// flushBytes is how much of a log is gathered before it is sent on while more is
// at hand.
const flushBytes = 64 << 10

// logFollower streams one job's output and states to one client.
type logFollower struct {
	*server
	job    id.ID
	key    joblog.Key // the attempt being streamed; attempt 0 before the first
	offset uint64
	only   bool     // end with this attempt
	gone   jobs.Job // the job as it stands if it is not in memory any more

	out  *sse.Writer
	seen []byte // the last state event
}

// run streams until the job has ended, the client leaves or the server stops.
func (f *logFollower) run(ctx context.Context, w http.ResponseWriter) {
	f.out = sse.NewWriter(w)
	beat := time.NewTicker(sse.Heartbeat)
	defer beat.Stop()
	for {
		changed, release := f.Watch.On(eventstore.StreamID(event.JobStream(f.job)))
		more, done := f.advance(ctx)
		err := f.out.Flush()
		if done || err != nil {
			release()
			return
		}
		select {
		case <-ctx.Done():
		case <-f.done:
		case <-changed:
		case <-more:
		case <-beat.C:
			f.out.Comment("")
		}
		release()
		if ctx.Err() != nil || closed(f.done) {
			return
		}
	}
}

// advance sends all there is to send. done is true after the end was sent, or
// if the log can't be read; else more is closed when the log has more.
func (f *logFollower) advance(ctx context.Context) (more <-chan struct{}, done bool) {
	for {
		w := f.Runner.World()
		j, ok := w.Jobs.ByID(f.job)
		if !ok { // it has left memory, so it ended long ago
			j = f.gone
		}
		if f.key.Attempt == 0 {
			f.key.Attempt = j.Attempt
		}
		f.state(ctx, w, &j)
		if f.key.Attempt > 0 {
			_, _, more = f.Logs.Wait(f.key)
			if f.drain(ctx) != nil {
				return nil, true
			}
		}
		switch {
		case f.writing(&j): // also while it waits for its first or next attempt
			return more, false
		case f.only || j.Attempt <= f.key.Attempt:
			f.end(ctx, w, &j)
			return nil, true
		}
		f.key.Attempt, f.offset = f.key.Attempt+1, 0
	}
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

// drain sends what the log has from the offset on.
func (f *logFollower) drain(ctx context.Context) error {
	for {
		pieces, next, err := f.Logs.Read(ctx, f.key, f.offset, logPieces)
		if err != nil {
			f.Logger.Error("cannot read a job's log", "job", f.job.String(), "attempt", f.key.Attempt, "offset", f.offset, "error", err)
			return err
		}
		if next == f.offset {
			return nil
		}
		for _, p := range pieces {
			f.out.Event("", logID(f.key.Attempt, p.Offset+uint64(len(p.Data))), pieceData(&p))
			if f.out.Buffered() >= flushBytes {
				if err := f.out.Flush(); err != nil {
					return err
				}
			}
		}
		f.offset = next
	}
}

// state sends the job if it looks different than before.
func (f *logFollower) state(ctx context.Context, w *projections.World, j *jobs.Job) {
	if j.Status.Terminal() {
		return
	}
	v, err := f.view(ctx, w, j)
	if err != nil {
		return
	}
	f.measured(j.ID, j.Attempt, v)
	v.Usage = nil // it changes at every look; a page asks for it
	if b, err := json.Marshal(v); err == nil && !bytes.Equal(b, f.seen) {
		f.seen = b
		f.out.Event("state", "", b)
	}
}

// end sends the job as it stands at the end of the stream.
func (f *logFollower) end(ctx context.Context, w *projections.World, j *jobs.Job) {
	v, err := f.story(ctx, w, j)
	if err != nil {
		f.Logger.Error("cannot tell of a job's end", "job", f.job.String(), "error", err)
		return
	}
	v.Spec = nil
	if b, err := json.Marshal(v); err == nil {
		f.out.Event("end", "", b)
	}
}

// pieceData encodes a piece of a log as wire.LogPiece. It is written by hand
// since all output passes here.
func pieceData(p *joblog.Piece) []byte {
	b := make([]byte, 0, len(p.Data)+len(p.Data)/8+48)
	if utf8.Valid(p.Data) {
		b = appendJSONString(append(b, `{"t":`...), p.Data)
	} else {
		b = append(b, `{"b":"`...)
		b = base64.StdEncoding.AppendEncode(b, p.Data)
		b = append(b, '"')
	}
	if p.Tag == stderrTag {
		b = append(b, `,"e":true`...)
	}
	b = strconv.AppendInt(append(b, `,"at":`...), p.Time, 10)
	return append(b, '}')
}

// stderrTag is the tag of bytes written to standard error.
const stderrTag = 2

const hexDigits = "0123456789abcdef"

// appendJSONString appends valid UTF-8 as a JSON string.
func appendJSONString(b, text []byte) []byte {
	b = append(b, '"')
	start := 0
	for i, c := range text {
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		b = append(b, text[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, text[start:]...), '"')
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
