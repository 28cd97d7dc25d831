package agent

import (
	"cmp"
	"os"
	"runtime"
	"slices"

	"github.com/hodei-jobs/hodei/agentproto/agent/sample"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// Facts are what an agent says of itself. What is left out is found out.
type Facts struct {
	Name     string            // default: the machine's
	Labels   map[string]string // what jobs may require
	CPUMilli uint64            // for jobs, in thousandths of a CPU
	Memory   uint64            // for jobs, in bytes
	Version  string

	disk uint64
}

// complete fills in what the machine tells.
func (f Facts) complete(machine *sample.Machine) Facts {
	if f.Name == "" {
		f.Name, _ = os.Hostname()
	}
	cpu, memory, disk := machine.Capacity()
	f.CPUMilli, f.Memory, f.disk = cmp.Or(f.CPUMilli, cpu), cmp.Or(f.Memory, memory), disk
	return f
}

func (f Facts) capacity() *agentprotov1.Resources {
	return &agentprotov1.Resources{CpuMilli: f.CPUMilli, MemoryBytes: f.Memory, DiskBytes: f.disk}
}

func (f Facts) message() *agentprotov1.Facts {
	m := &agentprotov1.Facts{
		Name:     f.Name,
		Os:       runtime.GOOS,
		Arch:     runtime.GOARCH,
		Capacity: f.capacity(),
		Version:  f.Version,
	}
	for key, value := range f.Labels {
		m.Labels = append(m.Labels, &agentprotov1.Label{Key: key, Value: value})
	}
	slices.SortFunc(m.Labels, func(x, y *agentprotov1.Label) int { return cmp.Compare(x.GetKey(), y.GetKey()) })
	return m
}
