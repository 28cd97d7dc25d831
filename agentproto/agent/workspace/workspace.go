// Package workspace gives each attempt an empty folder of its own. Making and
// removing folders costs more than starting a process, so both happen beside the
// jobs: a few folders lie ready, and used ones are removed behind. One that its
// job didn't touch in any way is given out again.
package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	readyFolders = 8   // made ahead
	againFolders = 64  // untouched ones, to be given out again
	usedFolders  = 256 // wait to be removed; Release waits when there are more
	folderMode   = 0o700
	// settled is how old a folder must be when it is given out for its time of
	// change to tell whether it was changed later: file systems count in steps.
	settled = 20 * time.Millisecond

	// How long after a folder could not be made the next is tried: longer each
	// time, up to the second of these.
	firstRetry = time.Second
	maxRetry   = time.Minute

	// The same for those that could not be removed, of which only so many are
	// remembered: the next agent tries all that lie there.
	firstRemoval = time.Minute
	maxRemoval   = time.Hour
	maxStuck     = 1024
)

// Folder is a workspace.
type Folder struct {
	Path string // absolute

	name  string
	made  syscall.Timespec // the kernel's time of its last change, which nobody can set
	fresh bool             // given out too young for that to tell anything
}

// Pool makes workspaces below one folder, which is its own alone. It is safe for
// concurrent use.
type Pool struct {
	// Report is told what could not be made ahead or removed, once for each. It
	// may be set before Run, and is called by goroutines of that.
	Report func(error)

	rid   func(context.Context, string) error // removes one; it is remove, unless a test has another
	root  *os.Root
	last  atomic.Uint64
	ready chan Folder
	again chan Folder
	used  chan string
	old   []string // what lay there at Open
}

// Open takes a folder, which it makes if there is none. What an earlier agent
// left in it is removed while Run runs.
func Open(folder string) (*Pool, error) {
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return nil, fmt.Errorf("cannot make the folder of workspaces: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("cannot open the folder of workspaces: %w", err)
	}
	old, err := list(root)
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("cannot list the folder of workspaces: %w", err)
	}
	p := &Pool{
		root:  root,
		ready: make(chan Folder, readyFolders),
		again: make(chan Folder, againFolders),
		used:  make(chan string, usedFolders),
		old:   old,
	}
	p.rid = p.remove
	return p, nil
}

func list(root *os.Root) ([]string, error) {
	folder, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	return folder.Readdirnames(-1)
}

// Run makes and removes folders until ctx ends.
func (p *Pool) Run(ctx context.Context) {
	removed := make(chan struct{})
	go func() {
		defer close(removed)
		p.removeAll(ctx)
	}()
	p.makeAll(ctx)
	<-removed
}

// makeAll keeps folders ready. While it can't make one, Take tries, and tells
// why not.
func (p *Pool) makeAll(ctx context.Context) {
	pause := firstRetry
	for {
		folder, err := p.make()
		if err != nil {
			if pause == firstRetry {
				p.report(fmt.Errorf("cannot make workspaces ahead: %w", err))
			}
			if !sleep(ctx, pause) {
				return
			}
			pause = min(2*pause, maxRetry)
			continue
		}
		pause = firstRetry
		select {
		case p.ready <- folder:
		case <-ctx.Done():
			return
		}
	}
}

// sleep reports whether it was not cut short.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *Pool) report(err error) {
	if err != nil && p.Report != nil {
		p.Report(err)
	}
}

// removeAll removes what is left of jobs. What stays is tried again now and then.
func (p *Pool) removeAll(ctx context.Context) {
	r := removals{pool: p}
	for _, name := range p.old {
		if ctx.Err() != nil {
			return
		}
		r.try(ctx, name)
	}
	pause := firstRemoval
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case name := <-p.used:
			r.try(ctx, name)
		case <-timer.C:
			if r.tryStuck(ctx) {
				pause = firstRemoval
			} else {
				pause = min(2*pause, maxRemoval)
			}
			timer.Reset(pause)
		case <-ctx.Done():
			return
		}
	}
}

// removals belong to the goroutine that removes.
type removals struct {
	pool  *Pool
	stuck []string // could not be removed, and that was reported
}

func (r *removals) try(ctx context.Context, name string) {
	if err := r.pool.rid(ctx, name); err != nil {
		r.pool.report(err)
		r.keep(name)
	}
}

func (r *removals) keep(name string) {
	if len(r.stuck) < maxStuck {
		r.stuck = append(r.stuck, name)
	}
}

// tryStuck tries again what stayed, and reports whether some of it is gone or there
// was none. Folders that are given back meanwhile are removed first.
func (r *removals) tryStuck(ctx context.Context) (some bool) {
	stuck := r.stuck
	r.stuck = nil
	some = len(stuck) == 0
	for _, name := range stuck {
		for waiting := true; waiting && ctx.Err() == nil; {
			select {
			case used := <-r.pool.used:
				r.try(ctx, used)
			default:
				waiting = false
			}
		}
		if err := r.pool.rid(ctx, name); err != nil {
			r.keep(name)
		} else {
			some = true
		}
	}
	return some
}

// Take gives an empty folder.
func (p *Pool) Take() (Folder, error) {
	folder, err := p.take()
	if err != nil {
		return Folder{}, fmt.Errorf("cannot make a workspace: %w", err)
	}
	folder.fresh = time.Since(time.Unix(folder.made.Unix())) < settled
	return folder, nil
}

func (p *Pool) take() (Folder, error) {
	select {
	case folder := <-p.again:
		return folder, nil
	default:
	}
	select {
	case folder := <-p.ready:
		return folder, nil
	default:
		return p.make()
	}
}

// Release gives a folder back, once nothing uses it any more: to be given out
// again, or to be removed.
func (p *Pool) Release(ctx context.Context, folder Folder) {
	if p.untouched(folder) {
		select {
		case p.again <- folder:
			return
		default:
		}
	}
	select {
	case p.used <- folder.name:
	case <-ctx.Done(): // the next agent removes it
	}
}

// untouched: whatever is done to a folder or in it, be it undone later, moves its
// time of change.
func (p *Pool) untouched(folder Folder) bool {
	made, err := p.changed(folder.name)
	return err == nil && !folder.fresh && made == folder.made
}

func (p *Pool) changed(name string) (syscall.Timespec, error) {
	info, err := p.root.Lstat(name)
	if err != nil {
		return syscall.Timespec{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return syscall.Timespec{}, errors.ErrUnsupported
	}
	return stat.Ctim, nil
}

// make takes the next number that is free; an earlier agent's may still lie there.
func (p *Pool) make() (Folder, error) {
	for {
		name := strconv.FormatUint(p.last.Add(1), 10)
		err := p.root.Mkdir(name, folderMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return Folder{}, err
		}
		made, err := p.changed(name)
		return Folder{Path: filepath.Join(p.root.Name(), name), name: name, made: made}, err
	}
}
