package process

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

// A mark tells whose descendant a process is. It is the soft limit of file
// locks: the kernel has not enforced that one since 2.4.25, but still hands it
// on from parent to child, through fork, exec, setsid, an emptied environment and
// closed descriptors. The same number in the environment serves where limits
// can't be set or read.

const (
	maxMark      = 1 << 31 // a limit is 32 bits wide on some machines, and its top value means none
	markVariable = "HODEI_MARK"
	limitOfMark  = unix.RLIMIT_LOCKS
)

// setMark makes the next process that this one starts carry a mark.
func setMark(mark uint32) error {
	var limit unix.Rlimit
	if err := unix.Prlimit(0, limitOfMark, nil, &limit); err != nil {
		return err
	}
	limit.Cur = uint64(mark)
	return unix.Prlimit(0, limitOfMark, &limit, nil)
}

// markOf reads the mark of a process, also of one that has ended but was not
// reaped.
func markOf(pid int) (uint32, bool) {
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, limitOfMark, nil, &limit); err != nil || limit.Cur >= maxMark {
		return 0, false
	}
	return uint32(limit.Cur), true
}

func environmentMark(pid int) (uint32, bool) {
	environment, err := procfs.Environ(pid)
	if err != nil {
		return 0, false
	}
	for _, variable := range environment {
		if value, ok := strings.CutPrefix(variable, markVariable+"="); ok {
			mark, err := strconv.ParseUint(value, 10, 31)
			return uint32(mark), err == nil
		}
	}
	return 0, false
}

func markEntry(mark uint32) string { return markVariable + "=" + strconv.FormatUint(uint64(mark), 10) }
