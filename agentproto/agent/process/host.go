// Package process runs the processes of jobs so that their output is kept whole
// and nothing of them is left behind.
//
// A job's main process gets a process group of its own in the agent's session,
// which has no terminal, and never a session of its own: a session leader that
// opens its terminal by name would get it as controlling terminal, and a prompt
// on /dev/tty would wait for ever instead of failing at once.
//
// Whatever leaves the main process's tree is given to this process, which is a
// subreaper. It is known by a mark that every descendant inherits (see mark.go),
// or by what it was seen to descend from (see owner.go).
// The end of a process is always the same: wait for the main process, give its
// output time to end, kill what is left, read the output to its end, reap the
// main process. Until that last step its pid stays taken, so that a signal to
// its group can't reach a stranger.
package process

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

const firstFree = 3 // descriptors below are standard input, output and error

// Host is this program as the parent of jobs' processes. There must be only one
// in a program, since children belong to the whole of it, and nothing else in
// the program may start processes while it is used. It is safe for concurrent
// use.
type Host struct {
	self int
	null *os.File // standard input of every job
	oom  func() (kills uint64, ok bool)

	// starting makes a fork and the entry in known one step for whoever lists
	// children. It is held while a program is being exec'd.
	starting sync.Mutex
	known    map[int]*Process // direct children that were started here, by pid
	serial   uint32           // mark of the newest

	// sweeping is held by a pass over orphans. Only a pass reaps them, so the
	// pids it has listed stay theirs.
	sweeping sync.Mutex
	traces   map[identity]*trace // guarded by sweeping; of orphans, and of descendants that were seen
}

// NewHost makes this program a subreaper. oom counts the processes that were
// killed for lack of memory around this program; nil or ok = false if that can't
// be known.
func NewHost(oom func() (kills uint64, ok bool)) (*Host, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("cannot become the parent of orphaned processes: %w", err)
	}
	// Descriptors that this program was itself started with are not for jobs.
	// Kernels before 5.11 can't do this at once; there the starter must see to it.
	_ = unix.CloseRange(firstFree, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	if oom == nil {
		oom = func() (uint64, bool) { return 0, false }
	}
	return &Host{
		self:   os.Getpid(),
		null:   null,
		oom:    oom,
		known:  map[int]*Process{},
		traces: map[identity]*trace{},
		serial: rand.Uint32N(maxMark),
	}, nil
}

// Tree is where the processes of a job hang: its main process, and those that
// have left the tree of that.
type Tree struct {
	Process *Process
	Main    int
	Orphans []int
}

// Trees lists the running processes. It also reaps orphans that have ended and
// kills those whose process has ended without them, so it should be called now
// and then.
func (h *Host) Trees() []Tree {
	h.sweeping.Lock()
	defer h.sweeping.Unlock()
	orphans, known := h.list()
	trees := make([]Tree, 0, len(known))
	for _, p := range known {
		trees = append(trees, Tree{Process: p, Main: p.pid})
	}
	for _, pid := range orphans {
		owner, nobodys := h.owner(pid, known)
		if h.reap(pid, owner) {
			continue
		}
		if nobodys {
			killTree(pid, nil)
			continue
		}
		for i := range trees {
			if trees[i].Process == owner {
				trees[i].Orphans = append(trees[i].Orphans, pid)
			}
		}
	}
	return trees
}

// list gives the children that were not started here, and those that were.
func (h *Host) list() (orphans []int, known []*Process) {
	h.starting.Lock()
	defer h.starting.Unlock()
	children, err := procfs.ThreadChildren(h.self, h.self)
	if err != nil {
		children = nil // /proc is gone; nothing can be seen, hence nothing killed
	}
	for _, pid := range children {
		if h.known[pid] == nil {
			orphans = append(orphans, pid)
		}
	}
	for _, p := range h.known {
		known = append(known, p)
	}
	return orphans, known
}

// reap takes an orphan's exit status if it has ended. Its CPU time counts for
// its owner. h.sweeping is held.
func (h *Host) reap(orphan int, owner *Process) bool {
	var usage unix.Rusage
	pid, err := unix.Wait4(orphan, nil, unix.WNOHANG, &usage)
	if err == nil && pid == orphan && owner != nil {
		owner.orphanCPU.Add(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return err != nil || pid == orphan
}

func (h *Host) forget(p *Process) {
	h.starting.Lock()
	defer h.starting.Unlock()
	delete(h.known, p.pid)
}
