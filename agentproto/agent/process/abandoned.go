package process

import (
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

// KillAbandoned kills the processes whose environment names a path below a folder
// in a variable, and returns how many. So an agent that starts ends what jobs of
// an earlier one left, if that died together with its guard: each of them has its
// workspace in its environment, unless it took it out. The folder must be the
// caller's alone. This program and those it was started by are spared. It returns
// when none is left, or none dies any more for some seconds.
func KillAbandoned(variable, folder string) int {
	spared := ancestors()
	prefix := variable + "=" + folder + "/"
	dead := map[identity]bool{}
	pause := firstPause
	for begin := time.Now(); time.Since(begin) < sweepLimit; {
		found := false
		pids, _ := procfs.Pids() // none without /proc
		for _, pid := range pids {
			if !spared[pid] && killNamed(pid, prefix, dead) {
				found = true
			}
		}
		if !found {
			break
		}
		<-time.After(pause)
		pause = min(2*pause, maxPause)
	}
	return len(dead)
}

// killNamed kills a process that has an entry with this prefix in its environment,
// and reports whether it has. By its descriptor no other can be met that is given
// its pid meanwhile.
func killNamed(pid int, prefix string, dead map[identity]bool) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		defer unix.Close(fd)
	} else if !errors.Is(err, unix.ENOSYS) {
		return false
	}
	environment, err := procfs.Environ(pid)
	if err != nil {
		return false // it is gone, or another user's
	}
	for _, variable := range environment {
		if !strings.HasPrefix(variable, prefix) {
			continue
		}
		stat, err := procfs.ReadStat(pid)
		if err != nil {
			return false
		}
		if fd >= 0 {
			err = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		} else {
			err = unix.Kill(pid, unix.SIGKILL) // a kernel before 5.3
		}
		if err == nil {
			dead[identity{pid, stat.Start}] = true
		}
		return err == nil
	}
	return false
}

// ancestors are this program and those it was started by.
func ancestors() map[int]bool {
	found := map[int]bool{}
	for pid := os.Getpid(); pid > 0 && !found[pid]; {
		found[pid] = true
		stat, err := procfs.ReadStat(pid)
		if err != nil {
			break
		}
		pid = stat.Parent
	}
	return found
}
