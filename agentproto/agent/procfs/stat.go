package procfs

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Stat is what /proc/PID/stat says of a process.
type Stat struct {
	Pid, Parent, Group int
	State              byte // R running, S sleeping, D in the kernel, T stopped, Z ended but not reaped

	// CPU time in ticks: its own threads', and that of children it has reaped.
	Ticks, ChildTicks uint64

	Start    uint64 // ticks after boot; with the pid it names a process for ever
	RSSBytes uint64
}

// ReadStat reads a process's stat.
func ReadStat(pid int) (Stat, error) {
	data, err := Read(file(pid, "stat"))
	if err != nil {
		return Stat{}, err
	}
	return parseStat(pid, data)
}

// Alive says whether any thread of a process runs. A process whose first thread
// has ended looks ended by its stat, while its other threads go on.
func Alive(pid int) bool {
	stat, err := ReadStat(pid)
	return err == nil && stat.Alive()
}

// Alive is [Alive] of a process whose stat was read.
func (s Stat) Alive() bool {
	if !ended(s.State) {
		return true
	}
	threads, err := Threads(s.Pid)
	if err != nil {
		return false
	}
	for _, thread := range threads {
		if thread == s.Pid {
			continue
		}
		data, err := Read(file(s.Pid, "task/"+strconv.Itoa(thread)+"/stat"))
		if err != nil {
			continue // has ended
		}
		if stat, err := parseStat(thread, data); err == nil && !ended(stat.State) {
			return true
		}
	}
	return false
}

func ended(state byte) bool { return state == 'Z' || state == 'X' }

// Fields of stat(5) counted from the one after the command, which is the state.
const (
	fieldState   = 0
	fieldParent  = 1
	fieldGroup   = 2
	fieldUser    = 11
	fieldSystem  = 12
	fieldChildU  = 13
	fieldChildS  = 14
	fieldStart   = 19
	fieldRSS     = 21
	fieldsNeeded = fieldRSS + 1
)

// parseStat begins after the last parenthesis: the command in front of it is the
// process's own to choose, parentheses and spaces included.
func parseStat(pid int, data []byte) (Stat, error) {
	i := bytes.LastIndexByte(data, ')')
	if i < 0 {
		return Stat{}, ErrMalformed
	}
	words := bytes.Fields(data[i+1:])
	if len(words) < fieldsNeeded || len(words[fieldState]) != 1 {
		return Stat{}, ErrMalformed
	}
	number := func(field int) uint64 {
		n, err := strconv.ParseUint(string(words[field]), 10, 64)
		if err != nil {
			return 0 // times of children may be below zero in old kernels
		}
		return n
	}
	return Stat{
		Pid:        pid,
		State:      words[fieldState][0],
		Parent:     int(number(fieldParent)),
		Group:      int(number(fieldGroup)),
		Ticks:      number(fieldUser) + number(fieldSystem),
		ChildTicks: number(fieldChildU) + number(fieldChildS),
		Start:      number(fieldStart),
		RSSBytes:   number(fieldRSS) * uint64(os.Getpagesize()),
	}, nil
}

// IO is what a process and the children it has reaped moved from and to storage.
type IO struct{ ReadBytes, WrittenBytes uint64 }

// ReadIO needs the process's user or root.
func ReadIO(pid int) (IO, error) {
	data, err := Read(file(pid, "io"))
	if err != nil {
		return IO{}, err
	}
	read, okR := lineValue(data, "read_bytes:")
	written, okW := lineValue(data, "write_bytes:")
	if !okR || !okW {
		return IO{}, ErrMalformed
	}
	return IO{ReadBytes: read, WrittenBytes: written}, nil
}

// ReadPSS is the memory of a process with each shared page counted in parts. It
// walks the process's page tables: milliseconds for each few hundred megabytes.
func ReadPSS(pid int) (uint64, error) {
	data, err := Read(file(pid, "smaps_rollup"))
	if err != nil {
		return 0, err
	}
	kilobytes, ok := lineValue(data, "Pss:")
	if !ok {
		return 0, ErrMalformed
	}
	return kilobytes << 10, nil
}

// Network names a process's network namespace; processes with the same name share
// one. It needs the process's user or root.
func Network(pid int) (namespace string, err error) { return os.Readlink(file(pid, "ns/net")) }

// ReadTraffic is what went through the interfaces of a process's network namespace
// since there are these, but for the loopback.
func ReadTraffic(pid int) (received, sent uint64, err error) {
	data, err := Read(file(pid, "net/dev"))
	if err != nil {
		return 0, 0, err
	}
	return parseTraffic(data)
}

// parseTraffic reads "name: received, 7 more, sent, …" after two lines of titles.
func parseTraffic(data []byte) (received, sent uint64, err error) {
	for line := range bytes.Lines(data) {
		name, rest, found := strings.Cut(string(line), ":")
		if name = strings.TrimSpace(name); !found || name == "lo" {
			continue
		}
		words := strings.Fields(rest)
		if len(words) < 9 {
			return 0, 0, ErrMalformed
		}
		in, err1 := strconv.ParseUint(words[0], 10, 64)
		out, err2 := strconv.ParseUint(words[8], 10, 64)
		if err1 != nil || err2 != nil {
			return 0, 0, ErrMalformed
		}
		received, sent = received+in, sent+out
	}
	return received, sent, nil
}

// lineValue finds "name  123 …" at the beginning of a line.
func lineValue(data []byte, name string) (uint64, bool) {
	for line := range bytes.Lines(data) {
		rest, found := bytes.CutPrefix(line, []byte(name))
		if !found {
			continue
		}
		words := bytes.Fields(rest)
		if len(words) == 0 {
			return 0, false
		}
		n, err := strconv.ParseUint(string(words[0]), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// Value is lineValue for files such as meminfo, vmstat or memory.events.
func Value(path, name string) (uint64, bool) {
	data, err := Read(path)
	if err != nil {
		return 0, false
	}
	return lineValue(data, name)
}

// ReadingFrom is the file that a process's first thread is blocked reading from,
// if it is.
func ReadingFrom(pid int) (path string, ok bool) {
	data, err := Read(file(pid, "syscall"))
	if err != nil {
		return "", false
	}
	words := strings.Fields(string(data))
	if len(words) < 2 || words[0] != strconv.Itoa(unix.SYS_READ) {
		return "", false
	}
	fd, err := strconv.ParseUint(strings.TrimPrefix(words[1], "0x"), 16, 31)
	if err != nil {
		return "", false
	}
	path, err = os.Readlink(file(pid, "fd/"+strconv.FormatUint(fd, 10)))
	return path, err == nil
}

// Environ is the environment a process was started with, as NAME=value strings.
func Environ(pid int) ([]string, error) {
	data, err := Read(file(pid, "environ"))
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00"), nil
}
