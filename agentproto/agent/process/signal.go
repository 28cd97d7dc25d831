package process

import (
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

// ParseSignal knows signals by their names, such as TERM or SIGTERM.
func ParseSignal(name string) (syscall.Signal, bool) {
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	signal := unix.SignalNum(name)
	return signal, signal != 0
}

func signalName(signal syscall.Signal) string {
	if name := unix.SignalName(signal); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return signal.String() // a real-time signal
}

// Signal sends a signal to all of the process: its main process's group, and
// every descendant outside of that. It does nothing once the process has ended.
func (p *Process) Signal(signal syscall.Signal) {
	p.each(func(root int) {
		for _, pid := range descendants(root) {
			if pid == p.pid {
				send(-p.pid, signal)
				continue
			}
			if stat, err := procfs.ReadStat(pid); err == nil && stat.Group != p.pid {
				send(pid, signal) // else it heard with its group; a second time often means "at once"
			}
		}
	})
}

// Stop asks the process to end: by the signal now, by Kill after the grace. Asked
// again it doesn't hear the same signal again, and of several graces the one that
// ends first counts. So whoever isn't sure of having asked may ask again.
func (p *Process) Stop(signal syscall.Signal, grace time.Duration) {
	if grace <= 0 {
		p.Kill()
		return
	}
	p.mu.Lock()
	again := slices.Contains(p.asked, signal)
	if !again {
		p.asked = append(p.asked, signal)
	}
	end := time.Now().Add(grace)
	switch {
	case p.killer == nil:
		p.killAt, p.killer = end, time.AfterFunc(grace, p.force)
	case end.Before(p.killAt):
		p.killAt = end
		p.killer.Reset(grace)
	}
	p.mu.Unlock()
	if !again {
		p.Signal(signal)
	}
}

// force is Kill, when a grace has passed.
func (p *Process) force() {
	p.mu.Lock()
	p.forced = p.forced || !p.over && p.runs()
	p.mu.Unlock()
	p.Kill() // which is nothing once it has ended
}

// send also wakes who is stopped, who would never hear the signal.
func send(pid int, signal syscall.Signal) {
	_ = unix.Kill(pid, signal)
	_ = unix.Kill(pid, unix.SIGCONT)
}

// descendants is a tree, root first.
func descendants(root int) []int {
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		children, _ := procfs.Children(tree[i]) // none if it has ended
		tree = append(tree, children...)
	}
	return tree
}

// Kill ends the process with all its descendants at once; Wait then returns.
func (p *Process) Kill() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	p.each(func(root int) { killTree(root, nil) })
}

// each calls f with the main process and each descendant that has left its tree,
// while none of their pids can become another's.
func (p *Process) each(f func(root int)) {
	p.host.sweeping.Lock()
	defer p.host.sweeping.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return
	}
	p.stopped = p.stopped || !p.over && p.runs()
	f(p.pid)
	orphans, known := p.host.list()
	for _, pid := range orphans {
		if owner, _ := p.host.owner(pid, known); owner == p {
			f(pid)
		}
	}
}

// runs says whether the main process has not ended, though Wait may not have seen
// that yet: a job that ended by itself was not stopped.
func (p *Process) runs() bool { return procfs.Alive(p.pid) }
