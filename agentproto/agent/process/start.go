package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	Argv []string // the program, found by the PATH in Env, and its arguments
	Dir  string   // absolute
	Env  []string // all of it, as NAME=value
	TTY  bool     // output to a terminal; else to pipes

	// Stdout and Stderr get the output as it comes, each from a goroutine of its
	// own; a terminal has only Stdout. A Write that blocks blocks the writing
	// process in the end. After an error the rest is read and thrown away.
	Stdout, Stderr io.Writer
}

// Process is a started program with all its descendants. Its methods are safe
// for concurrent use, but Wait must be called exactly once.
type Process struct {
	host     *Host
	main     *os.Process
	pid      int
	mark     uint32
	terminal string // such as /dev/pts/3; empty with pipes
	outputs  outputs
	started  time.Time
	oomKills uint64 // counted at its start

	orphanCPU atomic.Int64 // ns, of its orphans that were reaped

	mu      sync.Mutex
	over    bool             // the main process has ended
	reaped  bool             // and its pid may be a stranger's now
	stopped bool             // Signal or Kill was called before it ended
	killed  bool             // Kill was called
	forced  bool             // its grace had passed before it ended
	asked   []syscall.Signal // by Stop
	killer  *time.Timer      // calls Kill at killAt; nil before Stop
	killAt  time.Time
}

// StartError says why a program can't be run, in words for the job's page.
type StartError struct {
	Program string
	Reason  string
	Err     error
}

func (e *StartError) Error() string { return fmt.Sprintf("cannot start %s: %s", e.Program, e.Reason) }

func (e *StartError) Unwrap() error { return e.Err }

// Start runs a program. It returns once the program has been exec'd, or a
// *StartError; then nothing is left of it.
func (h *Host) Start(spec Spec) (*Process, error) {
	path, err := find(spec.Argv[0], spec.Env, spec.Dir)
	if err != nil {
		return nil, err
	}
	p := &Process{host: h}
	files, err := p.open(spec)
	if err != nil {
		return nil, &StartError{Program: spec.Argv[0], Reason: err.Error(), Err: err}
	}
	err = p.fork(path, spec, files)
	for _, f := range files {
		f.Close() // the child has its own now; the output ends when those are closed
	}
	if err != nil {
		p.outputs.close()
		return nil, explain(err, path, spec)
	}
	p.outputs.start()
	return p, nil
}

// fork starts the main process and makes it known, in one step for those who
// list children.
func (p *Process) fork(path string, spec Spec, files []*os.File) error {
	h := p.host
	p.oomKills, _ = h.oom()
	h.starting.Lock()
	defer h.starting.Unlock()
	h.serial = (h.serial + 1) % maxMark
	p.mark = h.serial
	_ = setMark(p.mark) // the environment has it too
	main, err := os.StartProcess(path, spec.Argv, &os.ProcAttr{
		Dir:   spec.Dir,
		Env:   append(slices.Clip(spec.Env), markEntry(p.mark)),
		Files: append([]*os.File{h.null}, files...),
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return err
	}
	p.main, p.pid, p.started = main, main.Pid, time.Now()
	h.known[p.pid] = p
	return nil
}

// Terminal is the name of the process's terminal, such as /dev/pts/3, or empty.
func (p *Process) Terminal() string { return p.terminal }

// OrphanCPU is the time used by descendants that had left the tree and ended.
func (p *Process) OrphanCPU() time.Duration { return time.Duration(p.orphanCPU.Load()) }

// find looks a program up as a shell would, in the PATH it will run with.
func find(name string, env []string, dir string) (string, error) {
	if name == "" {
		return "", &StartError{Program: `""`, Reason: "the program's name is empty", Err: os.ErrInvalid}
	}
	if strings.Contains(name, "/") {
		if filepath.IsAbs(name) {
			return name, nil
		}
		return filepath.Join(dir, name), nil
	}
	path := lookup(env, "PATH")
	for _, folder := range filepath.SplitList(path) {
		if folder == "" {
			continue // a shell would take the working folder, which surprises
		}
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		full := filepath.Join(folder, name)
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", &StartError{Program: name, Reason: fmt.Sprintf("not found in PATH (%s)", path), Err: os.ErrNotExist}
}

// lookup gives the last value of a variable, which is the one that counts.
func lookup(env []string, name string) string {
	for _, variable := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// explain says what the kernel's answer to exec means here.
func explain(err error, path string, spec Spec) error {
	reason := err.Error()
	var system syscall.Errno
	if errors.As(err, &system) {
		reason = system.Error()
	}
	info, missing := os.Stat(path)
	switch {
	case !isFolder(spec.Dir):
		reason = fmt.Sprintf("its working folder %s does not exist", spec.Dir)
	case missing != nil && errors.Is(missing, os.ErrNotExist):
		reason = "no such file"
	case missing == nil && info.IsDir():
		reason = "it is a folder"
	case missing == nil && info.Mode()&0o111 == 0:
		reason = "it is not executable"
	case errors.Is(err, syscall.ENOENT):
		reason = "the interpreter that it names does not exist"
	case errors.Is(err, syscall.ENOEXEC):
		reason = "this machine can't run files of its format"
	case errors.Is(err, syscall.E2BIG):
		reason = "arguments and environment are too long"
	}
	return &StartError{Program: spec.Argv[0], Reason: reason, Err: err}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
