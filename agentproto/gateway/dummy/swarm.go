package dummy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
)

const beatEvery = 5 * time.Second

// Swarm is a number of agents that accept each job and finish it at once.
type Swarm struct {
	Address string
	Pin     authority.Pin
	Tokens  []string // one an agent
	Slots   int      // jobs of 100 thousandths of a CPU an agent has room for; 0 is 640
	Output  []byte   // what each job prints

	lives atomic.Uint64

	mu   sync.Mutex
	goal uint64        // of who waits
	met  chan struct{} // closed when lives reaches goal; nil while nobody waits
}

// Lives returns how many jobs were finished and acknowledged.
func (w *Swarm) Lives() uint64 { return w.lives.Load() }

// WaitFor waits until that many jobs were finished and acknowledged, or ctx ends.
// One goroutine at a time may wait.
func (w *Swarm) WaitFor(ctx context.Context, lives uint64) {
	w.mu.Lock()
	w.goal, w.met = lives, make(chan struct{})
	met := w.met
	w.mu.Unlock()
	if w.Lives() >= lives {
		return
	}
	select {
	case <-met:
	case <-ctx.Done():
	}
}

func (w *Swarm) count() {
	lives := w.lives.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.met != nil && lives >= w.goal {
		close(w.met)
		w.met = nil
	}
}

// Run connects the agents and serves until ctx ends or one of them fails.
func (w *Swarm) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var agents sync.WaitGroup
	for _, token := range w.Tokens {
		a := New(w.Address, w.Pin, token)
		if w.Slots > 0 {
			a.Facts.Capacity.CpuMilli = uint64(w.Slots) * 100
		}
		agents.Go(func() {
			if err := w.serve(ctx, a); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	agents.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// serve is one agent. It connects once; when it is told to come back later it
// does.
func (w *Swarm) serve(ctx context.Context, a *Agent) error {
	s, err := a.Connect(ctx)
	var refused *RefusedError
	for errors.As(err, &refused) && !refused.GetFinal() {
		select {
		case <-time.After(time.Duration(refused.GetRetryAfterNs())):
		case <-ctx.Done():
			return nil
		}
		s, err = a.Connect(ctx)
	}
	if err != nil {
		return err
	}
	defer s.Cut()
	beat := time.Now()
	for {
		m, err := s.Receive()
		if err != nil {
			return err
		}
		if now := time.Now(); now.Sub(beat) >= beatEvery { // the server's own beats see to it that this is looked at
			beat = now
			if err := s.Send(&pb.AgentBeat{TimeNs: now.UnixNano()}); err != nil {
				return err
			}
		}
		if err := w.answer(s, m); err != nil {
			return err
		}
	}
}

func (w *Swarm) answer(s *Session, m *pb.ServerMessage) error {
	switch {
	case m.GetAssign() != nil:
		return s.Send(&pb.Accept{Ref: m.GetAssign().GetRef()})
	case m.GetStart() != nil:
		ref := m.GetStart().GetRef()
		if len(w.Output) > 0 {
			err := s.Send(&pb.Chunk{Ref: ref, Tag: pb.Tag_TAG_STDOUT, TimeNs: time.Now().UnixNano(), Data: w.Output})
			if err != nil {
				return err
			}
		}
		return s.Send(&pb.Result{Ref: ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: uint64(len(w.Output))})
	case m.GetResultAck() != nil:
		w.count()
	}
	return nil
}
