// Package cgroup reads the limits and counts of the control group that this
// program runs in, of version 1 and 2. It changes nothing.
//
// A limit may be set at the group itself or at any above it; the tightest one
// that can be seen counts.
package cgroup

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unlimited is how version 1 writes "no limit": near the largest number of pages.
const unlimited = uint64(1) << 60

// Group is a program's own control group. The zero value knows nothing.
type Group struct {
	memory folder
	cpu    folder
	usage  folder // of CPU; version 1 may mount it apart
}

// folder is where a controller's files are, and the mount they are below.
type folder struct {
	path, top string
	version   int // 0 is none
}

// Self finds the group of this program.
func Self() Group { return Find("/") }

// Find is Self with another root of the file system, which tests make.
func Find(root string) Group {
	memberships, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return Group{}
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return Group{}
	}
	at := func(controller string) folder { return locate(root, controller, memberships, mounts) }
	return Group{memory: at("memory"), cpu: at("cpu"), usage: at("cpuacct")}
}

// locate finds a controller's folder: by its own mount in version 1, else in
// version 2, which has all of them in one. There every group lists its
// controllers; only one that has this one tells of it.
func locate(root, controller string, memberships, mounts []byte) folder {
	if f := join(root, mountOf(mounts, "cgroup", controller), membership(memberships, controller)); f.path != "" {
		f.version = 1
		return f
	}
	f := join(root, mountOf(mounts, "cgroup2", ""), membership(memberships, ""))
	if f.path == "" {
		return folder{}
	}
	name := controller
	if name == "cpuacct" {
		name = "cpu"
	}
	controllers, err := os.ReadFile(filepath.Join(f.path, "cgroup.controllers"))
	if err != nil || !slices.Contains(strings.Fields(string(controllers)), name) {
		return folder{}
	}
	f.version = 2
	return f
}

// membership is the path of the group in a hierarchy, from lines such as
// "4:memory:/a/b" or, in version 2, "0::/a/b".
func membership(lines []byte, controller string) string {
	for line := range strings.Lines(string(lines)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) == 3 && slices.Contains(strings.Split(parts[1], ","), controller) {
			return parts[2]
		}
	}
	return ""
}

// mount is where a hierarchy is mounted, and which group is seen at its top.
type mount struct{ point, group string }

// mountOf reads lines of mountinfo: "36 25 0:31 /group /point opts - type source
// superoptions".
func mountOf(lines []byte, kind, controller string) mount {
	for line := range strings.Lines(string(lines)) {
		front, back, found := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		before, after := strings.Fields(front), strings.Fields(back)
		if !found || len(before) < 5 || len(after) < 3 || after[0] != kind {
			continue
		}
		if controller == "" || slices.Contains(strings.Split(after[2], ","), controller) {
			return mount{point: before[4], group: before[3]}
		}
	}
	return mount{}
}

// join gives a group's folder: what its path has beyond that of the group at the
// top of the mount. A path outside of the mount, as in a container that sees
// only its own group, is the top itself.
func join(root string, m mount, path string) folder {
	if m.point == "" || path == "" {
		return folder{}
	}
	top := filepath.Join(root, m.point)
	rest, inside := strings.CutPrefix(path, strings.TrimSuffix(m.group, "/"))
	if !inside || strings.HasPrefix(path, "/..") {
		rest = ""
	}
	full := filepath.Join(top, rest)
	if info, err := os.Stat(full); err != nil || !info.IsDir() {
		full = top
	}
	return folder{path: full, top: top}
}

// OOMKills counts the group's processes that the kernel killed because memory
// had run out.
func (g Group) OOMKills() (uint64, bool) {
	switch g.memory.version {
	case 1:
		return g.memory.value("memory.oom_control", "oom_kill")
	case 2:
		return g.memory.value("memory.events", "oom_kill")
	}
	return 0, false
}

// MemoryLimit is how many bytes the group may use.
func (g Group) MemoryLimit() (uint64, bool) {
	name := map[int]string{1: "memory.limit_in_bytes", 2: "memory.max"}[g.memory.version]
	return g.memory.tightest(func(path string) (uint64, bool) {
		limit, ok := number(filepath.Join(path, name))
		return limit, ok && limit < unlimited
	})
}

// MemoryUse is how many bytes the group uses, without the file cache that the
// kernel can take back at once.
func (g Group) MemoryUse() (uint64, bool) {
	names := map[int][2]string{
		1: {"memory.usage_in_bytes", "total_inactive_file"},
		2: {"memory.current", "inactive_file"},
	}[g.memory.version]
	used, ok := number(filepath.Join(g.memory.path, names[0]))
	cache, _ := g.memory.value("memory.stat", names[1])
	return used - min(used, cache), ok
}

// CPULimit is the thousandths of a CPU that the group may use.
func (g Group) CPULimit() (milli uint64, ok bool) {
	return g.cpu.tightest(func(path string) (uint64, bool) {
		var quota, period string
		if g.cpu.version == 1 {
			quota, period = text(path, "cpu.cfs_quota_us"), text(path, "cpu.cfs_period_us")
		} else if words := strings.Fields(text(path, "cpu.max")); len(words) == 2 {
			quota, period = words[0], words[1]
		}
		q, errQ := strconv.ParseUint(quota, 10, 63) // "max" and -1 are no limit
		p, errP := strconv.ParseUint(period, 10, 63)
		if errQ != nil || errP != nil || p == 0 {
			return 0, false
		}
		return q * 1000 / p, true
	})
}

// CPUUse is the CPU time the group has used.
func (g Group) CPUUse() (time.Duration, bool) {
	switch g.usage.version {
	case 1:
		ns, ok := number(filepath.Join(g.usage.path, "cpuacct.usage"))
		return time.Duration(ns), ok
	case 2:
		us, ok := g.usage.value("cpu.stat", "usage_usec")
		return time.Duration(us) * time.Microsecond, ok
	}
	return 0, false
}

// tightest is the lowest limit from the group up to the top of the mount.
func (f folder) tightest(limit func(path string) (uint64, bool)) (uint64, bool) {
	if f.version == 0 {
		return 0, false
	}
	lowest := uint64(math.MaxUint64)
	for path := f.path; ; path = filepath.Dir(path) {
		if n, ok := limit(path); ok {
			lowest = min(lowest, n)
		}
		if path == f.top || len(path) <= len(f.top) {
			return lowest, lowest != math.MaxUint64
		}
	}
}

// value finds "name 123" in a file.
func (f folder) value(file, name string) (uint64, bool) {
	data, err := os.ReadFile(filepath.Join(f.path, file))
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(data) {
		words := strings.Fields(string(line))
		if len(words) == 2 && words[0] == name {
			n, err := strconv.ParseUint(words[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

func number(path string) (uint64, bool) {
	n, err := strconv.ParseUint(text(path, ""), 10, 64)
	return n, err == nil
}

func text(path, file string) string {
	data, err := os.ReadFile(filepath.Join(path, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
