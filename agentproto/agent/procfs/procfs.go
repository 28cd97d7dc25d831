// Package procfs reads what the kernel tells of processes in /proc. It keeps no
// state and starts nothing; all of it may be called concurrently.
//
// A process may end between two reads. What is then missing is an error, which
// callers take as "gone".
package procfs

import (
	"bytes"
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// TicksPerSecond is the unit of CPU times in /proc, fixed for all of Linux.
const TicksPerSecond = 100

// firstRead holds nearly every file of a process.
const firstRead = 4 << 10

// ErrMalformed is a file that doesn't have the form the kernel documents.
var ErrMalformed = errors.New("procfs: unexpected form")

// Read returns a whole file of /proc or /sys. It bypasses os.File, whose poller
// and finalizer cost more than such a read itself.
func Read(path string) ([]byte, error) {
	fd, err := open(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	data := make([]byte, 0, firstRead)
	for {
		n, err := unix.Read(fd, data[len(data):cap(data)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return data, nil
		}
		data = data[:len(data)+n]
		if len(data) == cap(data) {
			data = append(make([]byte, 0, 2*cap(data)), data...)
		}
	}
}

func open(path string) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// Pids lists all processes, in no order.
func Pids() ([]int, error) { return numbers("/proc") }

// Threads lists the threads of a process.
func Threads(pid int) ([]int, error) { return numbers(file(pid, "task")) }

func numbers(folder string) ([]int, error) {
	dir, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	found := make([]int, 0, len(names))
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			found = append(found, n)
		}
	}
	return found, nil
}

// Children lists the children of a process, by all of its threads.
func Children(pid int) ([]int, error) {
	threads, err := Threads(pid)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, thread := range threads {
		some, err := ThreadChildren(pid, thread)
		if err != nil && !gone(err) {
			return all, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// ThreadChildren lists the children of one thread. Orphans that are given to a
// process become children of its first thread, whose number is the pid. A list
// that is read while children end may lack others: read it twice.
func ThreadChildren(pid, thread int) ([]int, error) {
	data, err := Read(file(pid, "task/"+strconv.Itoa(thread)+"/children"))
	if err == nil {
		return fields(data), nil
	}
	if _, absent := ReadStat(pid); absent != nil || !gone(err) {
		return nil, err
	}
	return childrenByParent(pid) // a kernel without CONFIG_PROC_CHILDREN
}

func childrenByParent(parent int) ([]int, error) {
	pids, err := Pids()
	if err != nil {
		return nil, err
	}
	var found []int
	for _, pid := range pids {
		if stat, err := ReadStat(pid); err == nil && stat.Parent == parent {
			found = append(found, pid)
		}
	}
	return found, nil
}

func gone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

func fields(data []byte) []int {
	var found []int
	for _, word := range bytes.Fields(data) {
		if n, err := strconv.Atoi(string(word)); err == nil {
			found = append(found, n)
		}
	}
	return found
}

func file(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }
