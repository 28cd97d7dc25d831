package socket

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// place is a socket that listens, in a folder.
type place struct {
	folder, path string
	listener     *net.UnixListener
	release      func()

	made  [2]syscall.Timespec // the kernel's times of the last change of both, which nobody can set
	since time.Time
	fresh bool // given out too young for those to tell anything
}

// open makes the socket in a folder. One that is left there is replaced.
func open(folder string) (*place, error) {
	p := &place{folder: folder, path: filepath.Join(folder, name), since: time.Now()}
	short, release, err := reach(p.path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Lstat(p.path); err == nil && info.Mode().Type() == fs.ModeSocket {
		// If it can't be removed, the next step says so.
		_ = os.Remove(p.path)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		release()
		return nil, err
	}
	p.listener, p.release = listener, release
	p.made, _ = p.changed()
	return p, nil
}

func (p *place) changed() (times [2]syscall.Timespec, err error) {
	for i, path := range []string{p.folder, p.path} {
		var stat syscall.Stat_t
		if err := syscall.Lstat(path, &stat); err != nil {
			return times, err
		}
		times[i] = stat.Ctim
	}
	return times, nil
}

// intact: whatever is done to the socket or its folder, be it undone later, moves
// the time of change of one of them.
func (p *place) intact() bool {
	now, err := p.changed()
	return err == nil && now == p.made
}

// untouched says whether another attempt may have it: nobody has done anything to
// it, nor waits to be accepted.
func (p *place) untouched() bool { return !p.fresh && p.intact() && !p.waiting() }

// waiting reports whether somebody waits to be accepted.
func (p *place) waiting() bool {
	raw, err := p.listener.SyscallConn()
	if err != nil {
		return true
	}
	found := false
	err = raw.Control(func(listener uintptr) {
		if fd, _, err := syscall.Accept4(int(listener), syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK); err == nil {
			found = true
			_ = syscall.Close(fd)
		}
	})
	return found || err != nil
}

func (p *place) close() {
	p.listener.Close() // removes the socket, which may need what release gives up
	p.release()
}

// remove closes it and removes the folder. A job may have put things there; what
// can't be removed goes with the folder above it.
func (p *place) remove() {
	p.close()
	_ = os.RemoveAll(p.folder)
}
