package resource

import (
	"strings"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

// Amount is what a job needs or a worker has.
type Amount struct {
	CPU    CPU   `json:"cpu,omitzero"`
	Memory Bytes `json:"memory,omitzero"`
	Disk   Bytes `json:"disk,omitzero"`
}

// Names of the dimensions, as Fits reports them.
const (
	DimensionCPU    = "cpu"
	DimensionMemory = "memory"
	DimensionDisk   = "disk"
)

// FromEvent returns the amount an event carries; nil is nothing.
func FromEvent(r *eventv1.Resources) Amount {
	return Amount{CPU: CPU(r.GetCpuMilli()), Memory: Bytes(r.GetMemoryBytes()), Disk: Bytes(r.GetDiskBytes())}
}

// Event returns the amount as events carry it; nil if it is nothing.
func (a Amount) Event() *eventv1.Resources {
	if a.IsZero() {
		return nil
	}
	return &eventv1.Resources{CpuMilli: uint64(a.CPU), MemoryBytes: uint64(a.Memory), DiskBytes: uint64(a.Disk)}
}

// IsZero reports whether the amount is nothing.
func (a Amount) IsZero() bool { return a == Amount{} }

// Add returns the sum; a dimension that would overflow stays at its largest.
func (a Amount) Add(b Amount) Amount {
	return Amount{CPU: add(a.CPU, b.CPU), Memory: add(a.Memory, b.Memory), Disk: add(a.Disk, b.Disk)}
}

// Sub returns what is left; a dimension never falls below 0.
func (a Amount) Sub(b Amount) Amount {
	return Amount{CPU: sub(a.CPU, b.CPU), Memory: sub(a.Memory, b.Memory), Disk: sub(a.Disk, b.Disk)}
}

// Max returns the larger of the two in each dimension.
func (a Amount) Max(b Amount) Amount {
	return Amount{CPU: max(a.CPU, b.CPU), Memory: max(a.Memory, b.Memory), Disk: max(a.Disk, b.Disk)}
}

// Fits reports whether free holds a; else it names the first dimension, in the
// order cpu, memory, disk, that does not.
func (a Amount) Fits(free Amount) (dimension string, ok bool) {
	switch {
	case a.CPU > free.CPU:
		return DimensionCPU, false
	case a.Memory > free.Memory:
		return DimensionMemory, false
	case a.Disk > free.Disk:
		return DimensionDisk, false
	}
	return "", true
}

// Dimension returns the amount of one dimension by its name: thousandths of a
// CPU or bytes; 0 for an unknown name.
func (a Amount) Dimension(name string) uint64 {
	switch name {
	case DimensionCPU:
		return uint64(a.CPU)
	case DimensionMemory:
		return uint64(a.Memory)
	case DimensionDisk:
		return uint64(a.Disk)
	}
	return 0
}

// String returns what is not zero, such as "4 CPU, 8 GiB memory"; "nothing" if all
// is.
func (a Amount) String() string {
	var parts []string
	if a.CPU > 0 {
		parts = append(parts, a.CPU.String()+" CPU")
	}
	if a.Memory > 0 {
		parts = append(parts, a.Memory.Shown()+" memory")
	}
	if a.Disk > 0 {
		parts = append(parts, a.Disk.Shown()+" disk")
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func add[T CPU | Bytes](a, b T) T {
	if sum := a + b; sum >= a {
		return sum
	}
	return ^T(0)
}

func sub[T CPU | Bytes](a, b T) T {
	if a < b {
		return 0
	}
	return a - b
}
