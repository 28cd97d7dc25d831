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
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	child, err := os.StartProcess("/proc/self/exe", g.Argv, &os.ProcAttr{
		Env:   g.Env,
		Files: append([]*os.File{h.null, os.Stdout, os.Stderr}, g.Files...),
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM},
	})
	if err != nil {
		return 0, fmt.Errorf("cannot start the guarded program: %w", err)
	}
	for _, f := range g.Files {
		f.Close()
	}
	state, err := await(child, signals)
	h.sweep(func(int, []*Process) (*Process, bool) { return nil, true })
	if err != nil {
		return 0, err
	}
	return exitStatus(state), nil
}

func await(child *os.Process, signals <-chan os.Signal) (*os.ProcessState, error) {
	type end struct {
		state *os.ProcessState
		err   error
	}
	ended := make(chan end, 1)
	go func() {
		state, err := child.Wait()
		ended <- end{state, err}
	}()
	for {
		select {
		case s := <-signals:
			_ = child.Signal(s) // it may have just ended
		case e := <-ended:
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
