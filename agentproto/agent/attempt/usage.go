package attempt

import (
	"github.com/hodei-jobs/hodei/agentproto/agent/sample"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// UsageMessage puts a usage into its message; what is unknown is absent.
func UsageMessage(ref *agentprotov1.AttemptRef, u sample.Usage) *agentprotov1.AttemptUsage {
	cpu := uint64(u.CPU)
	m := &agentprotov1.AttemptUsage{Ref: ref, CpuNs: &cpu}
	if u.PeakMemory > 0 {
		m.PeakMemoryBytes = &u.PeakMemory
	}
	if u.Disk {
		m.DiskReadBytes, m.DiskWrittenBytes = &u.DiskRead, &u.DiskWrite
	}
	if u.Network {
		m.NetReceivedBytes, m.NetSentBytes = &u.Received, &u.Sent
	}
	if u.Sampled {
		m.CpuMilli, m.MemoryBytes = &u.CPUMilli, &u.Memory
		m.Processes, m.WaitsForInput = uint32(u.Processes), u.WaitsForInput
	}
	return m
}
