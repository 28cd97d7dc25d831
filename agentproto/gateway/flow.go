package gateway

import (
	"context"
	"errors"
	"fmt"

	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/agentproto/window"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// maxUsage is how many bytes an attempt's series may have, which is more than an
// agent writes: it samples less often before.
const maxUsage = 64 << 20

// flow is bytes of a charge that come in with offsets: its log, or its series. All
// fields but the first two are guarded by the session's mu.
type flow struct {
	charge *charge
	key    joblog.Key

	taken     bool   // this session is the one that may append
	sent      uint64 // offset after the last byte received
	durable   uint64
	flight    window.Flight // pieces of [durable, sent)
	ackQueued bool
}

// takeLog makes this session the only one that may append to the flow's log, and
// returns from where on.
func (s *session) takeLog(ctx context.Context, f *flow) (have uint64, err error) {
	have, err = s.g.config.JobLog.Take(ctx, f.key, s.epoch, func(durable uint64) { s.rise(f, durable) })
	if err != nil {
		return have, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.land(f)
	f.taken, f.sent, f.durable = true, have, have
	return have, nil
}

// samples puts bytes into the attempt's series. The first take it: most attempts
// are over before there are any.
func (s *session) samples(c *charge, m *pb.Chunk) error {
	if end := m.GetOffset() + uint64(len(m.GetData())); end > maxUsage {
		return fmt.Errorf("%w: job %s has a series of %d bytes, its limit is %d", errProtocol, c.key.Job, end, maxUsage)
	}
	s.mu.Lock()
	taken := c.usage.taken
	s.mu.Unlock()
	if !taken {
		// There is nothing to wait for: this session's Welcome took what there was.
		if _, err := s.takeLog(s.ctx, &c.usage); err != nil {
			return ignoreOver(err)
		}
	}
	return s.append(&c.usage, m)
}

// append puts a chunk into the flow's log.
func (s *session) append(f *flow, m *pb.Chunk) error {
	if err := s.receiveBytes(f, m.GetOffset(), len(m.GetData())); err != nil {
		return err
	}
	err := s.g.config.JobLog.Append(f.key, s.epoch, joblog.Piece{
		Tag: uint8(m.GetTag()), Offset: m.GetOffset(), Time: m.GetTimeNs(), Data: m.GetData(),
	})
	switch {
	case errors.Is(err, joblog.ErrGap), errors.Is(err, joblog.ErrWindow), errors.Is(err, joblog.ErrLarge):
		return fmt.Errorf("%w: job %s: %w", errProtocol, f.key.Job, err)
	}
	return ignoreOver(err)
}

// ignoreOver forgets that an attempt is over: the World shows that soon, or has
// shown it.
func ignoreOver(err error) error {
	if errors.Is(err, joblog.ErrFenced) || errors.Is(err, joblog.ErrEnded) {
		return nil
	}
	return err
}

// receiveBytes counts a piece against the session's window.
func (s *session) receiveBytes(f *flow, offset uint64, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := offset + uint64(n)
	if end <= f.sent || f.charge.settled {
		return nil
	}
	s.unacked += end - f.sent
	f.sent = end
	f.flight.Send(end)
	s.pieces++
	if s.unacked > windowSession || s.pieces*joblog.PieceCost > windowSession {
		return fmt.Errorf("%w: %d bytes in %d pieces are not acknowledged, the window is %d", errProtocol, s.unacked, s.pieces, windowSession)
	}
	return nil
}

// rise notes a new durable offset. The journal's writer calls it.
func (s *session) rise(f *flow, durable uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if durable <= f.durable {
		return
	}
	if held := min(durable, f.sent); held > f.durable {
		s.unacked -= held - f.durable
	}
	s.pieces -= f.flight.Acknowledge(durable)
	f.durable = durable
	if !f.ackQueued {
		f.ackQueued = true
		s.acks = append(s.acks, f)
		poke(s.ackable)
	}
}

// land takes what is under way of a flow off the session's count; mu is held.
func (s *session) land(f *flow) {
	if f.sent > f.durable {
		s.unacked -= f.sent - f.durable
		f.sent = f.durable
	}
	s.pieces -= f.flight.Clear()
}

// ack names the flow's durable offset; mu is held.
func (f *flow) ack() *pb.Ack {
	f.ackQueued = false
	return &pb.Ack{Ref: f.charge.ref, Have: f.durable, Usage: f.key.IsSeries()}
}

// waitUsage returns when the series, as far as it has come, is durable.
func (s *session) waitUsage(ctx context.Context, c *charge) error {
	if !s.tookUsage(c) {
		return nil
	}
	err := s.g.config.JobLog.WaitDurable(ctx, c.usage.key, s.g.config.JobLog.Head(c.usage.key))
	return ignoreOver(err)
}

// endUsage says that no more of the series comes.
func (s *session) endUsage(c *charge) {
	if s.tookUsage(c) {
		s.g.config.JobLog.Finish(c.usage.key, s.g.config.JobLog.Head(c.usage.key))
	}
}

func (s *session) tookUsage(c *charge) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.usage.taken
}
