package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

const (
	maxSteps   = 2 * spec.MaxSteps // step updates of one attempt in a session
	maxTasks   = 2*spec.MaxSteps + 8
	retryFirst = 100 * time.Millisecond // after a command could not be given; doubles
	retryMost  = 5 * time.Second

	refusalPause = 100 * time.Millisecond // before a refused assignment goes back; doubles
	refusalMost  = 10 * time.Second
)

// errProtocol is wrapped by what ends the session of an agent that breaks the
// protocol.
var errProtocol = errors.New("protocol violation")

// charge is an attempt that the session has given to its agent, or that the
// agent had when it came. All fields but the first two are guarded by the
// session's mu.
type charge struct {
	key joblog.Key
	ref *pb.AttemptRef

	settled    bool      // over, and stays only until a World says so too
	accepted   bool      // the agent has it, and did not exec it before Start
	answerBy   time.Time // until then it must be accepted or refused
	startTold  bool
	cancelTold bool
	stepsSeen  int
	logLimit   uint64 // bytes of its log, but for words of the agent; 0 is not known yet
	pass       uint64 // the last comparison with the World that found it live

	// Work stands in line here and is done in order, by at most one goroutine.
	tasks []task
	busy  bool

	log, usage flow
}

func newCharge(k joblog.Key, ref *pb.AttemptRef) *charge {
	c := &charge{key: k, ref: ref}
	c.log = flow{charge: c, key: k}
	c.usage = flow{charge: c, key: k.Series()}
	return c
}

// task is one piece of work for an attempt that needs an append. It is tried
// again until its error is final.
type task func(ctx context.Context, s *session, c *charge) error

// final reports whether a command answered for good: giving it again is useless.
func final(err error) bool {
	switch fault.KindOf(err) {
	case fault.Refused, fault.Invalid, fault.NotFound, fault.Conflict, fault.Forbidden, fault.TooLarge:
		return true
	}
	return err == nil
}

// charged returns the charge a message names. For any other attempt the agent is
// told once to stop; nothing it says of that is listened to.
func (s *session) charged(r *pb.AttemptRef) *charge {
	k, ok := key(r)
	if !ok {
		s.stranger(r, false)
		return nil
	}
	c := s.current(k)
	if c == nil {
		s.stranger(r, true)
	}
	return c
}

// current returns the charge of an attempt that is the worker's.
func (s *session) current(k joblog.Key) *charge {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.charges[k]; c != nil && !c.settled {
		return c
	}
	return nil
}

// stranger answers a message about an attempt that is not, or no longer, this
// worker's.
func (s *session) stranger(r *pb.AttemptRef, wellFormed bool) {
	s.mu.Lock()
	s.strangers++
	n := s.strangers
	s.mu.Unlock()
	if n&(n-1) == 0 { // the first, second, fourth, …
		s.logger.Warn("agent speaks of an attempt that is not its own",
			"job", text(r.GetJob(), maxName), "attempt", r.GetAttempt(), "times", n)
	}
	if wellFormed {
		s.offer(cancelMessage(r, "", 0, reasonFenced))
	}
}

// push puts work into the attempt's line.
func (s *session) push(c *charge, t task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(c.tasks) >= maxTasks {
		return fmt.Errorf("%w: %d messages about job %s wait", errProtocol, len(c.tasks), c.key.Job)
	}
	c.tasks = append(c.tasks, t)
	if !c.busy {
		c.busy = true
		s.work.Go(func() { s.serve(c) })
	}
	return nil
}

// serve does the attempt's work until none is left.
func (s *session) serve(c *charge) {
	for {
		s.mu.Lock()
		if len(c.tasks) == 0 || s.ctx.Err() != nil {
			c.busy = false
			s.mu.Unlock()
			return
		}
		t := c.tasks[0]
		c.tasks = c.tasks[1:]
		s.mu.Unlock()
		for wait := retryFirst; ; wait = min(2*wait, retryMost) {
			err := t(s.ctx, s, c)
			if final(err) || s.ctx.Err() != nil {
				break
			}
			s.logger.Warn("cannot record what an agent reports; will try again", "job", c.key.Job, "error", err)
			if !s.pause(wait) {
				break
			}
		}
	}
}

// pause waits, and reports whether the session still lives then.
func (s *session) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// command gives a command. It is not abandoned when the session ends: who waits
// for the session's end can rely on it that nothing comes later.
func (s *session) command(give func(ctx context.Context) error) error {
	select {
	case s.slots <- struct{}{}:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	defer func() { <-s.slots }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), commandLimit)
	defer cancel()
	return give(ctx)
}

// settle ends an attempt's part of the session. What the agent still says of it
// is a stranger's. It is remembered until a World is seen that says the same, so
// that an older one does not bring it back.
func (s *session) settle(c *charge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.settled = true
	s.land(&c.log)
	s.land(&c.usage)
}

// forget drops an attempt as if this session had never known it, and has owe look
// at it.
func (s *session) forget(c *charge) {
	s.settle(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.charges, c.key)
	poke(s.wake)
}

// fence settles an attempt that is not the worker's any more and makes the agent
// stop it.
func (s *session) fence(c *charge) {
	s.settle(c)
	s.tell(cancelMessage(c.ref, "", 0, reasonFenced))
}

// logWords is how many bytes beyond its limit an agent may add to a log, to tell of
// it.
const logWords = 512

// withinLimit refuses bytes above what is kept of an attempt's output. The agent
// drops these itself, so one that sends them breaks the protocol.
func (s *session) withinLimit(c *charge, end uint64) error {
	s.mu.Lock()
	limit := c.logLimit
	s.mu.Unlock()
	if limit == 0 { // the agent had the attempt before this session
		spec, err := s.g.config.Commands.Spec(s.ctx, c.key.Job)
		if err != nil {
			return err
		}
		limit = spec.KeptOutput()
		s.mu.Lock()
		c.logLimit = limit
		s.mu.Unlock()
	}
	if end > limit+logWords {
		return fmt.Errorf("%w: job %s has a log of %d bytes, its limit is %d", errProtocol, c.key.Job, end, limit)
	}
	return nil
}
