package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// children lists the processes that a process has started from its first thread,
// as a guard does with its agent.
func children(pid int) []int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var found []int
	for _, word := range strings.Fields(string(b)) {
		if child, err := strconv.Atoi(word); err == nil {
			found = append(found, child)
		}
	}
	return found
}
