package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readBytes    = 32 << 10
	terminalRows = 40
	terminalCols = 120
)

// open makes the process's standard output and error, and the ends we read.
// What it returns is for the child, and must be closed here after the fork.
func (p *Process) open(spec Spec) ([]*os.File, error) {
	if !spec.TTY {
		return p.openPipes(spec)
	}
	master, slave, name, err := openTerminal()
	if err != nil {
		return nil, fmt.Errorf("no terminal: %w", err)
	}
	p.terminal = name
	p.outputs.add(master, spec.Stdout)
	return []*os.File{slave, slave}, nil
}

func (p *Process) openPipes(spec Spec) ([]*os.File, error) {
	var files []*os.File
	for _, to := range []io.Writer{spec.Stdout, spec.Stderr} {
		read, write, err := os.Pipe()
		if err != nil {
			p.outputs.close()
			for _, f := range files {
				f.Close()
			}
			return nil, fmt.Errorf("no pipe: %w", err)
		}
		p.outputs.add(read, to)
		files = append(files, write)
	}
	return files, nil
}

// openTerminal makes a terminal that hands bytes through unchanged: no echo, no
// "\n" made into "\r\n". It controls nobody.
func openTerminal() (master, slave *os.File, name string, err error) {
	// Non-blocking, so that reads wait in the runtime's poller and end when the
	// file is closed. Opening it never makes it a controlling terminal.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, "", err
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, "", err
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, "", err
	}
	name = fmt.Sprintf("/dev/pts/%d", number)
	peer, err := openPeer(fd, name)
	if err != nil {
		return nil, nil, "", err
	}
	slave = os.NewFile(uintptr(peer), name)
	if err := setUp(peer); err != nil {
		slave.Close()
		return nil, nil, "", err
	}
	return master, slave, name, nil
}

// openPeer opens the other end through the master, which works whatever is
// mounted at /dev/pts; by name on kernels before 4.13.
func openPeer(master int, name string) (int, error) {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, _, failed := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, flags)
	if failed == 0 {
		return int(fd), nil
	}
	return unix.Open(name, flags, 0)
}

func setUp(slave int) error {
	settings, err := unix.IoctlGetTermios(slave, unix.TCGETS)
	if err != nil {
		return err
	}
	settings.Oflag &^= unix.OPOST
	settings.Lflag &^= unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHONL
	if err := unix.IoctlSetTermios(slave, unix.TCSETS, settings); err != nil {
		return err
	}
	return unix.IoctlSetWinsize(slave, unix.TIOCSWINSZ, &unix.Winsize{Row: terminalRows, Col: terminalCols})
}

// outputs are all that is read of a process.
type outputs struct {
	all   []*output
	open  atomic.Int32
	ended chan struct{} // closed when none is open any more
}

func (o *outputs) add(file *os.File, to io.Writer) {
	if to == nil {
		to = io.Discard
	}
	o.all = append(o.all, &output{file: file, to: to})
}

// start begins reading.
func (o *outputs) start() {
	o.ended = make(chan struct{})
	o.open.Store(int32(len(o.all)))
	for _, one := range o.all {
		go func() {
			one.run()
			if o.open.Add(-1) == 0 {
				close(o.ended)
			}
		}()
	}
}

// close ends reading where it stands.
func (o *outputs) close() {
	for _, one := range o.all {
		one.file.Close()
	}
}

// endWithin waits until the output has ended, at most for the limit.
func (o *outputs) endWithin(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-o.ended:
	case <-timer.C:
	}
}

// waitAtMost waits until the output has ended, and reports whether it did before
// the process was waited for longer than limit. Time in which the reader waits
// for its own writer doesn't count: what lies in a full pipe is not late.
func (o *outputs) waitAtMost(limit time.Duration) bool {
	begin := make([]time.Duration, len(o.all))
	for i, one := range o.all {
		begin[i] = one.waited()
	}
	for {
		left := limit
		for i, one := range o.all {
			if !one.done.Load() {
				left = min(left, limit-(one.waited()-begin[i]))
			}
		}
		if left <= 0 {
			return o.open.Load() == 0
		}
		timer := time.NewTimer(left)
		select {
		case <-o.ended:
			timer.Stop()
			return true
		case <-timer.C:
		}
	}
}

// output is one stream that is read.
type output struct {
	file *os.File
	to   io.Writer
	done atomic.Bool

	mu    sync.Mutex
	total time.Duration // spent waiting for bytes, up to since
	since time.Time     // when the read that goes on began; zero if none does
}

// Buffers outlive the short jobs that use them.
var buffers = sync.Pool{New: func() any { return new([readBytes]byte) }}

// run hands everything on until the end. A terminal's end is EIO, a pipe's EOF.
func (o *output) run() {
	buffer := buffers.Get().(*[readBytes]byte)
	defer buffers.Put(buffer)
	defer o.done.Store(true)
	defer o.file.Close()
	for {
		n, err := o.read(buffer[:])
		if n > 0 {
			if _, failed := o.to.Write(buffer[:n]); failed != nil {
				o.to = io.Discard
			}
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func (o *output) read(buffer []byte) (int, error) {
	o.mark(time.Now())
	n, err := o.file.Read(buffer)
	o.mark(time.Time{})
	return n, err
}

func (o *output) mark(since time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		o.total += time.Since(o.since)
	}
	o.since = since
}

func (o *output) waited() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return o.total
	}
	return o.total + time.Since(o.since)
}
