package process

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

const (
	firstPause = time.Millisecond
	maxPause   = 50 * time.Millisecond
	// sweepLimit ends a sweep that meets a process which doesn't die of KILL.
	sweepLimit = 10 * time.Second
	// emptyPasses is how often nothing must be found: a list of children that is
	// read while some end may lack others.
	emptyPasses = 2
)

// sweep kills what is left of a process whose main process has ended.
func (p *Process) sweep() (killed int, escaped bool) {
	mine := func(orphan int, known []*Process) (*Process, bool) {
		owner, _ := p.host.owner(orphan, known)
		return owner, owner == p
	}
	return p.host.sweep(mine)
}

// sweep kills orphans that are mine until none is found, and reaps whatever has
// ended by the way.
func (h *Host) sweep(mine func(orphan int, known []*Process) (owner *Process, yes bool)) (killed int, escaped bool) {
	dead := map[int]bool{}
	pause, begin := firstPause, time.Now()
	for empty := 0; empty < emptyPasses; {
		if !h.pass(mine, dead) {
			empty++
			continue
		}
		empty = 0
		if time.Since(begin) > sweepLimit {
			return len(dead), true
		}
		<-time.After(pause)
		pause = min(2*pause, maxPause)
	}
	return len(dead), false
}

// pass kills the trees of all orphans that are mine and reports whether there
// was any, dead or alive: one that has ended may leave others.
func (h *Host) pass(mine func(int, []*Process) (*Process, bool), dead map[int]bool) bool {
	h.sweeping.Lock()
	defer h.sweeping.Unlock()
	orphans, known := h.list()
	found := false
	for _, pid := range orphans {
		owner, yes := mine(pid, known)
		found = found || yes
		if !h.reap(pid, owner) && yes {
			killTree(pid, dead)
		}
	}
	return found
}

// killTree stops each process of a tree before it lists that one's children, so
// that none is born between list and kill, and a stopped parent can't reap one
// whose number is then another's. What it killed is added to dead.
func killTree(root int, dead map[int]bool) {
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		if unix.Kill(tree[i], unix.SIGSTOP) != nil {
			continue
		}
		children, err := procfs.Children(tree[i])
		if err == nil {
			tree = append(tree, children...)
		}
	}
	for _, pid := range tree {
		alive := procfs.Alive(pid)
		if unix.Kill(pid, unix.SIGKILL) == nil && alive && dead != nil {
			dead[pid] = true
		}
	}
}
