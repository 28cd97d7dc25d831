package process

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// ExitOfSignal is added to a signal's number to make an exit status of it.
const ExitOfSignal = 128

// Guarded is a program that runs under guard.
type Guarded struct {
	Argv  []string
	Env   []string
	Files []*os.File // open in it as descriptors 3 and up; closed here once it runs
}

// Guard runs this very program again, as leader of a session without a terminal,
// and returns its exit status. When that program dies, of whatever, all
// processes it leaves are given to the guard, which kills them: a dead agent's
// jobs don't run on. Signals that ask to end are passed on. If the guard dies
// first, the program is asked to end.
//
// Nothing else may run in the guard's program; it calls Guard from its main
// goroutine.
func Guard(g Guarded) (status int, err error) {
	// The kernel's "parent died" signal is of the thread that forked, so that
	// thread must last.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h, err := NewHost(nil)
	if err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 8) // as many as may come before the program runs
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGCHLD)
	child, err := h.guard(g)
	if err != nil {
		return 0, err
	}
	state, err := h.await(child, signals)
	h.sweep(func(int, []*Process) (*Process, bool) { return nil, true })
	if err != nil {
		return 0, err
	}
	return exitStatus(state), nil
}

// guard starts the program as a known child, so that no pass takes it for an
// orphan.
func (h *Host) guard(g Guarded) (*Process, error) {
	h.starting.Lock()
	defer h.starting.Unlock()
	child, err := os.StartProcess("/proc/self/exe", g.Argv, &os.ProcAttr{
		Env:   g.Env,
		Files: append([]*os.File{h.null, os.Stdout, os.Stderr}, g.Files...),
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM},
	})
	for _, f := range g.Files {
		f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start the guarded program: %w", err)
	}
	p := &Process{host: h, main: child, pid: child.Pid}
	h.known[p.pid] = p
	return p, nil
}

// await passes signals on until the program has ended. A guard that is the first
// process of a container is given all orphans there, and reaps them.
func (h *Host) await(p *Process, signals <-chan os.Signal) (*os.ProcessState, error) {
	type end struct {
		state *os.ProcessState
		err   error
	}
	ended := make(chan end, 1)
	go func() {
		state, err := p.main.Wait()
		ended <- end{state, err}
	}()
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGCHLD {
				h.Trees() // which reaps what has ended
				continue
			}
			_ = p.main.Signal(s) // it may have just ended
		case e := <-ended:
			h.forget(p)
			return e.state, e.err
		}
	}
}

func exitStatus(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return ExitOfSignal + int(status.Signal())
	}
	return state.ExitCode()
}

// Harden keeps others of the same user from reading this program's memory and
// environment.
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot protect the agent's memory: %w", err)
	}
	return nil
}
