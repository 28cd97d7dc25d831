package main

import (
	"context"
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// errUnread is why a following ends whose reader has seen enough.
var errUnread = errors.New("nobody reads the output any more")

// unheard is the code of a command that writes to a reader that has gone.
const unheard = silent(exitSignal + int(syscall.SIGPIPE))

// whileRead runs fn with a context that ends when whoever reads the standard
// output through a pipe has gone, such as head: without new output it would not
// be noticed by a write.
func (a *app) whileRead(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if f, ok := a.stdout.(*os.File); ok {
		go func() { // ends with the process: a poll can't be called back
			if unread(f) {
				cancel(errUnread)
			}
		}()
	}
	err := fn(ctx)
	if context.Cause(ctx) == errUnread {
		return unheard
	}
	return err
}

// unread waits until the reader of a pipe has gone; of what is no pipe it says
// false at once.
func unread(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	for {
		n, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false
		case n > 0:
			return fds[0].Revents&unix.POLLERR != 0
		}
	}
}
