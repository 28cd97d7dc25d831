package sample

import (
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
	"github.com/hodei-jobs/hodei/agentproto/series"
)

const tick = time.Second / procfs.TicksPerSecond

// meter counts for one attempt. Its steps run one after the other, each a
// process with descendants.
type meter struct {
	usage Usage

	process *process.Process // of the step that runs; nil between steps
	before  totals           // of the steps that have ended

	sampledAt, reportedAt   time.Time
	sampledCPU, reportedCPU time.Duration

	recorder recorder
	traffic  traffic

	pssAt    time.Time // when it was measured last
	pssShare float64   // what part of the resident sizes it was; 0 if never measured
}

// totals only grow.
type totals struct {
	cpu         time.Duration
	read, write uint64
}

// observation is one look at a step's processes.
type observation struct {
	totals
	disk      bool   // whether read and write are known
	namespace string // of the network, if it has one for itself; else empty
	received  uint64 // of all that went through that
	sent      uint64
	rss       uint64
	pss       uint64 // 0 if it was not measured
	processes int
	waits     bool
}

func (m *meter) attach(p *process.Process, series *outbox.Box, now time.Time) {
	m.process = p
	m.recorder.begin(series, now)
	m.before = totals{cpu: m.usage.CPU, read: m.usage.DiskRead, write: m.usage.DiskWrite}
	m.sampledAt, m.sampledCPU = now, m.usage.CPU
}

func (m *meter) detach(exit process.Exit, now time.Time) {
	m.process = nil
	m.usage.CPU = max(m.usage.CPU, m.before.cpu+exit.CPU)
	m.usage.PeakMemory = max(m.usage.PeakMemory, exit.PeakRSS)
	m.usage.Sampled, m.usage.Memory, m.usage.Processes, m.usage.WaitsForInput = false, 0, 0, false
	m.pssShare = 0
	if !m.recorder.gone.IsZero() { // else it was over before there was a sample
		m.recorder.add(now, m.counters(false), series.Sample{})
		m.recorder.flush(now)
	}
}

// counters are what its samples are differences of.
func (m *meter) counters(disk bool) counters {
	return counters{
		cpu: m.usage.CPU, read: m.usage.DiskRead, written: m.usage.DiskWrite, diskKnown: disk,
		received: m.traffic.received, sent: m.traffic.sent,
	}
}

func (m *meter) report(now time.Time) Usage {
	m.usage.CPUMilli = rate(m.usage.CPU-m.reportedCPU, now.Sub(m.reportedAt))
	m.reportedCPU, m.reportedAt = m.usage.CPU, now
	return m.usage
}

// rate is in thousandths of a CPU.
func rate(used, passed time.Duration) uint64 {
	if passed <= 0 || used <= 0 {
		return 0
	}
	return uint64(1000 * used / passed)
}

// wantsPSS: several processes that may together be at a new peak.
func (m *meter) wantsPSS(found []procfs.Stat, now time.Time) bool {
	return len(found) > 1 && now.Sub(m.pssAt) >= pssEvery && m.estimate(residentSize(found)) > m.usage.PeakMemory
}

func residentSize(found []procfs.Stat) uint64 {
	var sum uint64
	for _, stat := range found {
		sum += stat.RSSBytes
	}
	return sum
}

// estimate is what resident sizes probably amount to.
func (m *meter) estimate(rss uint64) uint64 {
	if m.pssShare == 0 {
		return rss
	}
	return uint64(float64(rss) * m.pssShare)
}

// add counts what was seen of p, unless that is over already.
func (m *meter) add(p *process.Process, seen observation, now time.Time) {
	if m.process != p {
		return
	}
	u := &m.usage
	u.Sampled, u.Processes, u.WaitsForInput = true, seen.processes, seen.waits
	u.CPU = max(u.CPU, m.before.cpu+seen.cpu)
	if seen.disk {
		u.Disk = true
		u.DiskRead = max(u.DiskRead, m.before.read+seen.read)
		u.DiskWrite = max(u.DiskWrite, m.before.write+seen.write)
	}
	m.addMemory(seen, now)
	moved := m.traffic.see(seen.namespace, seen.received, seen.sent)
	u.Network, u.Received, u.Sent = moved && !m.traffic.lapsed, m.traffic.received, m.traffic.sent
	if m.recorder.due(now) {
		c := m.counters(seen.disk)
		c.netKnown = moved
		m.recorder.add(now, c, series.Sample{Known: series.Memory, Memory: u.Memory, Processes: uint32(u.Processes)})
	}
	if passed := now.Sub(m.sampledAt); passed >= sampleEvery/2 {
		u.PeakCPUMilli = max(u.PeakCPUMilli, rate(u.CPU-m.sampledCPU, passed))
		m.sampledAt, m.sampledCPU = now, u.CPU
	}
}

// addMemory: only what was measured makes a peak; an estimate doesn't.
func (m *meter) addMemory(seen observation, now time.Time) {
	u := &m.usage
	switch {
	case seen.pss > 0:
		m.pssAt, m.pssShare = now, float64(seen.pss)/float64(max(1, seen.rss))
		u.Memory = seen.pss
	case seen.processes > 1:
		u.Memory = m.estimate(seen.rss)
		return
	default:
		u.Memory = seen.rss
	}
	u.PeakMemory = max(u.PeakMemory, u.Memory)
}

// look reads what stats don't tell.
func look(found []procfs.Stat, p *process.Process, pss bool) observation {
	seen := observation{rss: residentSize(found), disk: true}
	seen.cpu = p.OrphanCPU()
	for i, stat := range found {
		seen.cpu += time.Duration(stat.Ticks+stat.ChildTicks) * tick
		if !stat.Alive() {
			continue
		}
		seen.processes++
		if i < maxLooked {
			seen.closer(stat, p.Terminal(), pss)
		}
	}
	return seen
}

func (o *observation) closer(stat procfs.Stat, terminal string, pss bool) {
	if io, err := procfs.ReadIO(stat.Pid); err == nil {
		o.read += io.ReadBytes
		o.write += io.WrittenBytes
	} else {
		o.disk = false
	}
	if pss {
		size, err := procfs.ReadPSS(stat.Pid)
		if err != nil {
			size = stat.RSSBytes
		}
		o.pss += size
	}
	if terminal != "" && stat.State == 'S' && !o.waits {
		path, ok := procfs.ReadingFrom(stat.Pid)
		o.waits = ok && (path == terminal || path == "/dev/tty")
	}
}
