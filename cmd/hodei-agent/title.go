package main

import (
	"bytes"
	"os"
	"strings"
)

// title is what the guard is called where processes are listed, instead of the
// program's path: it must not be taken for a second agent.
const title = "hodei-agent guard"

// shortTitle is the same where there is room for 15 characters.
const shortTitle = "hodei-guard"

// entitle gives this process its title, before its arguments. It fails without a
// word where the path is too short to hold it or the system does not let it: then
// it is called as it was. Strings made of the arguments change with them, so what
// is used later must have been copied.
func entitle() {
	_ = os.WriteFile("/proc/self/comm", []byte(shortTitle), 0) // the kernel cuts nothing of it
	start, err := memoryAddress(fieldArgStart)
	if err != nil {
		return
	}
	arguments, err := os.ReadFile("/proc/self/cmdline")
	if err != nil {
		return
	}
	line, ok := entitled(arguments)
	if !ok {
		return
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer memory.Close()
	_, _ = memory.WriteAt(line, start)
}

// entitled is a command line with the title for the program's path, as long as it
// was: the rest is zero, as the end of an argument is.
func entitled(arguments []byte) ([]byte, bool) {
	end := bytes.IndexByte(arguments, 0)
	if end < len(title) {
		return nil, false
	}
	line := append([]byte(title), arguments[end:]...)
	return append(line, make([]byte, len(arguments)-len(line))...), true
}

// copied returns arguments in memory of their own.
func copied(arguments []string) []string {
	own := make([]string, len(arguments))
	for i, a := range arguments {
		own[i] = strings.Clone(a)
	}
	return own
}
