package process

import (
	"strings"
	"syscall"

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

// Signal sends a signal to the main process's group and to every descendant that
// has left its tree. It does nothing once the process has ended.
func (p *Process) Signal(signal syscall.Signal) {
	p.each(
		func() {
			_ = unix.Kill(-p.pid, signal)
			_ = unix.Kill(-p.pid, unix.SIGCONT) // a stopped one would never hear it
		},
		func(orphan int) {
			if stat, err := procfs.ReadStat(orphan); err != nil || stat.Group == p.pid {
				return // heard it with its group; a second one often means "at once"
			}
			_ = unix.Kill(orphan, signal)
			_ = unix.Kill(orphan, unix.SIGCONT)
		})
}

// Kill ends the process with all its descendants at once; Wait then returns.
func (p *Process) Kill() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	p.each(
		func() { killTree(p.pid, nil) },
		func(orphan int) { killTree(orphan, nil) })
}

// each calls main, then orphan for each descendant that has left the tree, while
// none of their pids can become another's.
func (p *Process) each(main func(), orphan func(pid int)) {
	p.host.sweeping.Lock()
	defer p.host.sweeping.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return
	}
	p.stopped = p.stopped || !p.over
	main()
	orphans, known := p.host.list()
	for _, pid := range orphans {
		if p.host.owner(pid, known) == p {
			orphan(pid)
		}
	}
}
