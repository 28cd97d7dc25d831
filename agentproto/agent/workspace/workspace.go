// Package workspace gives each attempt an empty folder of its own. Making and
// removing folders costs more than starting a process, so both happen beside the
// jobs: a few folders lie ready, and used ones are removed behind.
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
)

const (
	readyFolders = 8   // made ahead
	usedFolders  = 256 // wait to be removed; Release waits when there are more
	folderMode   = 0o700
)

// Pool makes workspaces below one folder, which is its own alone. It is safe for
// concurrent use.
type Pool struct {
	root  *os.Root
	last  atomic.Uint64
	ready chan string
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
	return &Pool{
		root:  root,
		ready: make(chan string, readyFolders),
		used:  make(chan string, usedFolders),
		old:   old,
	}, nil
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

// makeAll keeps folders ready. When it can't make one, Take will, and tell why.
func (p *Pool) makeAll(ctx context.Context) {
	for {
		name, err := p.make()
		if err != nil {
			return
		}
		select {
		case p.ready <- name:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Pool) removeAll(ctx context.Context) {
	for _, name := range p.old {
		if ctx.Err() != nil {
			return
		}
		p.remove(name)
	}
	for {
		select {
		case name := <-p.used:
			p.remove(name)
		case <-ctx.Done():
			return
		}
	}
}

// Take gives the absolute path of an empty folder.
func (p *Pool) Take() (string, error) {
	select {
	case name := <-p.ready:
		return p.path(name), nil
	default:
	}
	name, err := p.make()
	if err != nil {
		return "", fmt.Errorf("cannot make a workspace: %w", err)
	}
	return p.path(name), nil
}

// Release gives a folder back to be removed, once nothing uses it any more.
func (p *Pool) Release(ctx context.Context, path string) {
	select {
	case p.used <- filepath.Base(path):
	case <-ctx.Done(): // the next agent removes it
	}
}

// make takes the next number that is free; an earlier agent's may still lie there.
func (p *Pool) make() (string, error) {
	for {
		name := strconv.FormatUint(p.last.Add(1), 10)
		err := p.root.Mkdir(name, folderMode)
		if !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}

func (p *Pool) path(name string) string { return filepath.Join(p.root.Name(), name) }

// remove never follows a link out of the folder, whatever a job put there. What
// a job made unreadable is opened up first.
func (p *Pool) remove(name string) {
	if p.root.RemoveAll(name) == nil {
		return
	}
	_ = fs.WalkDir(p.root.FS(), name, func(path string, entry fs.DirEntry, _ error) error {
		if entry != nil && entry.IsDir() {
			_ = p.root.Chmod(path, folderMode)
		}
		return nil
	})
	_ = p.root.RemoveAll(name)
}
