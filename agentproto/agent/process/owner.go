package process

import (
	"slices"

	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

// Whose an orphan is, is told by the first of these that can: what it was when it
// was seen before, its mark, its environment. A job can take all of them away
// from a process: change the limit that is the mark, empty the environment, leave
// the tree before anybody has looked. Then it is a suspect of each job that ran
// when it was first seen, and ends with the last of them.

// identity names a process for ever; a pid alone may be another's by now.
type identity struct {
	pid   int
	start uint64 // see procfs.Stat
}

// trace is what is known of a process that hangs below this program.
type trace struct {
	owner    *Process   // nil while there are several it may be of
	suspects []*Process // those
}

// owner is the process whose descendant an orphan is; nil if it may be of
// several. It is nobody's if all that it may be of have ended. h.sweeping is held.
func (h *Host) owner(orphan int, known []*Process) (owner *Process, nobodys bool) {
	stat, err := procfs.ReadStat(orphan)
	if err != nil {
		return nil, false // it has been reaped
	}
	id := identity{orphan, stat.Start}
	t, seen := h.traces[id]
	if !seen {
		t = &trace{owner: marked(orphan, known)}
		if t.owner == nil {
			t.suspects = suspects(stat, known)
		}
		h.traces[id] = t
	}
	if t.owner == nil {
		t.suspects = slices.DeleteFunc(t.suspects, func(p *Process) bool { return !slices.Contains(known, p) })
		if len(t.suspects) == 1 {
			t.owner = t.suspects[0]
		}
	}
	if t.owner != nil && slices.Contains(known, t.owner) {
		return t.owner, false
	}
	return nil, len(t.suspects) == 0
}

// marked finds the process whose mark an orphan has.
func marked(orphan int, known []*Process) *Process {
	for _, find := range []func(int) (uint32, bool){markOf, environmentMark} {
		mark, ok := find(orphan)
		if !ok {
			continue
		}
		for _, p := range known {
			if p.mark == mark {
				return p
			}
		}
	}
	return nil
}

// suspects are those that had begun when an orphan did.
func suspects(orphan procfs.Stat, known []*Process) []*Process {
	var older []*Process
	for _, p := range known {
		if main, err := procfs.ReadStat(p.pid); err != nil || main.Start <= orphan.Start {
			older = append(older, p)
		}
	}
	if len(older) == 0 {
		return slices.Clone(known) // it came from elsewhere, as to the first process of a container
	}
	return older
}

// Saw tells whose processes were seen in the trees of a process, so that they are
// known when they have left them. What has ended since is forgotten; runs says
// when a process started that did run then.
func (h *Host) Saw(trees map[*Process][]procfs.Stat, runs func(pid int) (start uint64, ok bool)) {
	h.sweeping.Lock()
	defer h.sweeping.Unlock()
	for id := range h.traces {
		if start, ok := runs(id.pid); ok && start == id.start {
			continue
		}
		if stat, err := procfs.ReadStat(id.pid); err != nil || stat.Start != id.start {
			delete(h.traces, id)
		}
	}
	for p, found := range trees {
		for _, stat := range found {
			id := identity{stat.Pid, stat.Start}
			if t := h.traces[id]; stat.Pid != p.pid && (t == nil || t.owner == nil) {
				h.traces[id] = &trace{owner: p}
			}
		}
	}
}
