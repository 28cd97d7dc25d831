package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// startTime returns when a process started, in clock ticks since boot. A zombie
// has ended.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in brackets may hold anything; fields count from after it: the
	// state is the 3rd of proc(5), the start time the 22nd.
	at := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[at+1:]))
	if at < 0 || len(fields) < 20 {
		return 0, fmt.Errorf("cannot read the state of process %d", pid)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, os.ErrProcessDone
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// bootID names this boot of the machine: pids and start times mean nothing after
// the next.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
})
