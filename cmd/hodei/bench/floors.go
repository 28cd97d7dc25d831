package bench

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

const (
	syncBytes = 512 // of a durable write
	syncCount = 2000
	forkCount = 2000
)

// floors measures what nothing here can be faster than.
func floors(ctx context.Context, r *Run) error {
	if err := floorSync(r); err != nil {
		return err
	}
	return floorFork(ctx, r)
}

func floorSync(r *Run) error {
	dir, done, err := folder()
	if err != nil {
		return err
	}
	defer done()
	f, err := os.Create(filepath.Join(dir, "floor"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	n, block := r.count(syncCount, 100), make([]byte, syncBytes)
	begun := time.Now()
	for range n {
		if _, err := f.Write(block); err != nil {
			return err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
	}
	r.Figures["floor_fdatasync_per_s"] = perSecond(n, time.Since(begun))
	return nil
}

// floorFork runs sh -c true in a terminal, as many at once as there are cores.
func floorFork(ctx context.Context, r *Run) error {
	n := int64(r.count(forkCount, 100))
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	begun := time.Now()
	for range runtime.NumCPU() {
		all.Go(func() {
			for next.Add(1) <= n && ctx.Err() == nil {
				if err := runInTerminal(ctx); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	r.Figures["floor_fork_exec_pty_per_s"] = perSecond(int(n), time.Since(begun))
	return ctx.Err()
}

func runInTerminal(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", "true")
	f, err := pty.Start(cmd)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, f) // ends with EIO when the last process has closed the terminal
	_ = f.Close()
	return cmd.Wait()
}
