package agent

import (
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/attempt"
	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// send is the only one that sends. What matters to the server's judgement goes
// first: beats, replies and steps; then a chunk of the attempt whose turn it is;
// then results whose output has gone.
func (s *session) send(ctx context.Context) error {
	beats := time.NewTicker(s.heartbeat)
	defer beats.Stop()
	beat := func() error { return s.inTurn(s.beat) }
	if err := beat(); err != nil {
		return err
	}
	for {
		select {
		case <-beats.C:
			if err := beat(); err != nil {
				return err
			}
		default:
		}
		var sent bool
		err := s.inTurn(func() (err error) { sent, err = s.round(); return err })
		if err != nil {
			return err
		}
		if sent {
			continue
		}
		if s.agent.drained() {
			_ = s.stream.CloseSend() // the session ends either way
			return errDrained
		}
		select {
		case <-s.agent.changed:
		case <-s.agent.outbox.Wake():
		case <-beats.C:
			if err := beat(); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// round sends all that is short and one chunk, and reports whether it sent
// anything.
func (s *session) round() (bool, error) {
	attempts := s.agent.held()
	before := s.requests
	if err := s.sendReplies(); err != nil {
		return false, err
	}
	for _, at := range attempts {
		if err := s.sendUpdates(at); err != nil {
			return false, err
		}
	}
	if piece, ok := s.agent.outbox.Take(); ok {
		if err := s.sendChunk(piece); err != nil {
			return false, err
		}
	}
	for _, at := range attempts {
		if err := s.sendResult(at); err != nil {
			return false, err
		}
	}
	return s.requests != before, nil
}

func (s *session) sendReplies() error {
	s.mu.Lock()
	replies := s.replies
	s.replies = nil
	s.mu.Unlock()
	for _, accept := range replies {
		if err := s.write(&agentprotov1.AgentMessage{Body: &agentprotov1.AgentMessage_Accept{Accept: accept}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) sendUpdates(at *attempt.Attempt) error {
	told := s.toldOf(at)
	for _, update := range at.Updates(told.updates) {
		if err := s.write(&agentprotov1.AgentMessage{Body: &agentprotov1.AgentMessage_Step{Step: update}}); err != nil {
			return err
		}
		told.updates++
	}
	return nil
}

func (s *session) sendChunk(piece outbox.Piece) error {
	return s.write(&agentprotov1.AgentMessage{Body: &agentprotov1.AgentMessage_Chunk{Chunk: &agentprotov1.Chunk{
		Ref:    ref(piece.Key),
		Tag:    agentprotov1.Tag(piece.Tag),
		Offset: piece.Offset,
		TimeNs: piece.Time,
		Data:   piece.Data,
	}}})
}

// sendResult sends it once a session, after all output and all steps.
func (s *session) sendResult(at *attempt.Attempt) error {
	told := s.toldOf(at)
	result := at.Result()
	if result == nil || told.result || !at.Box().Sent() || !at.Series().Sent() || len(at.Updates(told.updates)) > 0 {
		return nil
	}
	told.result = true
	return s.write(&agentprotov1.AgentMessage{Body: &agentprotov1.AgentMessage_Result{Result: result}})
}

// toldOf is what was said of an attempt. Attempts that are gone are forgotten
// when there are many.
func (s *session) toldOf(at *attempt.Attempt) *told {
	if t := s.told[at]; t != nil {
		return t
	}
	if len(s.told) > 2*maxAttempts {
		held := s.agent.held()
		maps.DeleteFunc(s.told, func(at *attempt.Attempt, _ *told) bool { return !slices.Contains(held, at) })
	}
	t := &told{}
	s.told[at] = t
	return t
}

// beat says that this agent lives, and what it and its attempts use.
func (s *session) beat() error {
	a := s.agent
	node := a.machine.Use()
	beat := &agentprotov1.AgentBeat{
		TimeNs: time.Now().UnixNano(),
		Node: &agentprotov1.NodeUsage{
			CpuMilli: node.CPUMilli, MemoryBytes: node.Memory, DiskFreeBytes: node.DiskFree,
		},
	}
	if stat, err := procfs.ReadStat(os.Getpid()); err == nil {
		beat.MemoryBytes = stat.RSSBytes
	}
	for _, at := range a.held() {
		if usage, ok := a.sampler.Report(at.Key()); ok && !at.Fenced() {
			m := attempt.UsageMessage(at.Ref(), usage)
			m.Stalled = at.Box().Stalled()
			beat.Attempts = append(beat.Attempts, m)
		}
	}
	return s.write(&agentprotov1.AgentMessage{Body: &agentprotov1.AgentMessage_Beat{Beat: beat}})
}
