package sample

import (
	"bytes"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/cgroup"
	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

// Machine tells of the machine an agent has: all of it, or what its control
// group may use. It is for one goroutine.
type Machine struct {
	group  cgroup.Group
	folder string // whose disk is meant

	cpu time.Duration // at the last Use
	at  time.Time
}

// NewMachine is the machine of a group, with the disk of a folder.
func NewMachine(group cgroup.Group, folder string) *Machine {
	m := &Machine{group: group, folder: folder}
	m.cpu, _ = m.cpuTime()
	m.at = time.Now()
	return m
}

// Capacity is what jobs may use: CPU in thousandths, memory and disk in bytes; 0
// is unknown.
func (m *Machine) Capacity() (cpuMilli, memory, disk uint64) {
	cpuMilli = 1000 * uint64(runtime.NumCPU()) // of those this program may run on
	if limit, ok := m.group.CPULimit(); ok {
		cpuMilli = min(cpuMilli, limit)
	}
	memory, _ = memoryInfo("MemTotal:")
	if limit, ok := m.group.MemoryLimit(); ok {
		memory = min(memory, limit)
	}
	disk, _ = m.freeDisk()
	return cpuMilli, memory, disk
}

// Node is what the machine uses now; nil is unknown.
type Node struct{ CPUMilli, Memory, DiskFree *uint64 }

// Use measures, the CPU since the call before.
func (m *Machine) Use() Node {
	var n Node
	now := time.Now()
	if cpu, ok := m.cpuTime(); ok {
		milli := rate(cpu-m.cpu, now.Sub(m.at))
		n.CPUMilli = &milli
		m.cpu, m.at = cpu, now
	}
	if memory, ok := m.memoryUse(); ok {
		n.Memory = &memory
	}
	if free, ok := m.freeDisk(); ok {
		n.DiskFree = &free
	}
	return n
}

// cpuTime is the group's if its CPU is limited, else the machine's.
func (m *Machine) cpuTime() (time.Duration, bool) {
	if _, limited := m.group.CPULimit(); limited {
		return m.group.CPUUse()
	}
	data, err := procfs.Read("/proc/stat")
	if err != nil {
		return 0, false
	}
	return busy(data)
}

// busy adds up the first line: "cpu user nice system idle iowait irq softirq
// steal guest …". Guests are in user already.
func busy(data []byte) (time.Duration, bool) {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	words := bytes.Fields(line)
	if len(words) < 9 || string(words[0]) != "cpu" {
		return 0, false
	}
	var ticks int64
	for _, field := range []int{1, 2, 3, 6, 7} { // not idle, iowait, nor what other machines stole
		n, err := strconv.ParseInt(string(words[field]), 10, 64)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, true
}

// memoryUse is the group's if its memory is limited, else the machine's.
func (m *Machine) memoryUse() (uint64, bool) {
	if _, limited := m.group.MemoryLimit(); limited {
		return m.group.MemoryUse()
	}
	total, okT := memoryInfo("MemTotal:")
	available, okA := memoryInfo("MemAvailable:")
	return total - min(total, available), okT && okA
}

func memoryInfo(name string) (uint64, bool) {
	kilobytes, ok := procfs.Value("/proc/meminfo", name)
	return kilobytes << 10, ok
}

func (m *Machine) freeDisk() (uint64, bool) {
	var stat unix.Statfs_t
	if unix.Statfs(m.folder, &stat) != nil {
		return 0, false
	}
	return stat.Bavail * uint64(stat.Bsize), true
}
