package sample

import (
	"os"

	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

// Traffic is counted for each network namespace, not for each process. So it is
// known of a job only if all of its processes are in one namespace, and nobody else
// is: neither this agent, nor another job, nor any process that can be looked at.
// Most jobs use the agent's own; of them it is unknown.

// spaces tells the namespaces of processes.
type spaces struct {
	self   string
	others map[string]map[int]bool // of the machine's processes, by namespace; nil until it is needed
}

func newSpaces() spaces {
	self, err := procfs.Network(os.Getpid())
	if err != nil {
		self = "" // never another's, so nothing is known
	}
	return spaces{self: self}
}

// of gives the namespace that a tree has for itself, or "".
func (s *spaces) of(tree process.Tree, found []procfs.Stat, all table) (namespace string) {
	namespace, err := procfs.Network(tree.Main)
	if err != nil || s.self == "" || namespace == s.self || len(found) == 0 {
		return ""
	}
	if s.others == nil {
		s.others = map[string]map[int]bool{}
		for pid := range all.byPid {
			if other, err := procfs.Network(pid); err == nil && other != s.self {
				if s.others[other] == nil {
					s.others[other] = map[int]bool{}
				}
				s.others[other][pid] = true
			}
		}
	}
	members, alive := s.others[namespace], 0
	for _, stat := range found {
		switch {
		case members[stat.Pid]:
			alive++
		case procfs.Alive(stat.Pid):
			return "" // it is elsewhere, and has not just ended
		}
	}
	if alive != len(members) {
		return "" // others are there, too
	}
	return namespace
}

// traffic reads what went through a namespace.
func (o *observation) traffic(pid int, namespace string) {
	if namespace == "" {
		return
	}
	var err error
	if o.received, o.sent, err = procfs.ReadTraffic(pid); err == nil {
		o.namespace = namespace
	}
}

// traffic is what a job has moved since its namespace was seen first.
type traffic struct {
	namespace      string
	received, sent uint64    // since then
	before         [2]uint64 // what is not the job's of what the namespace counts
	lapsed         bool      // it was not known for a while, so the sum is not either
}

// see counts up to now; known says whether it is of all the time since the look
// before.
func (t *traffic) see(namespace string, received, sent uint64) (known bool) {
	known = namespace != "" && t.namespace == namespace
	if !known {
		t.lapsed = t.lapsed || t.namespace != ""
		t.namespace = namespace
		t.before = [2]uint64{received - t.received, sent - t.sent}
		return false
	}
	t.received = max(t.received, received-t.before[0])
	t.sent = max(t.sent, sent-t.before[1])
	return true
}
