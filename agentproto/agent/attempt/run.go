package attempt

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/workspace"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// States of a step, and outcomes and causes of an attempt, as the protocol
// names them.
const (
	stateRunning   = "running"
	stateSucceeded = "succeeded"
	stateFailed    = "failed"
	stateTimedOut  = "timed_out"
	stateCancelled = "cancelled"
	stateSkipped   = "skipped"

	causeExit        = "exit"
	causeSignal      = "signal"
	causeOutOfMemory = "out_of_memory"
	causeCannotStart = "cannot_start"
	causeDiskFull    = "disk_full"
	causeByWorker    = "stopped_by_worker"
)

const (
	defaultSignal = unix.SIGTERM
	// fullBelow is how little room makes a failure one of a full disk.
	fullBelow = 64 << 10
)

// ending is how a step ended.
type ending struct {
	state  string
	cause  string
	detail string
	exit   process.Exit
	ran    bool // exit tells something

	stopped bool // by what ends the whole attempt
}

// run does all steps and leaves the result.
func (a *Attempt) run(ctx context.Context) {
	begin := time.Now()
	if limit := time.Duration(a.assign.GetTimeLimitNs()); limit > 0 {
		timer := time.AfterFunc(limit, func() {
			stop := a.StopBy(TimedOut)
			stop.Detail = fmt.Sprintf("its time limit of %s has passed", limit)
			a.Cancel(stop)
		})
		defer timer.Stop()
	}
	result := &agentprotov1.Result{Ref: a.Ref(), Outcome: stateSucceeded}
	folder, taken := a.work(ctx, result)
	a.box.Close()
	a.series.Close()
	result.Detail = a.masks.Text(result.Detail)
	a.forget()
	result.EndedAtNs, result.TookNs = time.Now().UnixNano(), int64(time.Since(begin))
	result.EndOffset = a.box.Written()
	if usage, ok := a.parts.Sampler.Remove(a.key); ok {
		result.Usage, result.PeakCpuMilli = UsageMessage(a.Ref(), usage), usage.PeakCPUMilli
	}
	a.mu.Lock()
	a.result = result
	a.mu.Unlock()
	a.parts.Changed()
	if taken {
		a.parts.Workspaces.Release(ctx, folder)
	}
}

// forget overwrites the secrets: the attempt needs them no more, and may be kept
// for as long as its result is not acknowledged.
func (a *Attempt) forget() {
	for _, s := range a.secrets {
		clear(s.Value)
	}
	a.secrets = nil
	a.masks.Forget()
}

// work takes a workspace and does the steps in it, if the attempt may run at all.
// Nothing adds to its masks when it has returned.
func (a *Attempt) work(ctx context.Context, result *agentprotov1.Result) (folder workspace.Folder, taken bool) {
	var err error
	a.masks, err = newMasks(a.secrets, a.parts.Added, a.box)
	if e, stopped := a.stopEnding(); stopped {
		fail(result, e)
		return folder, false
	}
	if err == nil {
		if folder, err = a.parts.Workspaces.Take(); err == nil {
			taken = true
			err = a.listen(ctx, func() { a.steps(folder.Path, result) })
		}
	}
	if err != nil {
		fail(result, ending{state: stateFailed, cause: causeOf(err), detail: err.Error()})
	}
	return folder, taken
}

func causeOf(err error) string {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return causeDiskFull
	}
	return causeCannotStart
}

// steps runs one after the other. After one that failed, or a stop, the others
// are skipped.
func (a *Attempt) steps(folder string, result *agentprotov1.Result) {
	for i, step := range a.assign.GetSteps() {
		if e, stopped := a.stopEnding(); stopped && result.Outcome == stateSucceeded {
			fail(result, e)
		}
		if result.Outcome != stateSucceeded {
			a.note(i, ending{state: stateSkipped})
			continue
		}
		e := a.step(i, folder)
		a.note(i, e)
		result.Killed += uint32(e.exit.Killed)
		result.Forced, result.Escaped = result.Forced || e.exit.Forced, result.Escaped || e.exit.Escaped
		result.Step = uint32(i) + 1
		switch {
		case e.state == stateSucceeded || step.GetContinueOnError() && !e.stopped:
			result.ExitCode = exitCode(e)
		default:
			fail(result, e)
		}
	}
}

func fail(result *agentprotov1.Result, e ending) {
	result.Outcome, result.Cause, result.Detail = e.state, e.cause, e.detail
	result.ExitCode, result.Signal = exitCode(e), e.exit.Signal
}

func exitCode(e ending) *int32 {
	if !e.ran || e.exit.Signal != "" {
		return nil
	}
	code := int32(e.exit.Code)
	return &code
}

// step runs one to its end.
func (a *Attempt) step(i int, folder string) ending {
	a.note(i, ending{state: stateRunning})
	step := a.assign.GetSteps()[i]
	p, err := a.parts.Host.Start(process.Spec{
		Argv:   step.GetArgv(),
		Dir:    folder,
		Env:    a.environment(i, folder),
		TTY:    a.assign.GetTty(),
		Stdout: a.masks.stdout,
		Stderr: a.masks.stderr,
	})
	if err != nil {
		return ending{state: stateFailed, cause: causeOf(err), detail: err.Error()}
	}
	a.parts.Sampler.Attach(a.key, p, a.series)
	a.setCurrent(p)
	exit, late := a.wait(p, time.Duration(step.GetTimeLimitNs()))
	a.masks.endStep()
	a.setCurrent(nil)
	a.parts.Sampler.Detach(a.key, exit)
	return a.judge(exit, late, folder, step)
}

// setCurrent says what a stop must reach. One that came before, it is told now.
func (a *Attempt) setCurrent(p *process.Process) {
	a.mu.Lock()
	a.current = p
	stop := a.stop
	a.mu.Unlock()
	if p != nil && stop.Reason != notStopped {
		halt(p, stop)
	}
}

// wait waits for a step's process, and stops it when the step's time is up.
func (a *Attempt) wait(p *process.Process, limit time.Duration) (exit process.Exit, late bool) {
	exits := make(chan process.Exit, 1)
	go func() { exits <- p.Wait() }()
	var expired <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case exit = <-exits:
		return exit, false
	case <-expired:
	}
	halt(p, a.StopBy(TimedOut))
	exit = <-exits
	return exit, exit.Stopped
}

// judge says what an exit means, given what was asked of the process meanwhile.
// A stop that came after the main process had ended changes nothing.
func (a *Attempt) judge(exit process.Exit, late bool, folder string, step *agentprotov1.Step) ending {
	e := ending{state: stateFailed, exit: exit, ran: true}
	by, stopped := a.stopEnding()
	switch {
	case stopped && exit.Stopped:
		e.state, e.cause, e.detail, e.stopped = by.state, by.cause, by.detail, true
	case late:
		e.state = stateTimedOut
		e.detail = fmt.Sprintf("the step's time limit of %s has passed", time.Duration(step.GetTimeLimitNs()))
	case exit.OutOfMemory:
		e.cause, e.detail = causeOutOfMemory, "the kernel killed a process of it because memory had run out"
	case exit.Signal != "":
		e.cause, e.detail = causeSignal, "ended by signal "+exit.Signal
	case exit.Code != 0 && full(folder):
		e.cause = causeDiskFull
		e.detail = fmt.Sprintf("exit code %d, and the disk of its workspace is full", exit.Code)
	case exit.Code != 0:
		e.cause = causeExit
	default:
		e.state = stateSucceeded
	}
	return e
}

// stopEnding is what the attempt's stop, if there is one, makes of a step.
func (a *Attempt) stopEnding() (ending, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := ending{detail: a.stop.Detail, stopped: true}
	switch a.stop.Reason {
	case notStopped:
		return ending{}, false
	case TimedOut:
		e.state = stateTimedOut
	case ByWorker:
		e.state, e.cause = stateFailed, causeByWorker
	case Cancelled:
		e.state = stateCancelled
	}
	return e, true
}

// StopBy is the way of stopping that the assignment names.
func (a *Attempt) StopBy(reason Reason) Stop {
	signal, ok := process.ParseSignal(a.assign.GetCancelSignal())
	if !ok {
		signal = defaultSignal
	}
	return Stop{Signal: signal, Grace: time.Duration(a.assign.GetCancelGraceNs()), Reason: reason}
}

// note adds to what is told of the steps.
func (a *Attempt) note(i int, e ending) {
	update := &agentprotov1.StepUpdate{
		Ref:       a.Ref(),
		Step:      uint32(i) + 1,
		Name:      a.masks.Text(a.assign.GetSteps()[i].GetName()),
		State:     e.state,
		ExitCode:  exitCode(e),
		Signal:    e.exit.Signal,
		TookNs:    int64(e.exit.Took),
		LogOffset: a.box.Written(),
	}
	a.mu.Lock()
	a.updates = append(a.updates, update)
	a.mu.Unlock()
	a.parts.Changed()
}

// full reports whether a folder's disk has no room worth the name.
func full(folder string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(folder, &stat) == nil && stat.Bavail*uint64(stat.Bsize) < fullBelow
}
