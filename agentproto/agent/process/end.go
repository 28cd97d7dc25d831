package process

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// DrainLimit is how long the output may stay open after the main process has
	// ended, before whoever holds it is killed: also while nobody takes the output,
	// such as a server that is away. What they wrote until then is kept.
	DrainLimit = 2 * time.Second

	exitOfKilledChild = 128 + int(syscall.SIGKILL) // what a shell exits with whose child was killed
)

// Exit is how a process ended.
type Exit struct {
	Code   int    // of the main process; -1 if a signal ended it
	Signal string // that ended the main process, such as KILL; else empty

	Forced      bool // the grace after Stop had passed, and it was killed
	Stopped     bool // Signal or Kill was called before the main process ended
	OutOfMemory bool // the kernel killed one of its processes for lack of memory

	Killed  int  // descendants that outlived the main process and had to be killed
	Escaped bool // some could not be killed, such as one that hangs in the kernel

	Took    time.Duration // until the main process ended
	CPU     time.Duration // of all descendants that were waited for
	PeakRSS uint64        // bytes, of the largest process that was waited for; 0 is unknown
}

// Wait returns when the main process has ended, all output was handed on, and
// nothing of the process is left.
func (p *Process) Wait() Exit {
	p.awaitMain()
	exit := Exit{Took: time.Since(p.started)}
	p.outputs.endWithin(DrainLimit)
	exit.Killed, exit.Escaped = p.sweep()
	if !p.outputs.waitAtMost(DrainLimit) {
		// Somebody outside of the tree holds the output, or one that can't be
		// killed.
		p.outputs.close()
		<-p.outputs.ended
	}
	p.reap(&exit)
	return exit
}

// awaitMain leaves the main process unreaped, so that its pid, which is also the
// number of its group, stays taken.
func (p *Process) awaitMain() {
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

func (p *Process) reap(exit *Exit) {
	p.mu.Lock()
	state, err := p.main.Wait()
	p.reaped = true
	if p.killer != nil {
		p.killer.Stop()
	}
	exit.Stopped, exit.Forced = p.stopped, p.forced
	killed := p.killed
	p.mu.Unlock()
	p.host.forget(p)
	if err != nil {
		exit.Code = -1
		return
	}
	p.describe(exit, state, killed)
}

func (p *Process) describe(exit *Exit, state *os.ProcessState, killed bool) {
	exit.Code = state.ExitCode()
	exit.CPU = state.UserTime() + state.SystemTime() + p.OrphanCPU()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		exit.Signal = signalName(status.Signal())
	}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		exit.PeakRSS = peakRSS(usage)
	}
	if kills, ok := p.host.oom(); ok && kills > p.oomKills && !killed {
		exit.OutOfMemory = exit.Signal == "KILL" || exit.Code == exitOfKilledChild
	}
}

// peakRSS: until its exec a process counts its parent's memory as its own, so
// only what is above this program's peak is the job's.
func peakRSS(usage *syscall.Rusage) uint64 {
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil || usage.Maxrss <= self.Maxrss {
		return 0
	}
	return uint64(usage.Maxrss) << 10
}
