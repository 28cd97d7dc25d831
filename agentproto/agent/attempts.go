package agent

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/attempt"
	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// maxAttempts is how many an agent has at most, those included whose results
// the server hasn't acknowledged.
const maxAttempts = 4096

// maxAdded is how many bytes all jobs together may add to what is masked, of which
// one job has half at most; a secret counts for 128 more than it has. The forms of
// so many take some 20 MB.
const maxAdded = 160 << 10

// fencedGrace is what an attempt gets that the server has given up and says no
// more of.
const fencedGrace = 2 * time.Second

// attemptParts are what all attempts share.
func (a *Agent) attemptParts(host *process.Host) attempt.Parts {
	return attempt.Parts{
		Host:       host,
		Outbox:     a.outbox,
		Workspaces: a.workspaces,
		Sampler:    a.sampler,
		Sockets:    a.sockets,
		Added:      mask.NewBudget(maxAdded),
		Program:    a.config.Program,
		Inherited:  attempt.Inherited(a.config.Environment),
		Changed:    a.change,
	}
}

func keyOf(ref *agentprotov1.AttemptRef) outbox.Key {
	return outbox.Key{Job: ref.GetJob(), Attempt: ref.GetAttempt()}
}

// find gives an attempt this agent has, or nil.
func (a *Agent) find(key outbox.Key) *attempt.Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.findLocked(key)
}

func (a *Agent) findLocked(key outbox.Key) *attempt.Attempt {
	for _, at := range a.attempts {
		if at.Key() == key {
			return at
		}
	}
	return nil
}

// held is all attempts, in the order they came.
func (a *Agent) held() []*attempt.Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.attempts)
}

// assign takes an attempt, or says why not. One that it has is taken again.
func (a *Agent) assign(m *agentprotov1.Assign) *agentprotov1.Accept {
	a.mu.Lock()
	defer a.mu.Unlock()
	reply := &agentprotov1.Accept{Ref: m.GetRef()}
	if at := a.findLocked(keyOf(m.GetRef())); at != nil {
		if at.Fenced() || at.Disowned() {
			reply.Refused, reply.Detail = "cannot_prepare", "this attempt was given up here"
		}
		return reply
	}
	if a.draining {
		reply.Refused = "draining"
		return reply
	}
	if lacking := a.lacking(m.GetResources()); lacking != "" {
		reply.Refused, reply.Detail = "no_room", lacking
		return reply
	}
	at, err := attempt.New(a.parts, m)
	if err != nil {
		reply.Refused, reply.Detail = "cannot_prepare", err.Error()
		return reply
	}
	a.attempts = append(a.attempts, at)
	a.running.Go(func() {
		at.Run(a.work)
		if at.Fenced() {
			a.remove(at)
		}
	})
	return reply
}

// lacking says what there isn't enough of for an attempt; a.mu is held.
func (a *Agent) lacking(need *agentprotov1.Resources) string {
	if len(a.attempts) >= maxAttempts {
		return fmt.Sprintf("this agent has %d attempts already", len(a.attempts))
	}
	cpu, memory := need.GetCpuMilli(), need.GetMemoryBytes()
	for _, at := range a.attempts {
		if at.Phase() != agentprotov1.Phase_PHASE_ENDED {
			cpu += at.Resources().GetCpuMilli()
			memory += at.Resources().GetMemoryBytes()
		}
	}
	capacity := a.config.Facts.capacity()
	switch {
	case cpu > capacity.GetCpuMilli():
		return fmt.Sprintf("%d thousandths of a CPU would be in use, there are %d", cpu, capacity.GetCpuMilli())
	case memory > capacity.GetMemoryBytes():
		return fmt.Sprintf("%d bytes of memory would be in use, there are %d", memory, capacity.GetMemoryBytes())
	}
	return ""
}

// cancel stops an attempt as the server says.
func (a *Agent) cancel(m *agentprotov1.Cancel) {
	at := a.find(keyOf(m.GetRef()))
	if at == nil {
		return
	}
	stop := at.StopBy(attempt.Cancelled)
	if signal, ok := process.ParseSignal(m.GetSignal()); ok {
		stop.Signal = signal
	}
	stop.Grace = time.Duration(m.GetGraceNs())
	if m.GetReason() == "fenced" {
		a.fence(at, stop)
		return
	}
	at.Cancel(stop)
}

// fence stops an attempt that the server has given up.
func (a *Agent) fence(at *attempt.Attempt, stop attempt.Stop) {
	at.Fence(stop)
	select {
	case <-at.Ended():
		a.remove(at)
	default: // removed once it has ended
	}
}

// judgeAll does what a Welcome says. What it doesn't speak of, the server doesn't
// know.
func (a *Agent) judgeAll(w *agentprotov1.Welcome) {
	judged := map[outbox.Key]bool{}
	for _, v := range w.GetVerdicts() {
		judged[keyOf(v.GetRef())] = true
		a.judge(v, w.GetTakesUsage())
	}
	for _, at := range a.held() {
		if !judged[at.Key()] && !at.Fenced() {
			a.judge(&agentprotov1.Verdict{Ref: at.Ref(), Reason: "the server knows nothing of it"}, false)
		}
	}
}

// judge does what a Welcome says of an attempt.
func (a *Agent) judge(v *agentprotov1.Verdict, takesUsage bool) {
	at := a.find(keyOf(v.GetRef()))
	if at == nil {
		return
	}
	reason := v.GetReason()
	if v.GetKeep() {
		err := at.Box().Resume(v.GetHave())
		if err == nil {
			if takesUsage {
				a.resumeSeries(at, v.GetHaveUsage())
			}
			if v.GetStarted() {
				at.Start()
			}
			return
		}
		reason = err.Error()
	}
	a.config.Logger.Warn("dropping an attempt", "job", v.GetRef().GetJob(), "attempt", v.GetRef().GetAttempt(), "cause", reason)
	if !at.Disown() {
		a.fence(at, a.fencedStop(reason))
	}
}

// resumeSeries goes on with an attempt's series. If that can't be, the rest of it is
// lost: no reason to stop a job.
func (a *Agent) resumeSeries(at *attempt.Attempt, have uint64) {
	if err := at.Series().Resume(have); err != nil {
		a.config.Logger.Warn("an attempt's use is not told any more", "job", at.Ref().GetJob(), "attempt", at.Ref().GetAttempt(), "cause", err)
		at.Series().Drop()
	}
}

func (a *Agent) fencedStop(detail string) attempt.Stop {
	return attempt.Stop{Signal: syscall.SIGTERM, Grace: fencedGrace, Reason: attempt.ByWorker, Detail: detail}
}

// acknowledged forgets an attempt whose result is recorded, or refused for good.
func (a *Agent) acknowledged(m *agentprotov1.ResultAck) {
	at := a.find(keyOf(m.GetRef()))
	if at == nil || at.Phase() != agentprotov1.Phase_PHASE_ENDED {
		return
	}
	if m.GetRefused() != "" {
		a.config.Logger.Warn("the server refused a result", "job", m.GetRef().GetJob(), "attempt", m.GetRef().GetAttempt(), "cause", m.GetRefused())
	}
	at.Drop()
	a.remove(at)
}

func (a *Agent) remove(at *attempt.Attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempts = slices.DeleteFunc(a.attempts, func(other *attempt.Attempt) bool { return other == at })
	a.change()
}

// drain takes no more attempts; the agent ends when it has none.
func (a *Agent) drain() {
	a.mu.Lock()
	a.draining = true
	a.mu.Unlock()
	a.change()
}

func (a *Agent) drained() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.draining && len(a.attempts) == 0
}

// stopAll stops all attempts, each with its own grace but at most limit.
func (a *Agent) stopAll(limit time.Duration, detail string) {
	for _, at := range a.held() {
		stop := at.StopBy(attempt.ByWorker)
		stop.Grace, stop.Detail = min(stop.Grace, limit), detail
		at.Cancel(stop)
	}
}

// abandon stops what is left when the agent itself ends: nobody will hear of it.
func (a *Agent) abandon() {
	for _, at := range a.held() {
		at.Fence(a.fencedStop("the agent ends"))
	}
}

// setOrphaned says whether there is no session. Jobs outlive that for some time.
func (a *Agent) setOrphaned(orphaned bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.orphaned != nil {
		a.orphaned.Stop()
		a.orphaned = nil
	}
	if after := a.orphanAfter; orphaned {
		a.orphaned = time.AfterFunc(after, func() {
			a.stopAll(shutdownGrace, fmt.Sprintf("no server could be reached for %s", after))
		})
	}
}

// killAbandoned ends what jobs of an earlier agent left that died with its guard;
// this agent has the lock of their folder, so it is nobody else's.
func (a *Agent) killAbandoned(work string) {
	if n := process.KillAbandoned(attempt.WorkspaceVariable, work); n > 0 {
		a.config.Logger.Warn("killed what jobs of an earlier agent left", "processes", n)
	}
}
