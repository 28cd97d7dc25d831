package process

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const killWait = 5 * time.Second // for a killed process to be gone

// Ended implements [providers.Provider].
func (p *Provider) Ended(ctx context.Context, handle string) (<-chan struct{}, error) {
	ended := make(chan struct{})
	r, ok, err := p.load(handle)
	if err != nil {
		return nil, fmt.Errorf("cannot watch worker %s: %w", handle, err)
	}
	if !ok || !r.alive() {
		close(ended)
		return ended, nil
	}
	fd, err := unix.PidfdOpen(r.PID, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		close(ended)
		return ended, nil
	case err != nil:
		return nil, fmt.Errorf("cannot watch worker %s: %w", handle, err)
	}
	// A pidfd is readable when its process has ended. The event fd wakes the wait
	// when nobody is interested any more.
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot watch worker %s: %w", handle, err), unix.Close(fd))
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	go func() {
		defer close(ended)
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if !stop() {
			<-woken // else it could write to what has this number next
		}
		_ = unix.Close(wake)
		_ = unix.Close(fd)
	}()
	return ended, nil
}

// Stop implements [providers.Provider].
func (p *Provider) Stop(ctx context.Context, handle string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok, err := p.load(handle)
	if err != nil {
		return fmt.Errorf("cannot stop worker %s: %w", handle, err)
	}
	if !ok || !r.alive() {
		return nil
	}
	ended, err := p.Ended(context.WithoutCancel(ctx), handle)
	if err != nil {
		return err
	}
	if err := syscall.Kill(r.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot stop worker %s: %w", handle, err)
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	return r.kill(ended)
}

// kill ends the agent under its guard, which then kills the agent's jobs and ends
// too; and the guard itself if even that takes too long.
func (r record) kill(ended <-chan struct{}) error {
	for _, agent := range children(r.PID) {
		_ = syscall.Kill(agent, syscall.SIGKILL)
	}
	if within(ended, killWait) {
		return nil
	}
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot kill process %d: %w", r.PID, err)
	}
	if within(ended, killWait) {
		return nil
	}
	return fmt.Errorf("process %d does not end", r.PID)
}

func within(ended <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	}
}
