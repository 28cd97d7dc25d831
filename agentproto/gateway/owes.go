package gateway

import (
	"context"
	"time"

	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/cluster"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/workers"
)

const owesRetry = time.Second // after something owed could not be given

// owe gives the agent what the World says it owes it, whenever the World changed
// for the worker.
func (s *session) owe() {
	retry := time.NewTimer(0)
	defer retry.Stop()
	for pass := uint64(1); ; pass++ {
		select {
		case <-s.wake:
		case <-retry.C:
		case <-s.ctx.Done():
			return
		}
		all := s.compare(s.g.config.Runner.World(), pass)
		next, waits := s.unanswered(time.Now())
		if !all {
			next, waits = min(next, owesRetry), true
		}
		if retry.Stop(); waits {
			retry.Reset(next)
		}
	}
}

// unanswered puts back what the agent has not answered in time, as if it had
// refused it, and returns when to look again, if anything waits for an answer.
func (s *session) unanswered(now time.Time) (next time.Duration, waits bool) {
	s.mu.Lock()
	var late []*charge
	next = s.g.config.Answer
	for _, c := range s.charges {
		switch left := c.answerBy.Sub(now); {
		case c.accepted || c.busy || c.settled:
		case left <= 0:
			late = append(late, c)
		default:
			next, waits = min(next, left), true
		}
	}
	s.mu.Unlock()
	for _, c := range late {
		_ = s.push(c, func(_ context.Context, s *session, c *charge) error {
			return s.giveBack(c, "no answer to the assignment", 0)
		})
	}
	return next, waits
}

// compare goes through the worker's live attempts and through what the session
// has given out. It reports whether all could be given.
func (s *session) compare(world *projections.World, pass uint64) (all bool) {
	all = true
	var lost []commands.Loss
	for a := range world.Cluster.Attempts(s.worker, 0) {
		k := joblog.Key{Job: a.Job, Attempt: a.Attempt}
		c, known := s.look(k, pass)
		switch {
		case !known && a.Started:
			lost = append(lost, loss(k))
		case !known:
			all = s.assign(k, pass) && all
		default:
			s.remind(world, c, a)
		}
	}
	for _, c := range s.stale(pass) {
		s.fence(c)
	}
	switch w, ok := world.Workers.Get(s.worker); {
	case !ok, w.Status == worker.Terminated:
		s.end(errTerminated)
	case w.Draining:
		s.drain(world, w)
	}
	s.inform(world)
	return s.lose(lost) && all
}

// inform tells the agent the times of the settings, if it was told others.
func (s *session) inform(world *projections.World) {
	now := timesOf(world)
	if now == s.times {
		return
	}
	s.times = now
	s.tell(&pb.ServerMessage{Body: &pb.ServerMessage_Terms{Terms: &pb.Terms{
		ToleranceNs: int64(now.tolerance), OrphanAfterNs: int64(now.orphanAfter),
	}}})
}

// look returns the charge for an attempt and notes that it is live.
func (s *session) look(k joblog.Key, pass uint64) (c *charge, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, known = s.charges[k]; known {
		c.pass = pass
	}
	return c, known
}

// stale forgets the charges that the World does not have any more, and returns
// those the agent must be told to stop: no work of their own is under way that
// will settle them.
func (s *session) stale(pass uint64) (gone []*charge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, c := range s.charges {
		switch {
		case c.pass == pass, c.busy:
			continue
		case !c.settled:
			gone = append(gone, c)
		}
		delete(s.charges, k)
	}
	return gone
}

// assign gives the agent an attempt that is bound to it.
func (s *session) assign(k joblog.Key, pass uint64) bool {
	message, err := s.assignment(k)
	switch {
	case err != nil && fault.KindOf(err) == fault.Refused:
		s.logger.Info("an attempt is not given", "job", k.Job, "attempt", k.Attempt, "cause", err)
		return true
	case err != nil:
		s.logger.Error("cannot assign a job", "job", k.Job, "attempt", k.Attempt, "error", err)
		return false
	}
	s.mu.Lock()
	c := newCharge(k, message.Ref)
	c.pass, c.answerBy, c.logLimit = pass, time.Now().Add(s.g.config.Answer), message.LogLimitBytes
	s.charges[k] = c
	s.mu.Unlock()
	s.tell(&pb.ServerMessage{Body: &pb.ServerMessage_Assign{Assign: message}})
	return true
}

// remind says what a session that was told less may not know: that an accepted
// attempt may exec, that a running one should stop.
func (s *session) remind(world *projections.World, c *charge, a cluster.Attempt) {
	s.mu.Lock()
	start := a.Started && c.accepted && !c.startTold && !c.busy && !c.settled
	cancel := a.Started && a.CancelAt > 0 && !c.cancelTold && !c.settled
	c.cancelTold = c.cancelTold || cancel
	s.mu.Unlock()
	if start {
		s.start(c)
	}
	if cancel {
		signal, grace := s.g.cancelPolicy(s.ctx, c.key)
		s.tell(cancelMessage(c.ref, signal, grace, reasonCancelled))
	}
}

// lose ends attempts that were started and that the agent does not have.
func (s *session) lose(lost []commands.Loss) bool {
	if len(lost) == 0 {
		return true
	}
	var failed error
	err := s.command(func(ctx context.Context) error {
		_, errs := s.g.config.Commands.LoseJobs(ctx, s.caller(0), lost)
		for _, err := range errs {
			if !final(err) {
				failed = err
			}
		}
		return failed
	})
	if err != nil {
		s.logger.Warn("cannot record lost attempts; will try again", "attempts", len(lost), "error", err)
	}
	return err == nil
}

func loss(k joblog.Key) commands.Loss {
	return commands.Loss{Job: k.Job, Lose: job.Lose{Attempt: k.Attempt, Cause: "unknown_to_worker"}}
}

// drain tells the agent once to take nothing new and to end.
func (s *session) drain(world *projections.World, w *workers.Worker) {
	s.mu.Lock()
	told := s.drainTold
	s.drainTold = true
	s.mu.Unlock()
	if told {
		return
	}
	var left int64
	if w.Deadline > 0 {
		left = max(1, w.Deadline-world.Time)
	}
	s.tell(&pb.ServerMessage{Body: &pb.ServerMessage_Drain{Drain: &pb.Drain{DeadlineNs: left}}})
}

func cancelMessage(r *pb.AttemptRef, signal string, grace time.Duration, reason string) *pb.ServerMessage {
	return &pb.ServerMessage{Body: &pb.ServerMessage_Cancel{Cancel: &pb.Cancel{
		Ref: r, Signal: signal, GraceNs: int64(grace), Reason: reason,
	}}}
}
