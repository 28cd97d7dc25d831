package api

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/jobs"
)

// streamLog answers with a stream of the log: after the id that was received last,
// else from the place that was chosen.
func (s *server) streamLog(ctx context.Context, j jobs.Job, in *logsInput, c logChoice) (*huma.StreamResponse, error) {
	attempt, offset, err := parseLogID(in.LastID)
	switch {
	case err != nil:
		return nil, err
	case attempt == 0:
		attempt = in.Attempt
	case attempt > j.Attempt || in.Attempt != 0 && in.Attempt != attempt:
		return nil, invalid("header.Last-Event-ID", fmt.Sprintf("it is of attempt %d, which is not what is read", attempt), in.LastID)
	}
	chosen := c.step != "" || c.since > 0 || c.tail >= 0
	if attempt == 0 && (chosen || in.Follow == "false") {
		attempt = j.Attempt
	}
	if attempt > 0 {
		if err := s.readable(ctx, joblog.Key{Job: j.ID, Attempt: attempt}, offset); err != nil {
			return nil, err
		}
	}
	f := &logFollower{server: s, job: j, key: joblog.Key{Job: j.ID, Attempt: attempt}, offset: offset, only: in.Attempt != 0, tag: c.tag}
	if in.Follow == "false" || chosen && in.LastID == "" {
		if in.LastID != "" {
			c.tail = -1 // they are counted once
		}
		p, err := s.part(ctx, f.key, c)
		if err != nil {
			return nil, err
		}
		if f.to = p.to; in.LastID == "" {
			f.offset = p.from
		}
	}
	if in.Follow == "false" {
		return s.stream(ctx, f.replay)
	}
	f.to = joblog.MaxOffset
	return s.stream(ctx, f.run)
}

// replay streams what there is, and says how far that was.
func (f *logFollower) replay(ctx context.Context, out *sse.Writer) {
	f.out = out
	_, whole := f.Logs.Ended(f.key)
	if f.drain(ctx) != nil {
		return
	}
	b, err := json.Marshal(wire.LogHead{Attempt: f.key.Attempt, Offset: f.offset, Whole: whole && f.offset == f.Logs.Head(f.key)})
	if err != nil {
		f.failed(ctx, "cannot tell of a log's head", err)
		return
	}
	f.out.Event("head", "", b)
	_ = f.flush() // whoever left does not miss it
}
