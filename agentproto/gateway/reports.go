package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

const (
	reasonFenced    = "fenced"
	reasonCancelled = "cancelled"

	maxStrangerResults = 256 // of one session that are passed on
)

// chunk puts bytes into the attempt's log, or its series.
func (s *session) chunk(m *pb.Chunk) error {
	c := s.charged(m.GetRef())
	if c == nil {
		return nil
	}
	if m.GetTag() < pb.Tag_TAG_STDOUT || m.GetTag() > pb.Tag_TAG_USAGE || len(m.GetData()) > joblog.MaxPiece {
		return fmt.Errorf("%w: a chunk of %d bytes with tag %d", errProtocol, len(m.GetData()), m.GetTag())
	}
	if m.GetTag() == pb.Tag_TAG_USAGE {
		return s.samples(c, m)
	}
	if err := s.withinLimit(c, m.GetOffset()+uint64(len(m.GetData()))); err != nil {
		return err
	}
	return s.append(&c.log, m)
}

// accept is the agent's answer to Assign.
func (s *session) accept(m *pb.Accept, request uint64) error {
	c := s.charged(m.GetRef())
	if c == nil {
		return nil
	}
	if m.GetRefused() != "" {
		cause := word(m.GetRefused()) + ": " + text(m.GetDetail(), maxDetail)
		return s.push(c, func(ctx context.Context, s *session, c *charge) error {
			return s.giveBack(c, cause, request)
		})
	}
	s.mu.Lock()
	known := c.accepted
	c.accepted = true
	s.refusals = 0
	s.mu.Unlock()
	if known {
		return nil
	}
	return s.push(c, func(ctx context.Context, s *session, c *charge) error {
		return s.permit(ctx, c, request)
	})
}

// permit records that the attempt may run, then tells the agent.
func (s *session) permit(ctx context.Context, c *charge, request uint64) error {
	if _, err := s.takeLog(ctx, &c.log); err != nil {
		if errors.Is(err, joblog.ErrEnded) || errors.Is(err, joblog.ErrFenced) {
			s.fence(c)
			return nil
		}
		return err
	}
	err := s.command(func(ctx context.Context) error {
		return s.g.config.Commands.StartJob(ctx, s.caller(request), c.key.Job,
			job.Start{Attempt: c.key.Attempt, Worker: s.worker.String()})
	})
	switch {
	case err == nil:
		s.start(c)
	case final(err):
		s.fence(c)
	}
	return err
}

// start tells the agent that it may exec.
func (s *session) start(c *charge) {
	s.mu.Lock()
	told := c.startTold
	c.startTold = true
	s.mu.Unlock()
	if !told {
		s.tell(&pb.ServerMessage{Body: &pb.ServerMessage_Start{Start: &pb.Start{Ref: c.ref}}})
	}
}

// giveBack puts a refused assignment back into the queue. An agent that refuses
// one after the other slows that down.
func (s *session) giveBack(c *charge, detail string, request uint64) error {
	s.mu.Lock()
	wait := min(refusalMost, refusalPause<<min(s.refusals, 10))
	s.refusals++
	s.mu.Unlock()
	if !s.pause(wait) {
		return nil
	}
	err := s.command(func(ctx context.Context) error {
		_, errs := s.g.config.Commands.RequeueJobs(ctx, s.caller(request), []commands.Requeue{{
			Job: c.key.Job, Requeue: job.Requeue{Attempt: c.key.Attempt, Cause: "refused_by_worker", Detail: detail},
		}})
		return errs[0]
	})
	if final(err) {
		s.settle(c)
	}
	return err
}

// step records what a step does.
func (s *session) step(m *pb.StepUpdate, request uint64) error {
	c := s.charged(m.GetRef())
	if c == nil {
		return nil
	}
	s.mu.Lock()
	c.stepsSeen++
	seen := c.stepsSeen
	s.mu.Unlock()
	if seen > maxSteps {
		return fmt.Errorf("%w: more than %d step updates of job %s", errProtocol, maxSteps, c.key.Job)
	}
	record := job.RecordStep{
		Attempt: c.key.Attempt, Worker: s.worker.String(),
		Step: m.GetStep(), Name: text(m.GetName(), maxName), State: word(m.GetState()),
		ExitCode: m.ExitCode, Signal: word(m.GetSignal()), Took: max(0, time.Duration(m.GetTookNs())), LogOffset: m.GetLogOffset(),
	}
	return s.push(c, func(_ context.Context, s *session, c *charge) error {
		return s.command(func(ctx context.Context) error {
			return s.g.config.Commands.RecordStep(ctx, s.caller(request), c.key.Job, record)
		})
	})
}

// result takes an attempt's end. One of an attempt that is not the worker's own
// goes to the job nevertheless: it refuses it, and that is recorded.
func (s *session) result(m *pb.Result, request uint64) error {
	k, ok := key(m.GetRef())
	if !ok {
		s.stranger(m.GetRef(), false)
		return nil
	}
	c := s.current(k)
	if c == nil {
		s.strangerResult(k, m, request)
		return nil
	}
	if head := s.g.config.JobLog.Head(k); m.GetEndOffset() > head {
		return fmt.Errorf("%w: job %s ends at %d, its log at %d", errProtocol, k.Job, m.GetEndOffset(), head)
	}
	finish, end := s.finishOf(k, m), m.GetEndOffset()
	return s.push(c, func(ctx context.Context, s *session, c *charge) error {
		err := s.g.config.JobLog.WaitDurable(ctx, c.key, end)
		if err != nil && !errors.Is(err, joblog.ErrEnded) {
			return err
		}
		if err := s.waitUsage(ctx, c); err != nil {
			return err
		}
		return s.finish(c, finish, end, request)
	})
}

// finish records the end of an attempt whose log is whole, and acknowledges it.
func (s *session) finish(c *charge, finish job.Finish, end uint64, request uint64) error {
	err := s.command(func(ctx context.Context) error {
		return s.g.config.Commands.FinishJob(ctx, s.caller(request), c.key.Job, finish)
	})
	if !final(err) {
		return err
	}
	_, live := s.live(s.g.config.Runner.World(), c.key)
	if !live {
		s.g.config.JobLog.Finish(c.key, end)
		s.endUsage(c)
		s.settle(c)
	}
	s.tell(resultAck(c.ref, err))
	if live {
		// A result that can't be: owe ends the attempt, or assigns it anew, and that
		// must reach the agent after the acknowledgement.
		s.forget(c)
	}
	return nil
}

// strangerResult passes on the end of an attempt that is not this session's: one
// that was fenced is refused by its job, which records that.
func (s *session) strangerResult(k joblog.Key, m *pb.Result, request uint64) {
	s.stranger(m.GetRef(), false)
	s.mu.Lock()
	s.strangerResults++
	n := s.strangerResults
	s.mu.Unlock()
	if n > maxStrangerResults {
		return
	}
	finish := s.finishOf(k, m)
	s.work.Go(func() {
		err := s.command(func(ctx context.Context) error {
			return s.g.config.Commands.FinishJob(ctx, s.caller(request), k.Job, finish)
		})
		if final(err) {
			s.tell(resultAck(m.GetRef(), err))
		}
	})
}

func resultAck(r *pb.AttemptRef, err error) *pb.ServerMessage {
	ack := &pb.ResultAck{Ref: r}
	if err != nil {
		ack.Refused = err.Error()
	}
	return &pb.ServerMessage{Body: &pb.ServerMessage_ResultAck{ResultAck: ack}}
}

// finishOf is the command a Result asks for.
func (s *session) finishOf(k joblog.Key, m *pb.Result) job.Finish {
	return job.Finish{
		Attempt: k.Attempt, Worker: s.worker.String(),
		Outcome: word(m.GetOutcome()), Cause: word(m.GetCause()), Detail: text(m.GetDetail(), maxDetail), Step: m.GetStep(),
		Ending: &eventv1.Ending{
			ExitCode: m.ExitCode, Signal: word(m.GetSignal()), EndOffset: m.GetEndOffset(), Killed: m.GetKilled(),
			EndedAtNs: m.GetEndedAtNs(), TookNs: max(0, m.GetTookNs()), Usage: usageOf(m),
			Forced: m.GetForced(), Escaped: m.GetEscaped(),
		},
	}
}

func usageOf(m *pb.Result) *eventv1.Usage {
	u := m.GetUsage()
	if u == nil && m.GetPeakCpuMilli() == 0 {
		return nil
	}
	usage := &eventv1.Usage{}
	if u != nil {
		usage.PeakMemoryBytes, usage.CpuNs = u.PeakMemoryBytes, u.CpuNs
		usage.NetReceivedBytes, usage.NetSentBytes = u.NetReceivedBytes, u.NetSentBytes
		usage.DiskReadBytes, usage.DiskWrittenBytes = u.DiskReadBytes, u.DiskWrittenBytes
	}
	if peak := m.GetPeakCpuMilli(); peak > 0 {
		usage.PeakCpuMilli = &peak
	}
	return usage
}

// beat reports what the agent uses. Attempts that are not its own are left out.
func (s *session) beat(m *pb.AgentBeat) {
	sample := telemetry.Sample{AgentMemory: telemetry.Measured(m.GetMemoryBytes())}
	if n := m.GetNode(); n != nil {
		sample.CPU, sample.Memory = telemetry.GaugeOf(n.CpuMilli), telemetry.GaugeOf(n.MemoryBytes)
		sample.DiskFree = telemetry.GaugeOf(n.DiskFreeBytes)
	}
	for _, u := range m.GetAttempts() {
		k, ok := key(u.GetRef())
		if !ok || s.current(k) == nil || len(sample.Attempts) == maxHeld {
			continue
		}
		sample.Attempts = append(sample.Attempts, telemetry.Attempt{
			Job: k.Job, Attempt: k.Attempt,
			CPU: telemetry.GaugeOf(u.CpuMilli), CPUTime: telemetry.GaugeOf(u.CpuNs),
			Memory: telemetry.GaugeOf(u.MemoryBytes), PeakMemory: telemetry.GaugeOf(u.PeakMemoryBytes),
			NetReceived: telemetry.GaugeOf(u.NetReceivedBytes), NetSent: telemetry.GaugeOf(u.NetSentBytes),
			DiskRead: telemetry.GaugeOf(u.DiskReadBytes), DiskWritten: telemetry.GaugeOf(u.DiskWrittenBytes),
			Processes: u.GetProcesses(), Stalled: u.GetStalled(), WaitsForInput: u.GetWaitsForInput(),
		})
	}
	s.g.config.Telemetry.Report(s.worker, s.g.config.Clock().UnixNano(), sample)
}
