package cgroup_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/cgroup"
)

// tree writes files below a root of their own.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range files {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// facts is all a group tells; -1 is unknown.
type facts struct {
	kills, limit, use, cpu int64
	used                   time.Duration
}

func read(g cgroup.Group) facts {
	known := func(n uint64, ok bool) int64 {
		if !ok {
			return -1
		}
		return int64(n)
	}
	f := facts{kills: known(g.OOMKills()), limit: known(g.MemoryLimit()), use: known(g.MemoryUse()), cpu: known(g.CPULimit()), used: -1}
	if used, ok := g.CPUUse(); ok {
		f.used = used
	}
	return f
}

const (
	mountsV1 = "36 25 0:31 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n" +
		"37 25 0:32 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"38 25 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	mountsV2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	top      = "sys/fs/cgroup/"
)

func TestWhatAGroupTells(t *testing.T) {
	unknown := facts{-1, -1, -1, -1, -1}
	for _, row := range []struct {
		name  string
		files map[string]string
		want  facts
	}{
		{"nothing without /proc", nil, unknown},
		{"version 1", map[string]string{
			"proc/self/cgroup":                        "9:cpu,cpuacct:/a/b\n4:memory:/a/b\n0::/\n",
			"proc/self/mountinfo":                     mountsV1,
			top + "memory/a/b/memory.oom_control":     "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
			top + "memory/a/b/memory.limit_in_bytes":  "104857600\n",
			top + "memory/memory.limit_in_bytes":      "9223372036854771712\n",
			top + "memory/a/b/memory.usage_in_bytes":  "5000\n",
			top + "memory/a/b/memory.stat":            "cache 10\ntotal_inactive_file 1000\n",
			top + "cpu,cpuacct/a/b/cpu.cfs_quota_us":  "150000\n",
			top + "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000\n",
			top + "cpu,cpuacct/a/b/cpuacct.usage":     "7000\n",
			top + "unified/cgroup.controllers":        "hugetlb\n",
		}, facts{3, 104857600, 4000, 1500, 7000}},
		{"version 1 without limits", map[string]string{
			"proc/self/cgroup":                    "9:cpu,cpuacct:/\n4:memory:/\n",
			"proc/self/mountinfo":                 mountsV1,
			top + "memory/memory.limit_in_bytes":  "9223372036854771712\n",
			top + "memory/memory.oom_control":     "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
			top + "cpu,cpuacct/cpu.cfs_quota_us":  "-1\n",
			top + "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
		}, facts{0, -1, -1, -1, -1}},
		{"version 2", map[string]string{
			"proc/self/cgroup":             "0::/a/b\n",
			"proc/self/mountinfo":          mountsV2,
			top + "a/b/cgroup.controllers": "cpu memory pids\n",
			top + "a/b/memory.events":      "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n",
			top + "a/b/memory.max":         "max\n",
			top + "a/memory.max":           "200000\n",
			top + "a/b/memory.current":     "5000\n",
			top + "a/b/memory.stat":        "anon 4000\ninactive_file 1000\n",
			top + "a/b/cpu.max":            "50000 100000\n",
			top + "a/cpu.max":              "max 100000\n",
			top + "a/b/cpu.stat":           "usage_usec 8\nuser_usec 5\n",
		}, facts{2, 200000, 4000, 500, 8 * time.Microsecond}},
		{"version 2 without controllers", map[string]string{
			"proc/self/cgroup":         "0::/\n",
			"proc/self/mountinfo":      mountsV2,
			top + "cgroup.controllers": "hugetlb\n",
		}, unknown},
		{"a container that sees its own group only", map[string]string{
			"proc/self/cgroup":                   "4:memory:/docker/abc\n",
			"proc/self/mountinfo":                "36 25 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			top + "memory/memory.limit_in_bytes": "1000\n",
			top + "memory/memory.oom_control":    "oom_kill 1\n",
		}, facts{1, 1000, -1, -1, -1}},
		{"a path outside of what is mounted", map[string]string{
			"proc/self/cgroup":         "0::/../other\n",
			"proc/self/mountinfo":      mountsV2,
			top + "cgroup.controllers": "memory\n",
			top + "memory.max":         "1000\n",
		}, facts{-1, 1000, -1, -1, -1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := read(cgroup.Find(tree(t, row.files))); got != row.want {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}
