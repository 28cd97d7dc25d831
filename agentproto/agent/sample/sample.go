// Package sample measures what jobs use: CPU, memory, storage, of all of their
// processes; and what the whole machine does. It reads /proc once a second while
// jobs run. What can't be measured is unknown, never 0.
//
// CPU time is that of the processes that run and of those they have waited for,
// so that it isn't lost when one ends. Memory is the resident size while a job
// is one process. Several share pages, which their sizes count once each: then
// the proportional size is measured, at most every five seconds and only when
// there may be a new peak, since that is dear; between, resident sizes are
// scaled by what was found last.
package sample

import (
	"context"
	"sync"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

const (
	sampleEvery = time.Second
	pssEvery    = 5 * time.Second
	// maxLooked bounds how many processes of a job are looked at more closely
	// than by their stat.
	maxLooked = 256
)

// Usage is what an attempt has used so far.
type Usage struct {
	CPU          time.Duration
	CPUMilli     uint64 // since the report before; see Report
	PeakCPUMilli uint64 // of a second
	PeakMemory   uint64 // bytes; 0 is unknown

	Disk      bool   // whether the next two are known
	DiskRead  uint64 // bytes from storage, not from the cache
	DiskWrite uint64

	Network  bool   // whether the next two are known
	Received uint64 // bytes, in a network namespace that it has for itself
	Sent     uint64

	// What follows is of the newest sample. Sampled is false before the first,
	// and when nothing runs.
	Sampled       bool
	Memory        uint64 // bytes
	Processes     int
	WaitsForInput bool // one of them reads its terminal, where nobody types
}

// Sampler measures the attempts of one agent. It is safe for concurrent use.
type Sampler struct {
	host *process.Host

	mu       sync.Mutex
	attempts map[outbox.Key]*meter
}

// New returns a sampler of the host's processes.
func New(host *process.Host) *Sampler {
	return &Sampler{host: host, attempts: map[outbox.Key]*meter{}}
}

// Attach begins to count a process for an attempt, which may have had others
// before. Its series goes into the box, unless that is nil.
func (s *Sampler) Attach(key outbox.Key, p *process.Process, series *outbox.Box) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.attempts[key]
	if m == nil {
		m = &meter{reportedAt: time.Now()}
		s.attempts[key] = m
	}
	m.attach(p, series, time.Now())
}

// Detach counts what the process's end tells, and stops sampling it.
func (s *Sampler) Detach(key outbox.Key, exit process.Exit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.attempts[key]; m != nil {
		m.detach(exit, time.Now())
	}
}

// Report gives an attempt's usage, with the CPU rate since the report before.
func (s *Sampler) Report(key outbox.Key) (Usage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.attempts[key]
	if m == nil {
		return Usage{}, false
	}
	return m.report(time.Now()), true
}

// Remove gives an attempt's usage and forgets it.
func (s *Sampler) Remove(key outbox.Key) (Usage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.attempts[key]
	delete(s.attempts, key)
	if m == nil {
		return Usage{}, false
	}
	return m.usage, true
}

// Run samples once a second until ctx ends. It also has orphans of running jobs
// reaped.
func (s *Sampler) Run(ctx context.Context) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			s.Sample(now)
		case <-ctx.Done():
			return
		}
	}
}

// Sample measures once.
func (s *Sampler) Sample(now time.Time) {
	trees := s.host.Trees()
	if len(trees) == 0 {
		return
	}
	processes, err := readProcesses()
	if err != nil {
		return // usage stays what it was
	}
	found := make(map[*process.Process][]procfs.Stat, len(trees))
	for _, tree := range trees {
		found[tree.Process] = processes.below(append(tree.Orphans, tree.Main))
	}
	s.host.Saw(found, processes.start)
	spaces := newSpaces()
	for _, tree := range trees {
		own := found[tree.Process]
		s.sample(tree, own, spaces.of(tree, own, processes), now)
	}
}

// sample looks at one job's processes; the look itself, which may take long, is
// without the lock.
func (s *Sampler) sample(tree process.Tree, found []procfs.Stat, namespace string, now time.Time) {
	s.mu.Lock()
	m := s.meterOf(tree.Process)
	pss := m != nil && m.wantsPSS(found, now)
	s.mu.Unlock()
	if m == nil {
		return
	}
	seen := look(found, tree.Process, pss)
	seen.traffic(tree.Main, namespace)
	s.mu.Lock()
	defer s.mu.Unlock()
	m.add(tree.Process, seen, now)
}

func (s *Sampler) meterOf(p *process.Process) *meter {
	for _, m := range s.attempts {
		if m.process == p {
			return m
		}
	}
	return nil
}

// table is all processes of the machine, by their parents.
type table struct {
	byPid    map[int]procfs.Stat
	children map[int][]int
}

func readProcesses() (table, error) {
	pids, err := procfs.Pids()
	if err != nil {
		return table{}, err
	}
	t := table{byPid: make(map[int]procfs.Stat, len(pids)), children: map[int][]int{}}
	for _, pid := range pids {
		stat, err := procfs.ReadStat(pid)
		if err != nil {
			continue // has ended
		}
		t.byPid[pid] = stat
		t.children[stat.Parent] = append(t.children[stat.Parent], pid)
	}
	return t, nil
}

// start is when a process started.
func (t table) start(pid int) (ticks uint64, ok bool) {
	stat, ok := t.byPid[pid]
	return stat.Start, ok
}

// below gives the trees that begin at the roots.
func (t table) below(roots []int) []procfs.Stat {
	var found []procfs.Stat
	for i := 0; i < len(roots); i++ {
		stat, ok := t.byPid[roots[i]]
		if !ok {
			continue
		}
		found = append(found, stat)
		roots = append(roots, t.children[roots[i]]...)
	}
	return found
}
