package gateway

import (
	"context"
	"errors"

	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/cluster"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// welcome records the session, judges what the agent has, and lets it in. No
// older session of the worker is left, so the World it then reads has all that
// one did.
func (s *session) welcome(ctx context.Context, a *applicant) error {
	epoch, err := s.g.config.Commands.ConnectWorker(ctx, s.caller(0), s.worker, worker.Connect{
		Instance: a.hello.GetInstance(), Facts: a.facts,
	})
	if err != nil {
		return err
	}
	s.epoch = epoch
	world := s.g.config.Runner.World()
	verdicts, err := s.judge(ctx, world, a.hello.GetAttempts())
	if err != nil {
		return err
	}
	s.loseUnlisted(world)
	s.times = timesOf(world)
	err = s.transmit(&pb.ServerMessage{Body: &pb.ServerMessage_Welcome{Welcome: &pb.Welcome{
		Protocol: protocol, WorkerId: s.worker.String(), Epoch: epoch,
		WindowAttemptBytes: joblog.DefaultWindow, WindowSessionBytes: windowSession, WindowPieceBytes: joblog.PieceCost,
		HeartbeatNs: int64(Heartbeat), SuspectNs: int64(s.g.config.Suspect),
		ToleranceNs: int64(s.times.tolerance), OrphanAfterNs: int64(s.times.orphanAfter),
		RenewAfterNs: int64(s.g.config.Renew), TakesUsage: true,
		Verdicts: verdicts, ServerTimeNs: s.g.config.Clock().UnixNano(),
	}}})
	if err != nil {
		return err
	}
	s.logger.Info("worker connected", "epoch", epoch, "attempts", len(verdicts))
	return nil
}

// judge applies the restart table to what the agent has. It takes the logs of
// what stays.
func (s *session) judge(ctx context.Context, world *projections.World, listed []*pb.Held) (verdicts []*pb.Verdict, err error) {
	for _, h := range listed {
		k, ok := key(h.GetRef())
		if !ok {
			continue
		}
		v := &pb.Verdict{Ref: ref(k)}
		verdicts = append(verdicts, v)
		if v.Started, v.Reason = s.verdict(world, k, h.GetPhase()); v.Reason != "" {
			continue
		}
		c := newCharge(k, v.Ref)
		c.accepted = true
		c.startTold = v.Started && h.GetPhase() != pb.Phase_PHASE_ACCEPTED // else owe says it again
		if v.Have, err = s.takeLog(ctx, &c.log); err == nil && c.startTold {
			v.HaveUsage, err = s.takeLog(ctx, &c.usage)
		}
		if errors.Is(err, joblog.ErrEnded) || errors.Is(err, joblog.ErrFenced) {
			v.Started, v.Reason = false, reasonFenced
			continue
		}
		if err != nil {
			return nil, err
		}
		v.Keep = true
		s.charges[k] = c
		if !v.Started {
			s.waiting = append(s.waiting, c)
		}
	}
	return verdicts, nil
}

// verdict is the restart table: what becomes of an attempt the agent has, by what
// the log says of it. The reason is empty if it stays.
func (s *session) verdict(world *projections.World, k joblog.Key, phase pb.Phase) (started bool, reason string) {
	a, live := s.live(world, k)
	switch {
	case !live:
		return false, reasonFenced
	case a.Started && phase != pb.Phase_PHASE_UNSPECIFIED:
		return true, ""
	case phase == pb.Phase_PHASE_ACCEPTED:
		return false, ""
	}
	return false, "it was never permitted to run"
}

// live returns the attempt if it is live on this worker.
func (s *session) live(world *projections.World, k joblog.Key) (cluster.Attempt, bool) {
	j, ok := world.Jobs.ByID(k.Job)
	if !ok {
		return cluster.Attempt{}, false
	}
	a, ok := world.Cluster.AttemptOf(j.Position)
	return a, ok && a.Attempt == k.Attempt && a.Node == s.worker
}

// loseUnlisted ends at once what was started here and the agent does not have.
// What was only bound is assigned again.
func (s *session) loseUnlisted(world *projections.World) {
	var lost []commands.Loss
	for a := range world.Cluster.Attempts(s.worker, 0) {
		k := joblog.Key{Job: a.Job, Attempt: a.Attempt}
		if a.Started && s.charges[k] == nil {
			lost = append(lost, loss(k))
		}
	}
	s.lose(lost) // what could not be recorded is found again by owe
}

// abandon takes back a session that did not come to its Welcome.
func (s *session) abandon() {
	s.end(errClosed)
	if s.epoch > 0 {
		s.disconnect(errClosed)
	}
	s.g.sessions.leave(s)
}
