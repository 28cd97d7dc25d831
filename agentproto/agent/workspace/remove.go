package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// maxDepth is how many folders of a tree are open at once. One that lies
	// deeper is moved up first, so that any depth costs the same a folder.
	maxDepth = 32
	// maxPasses is how often a folder is emptied that isn't empty after that:
	// somebody fills it.
	maxPasses = 8
	// namesAtOnce bounds what is held of a folder with many entries.
	namesAtOnce = 256

	movedName = ".hodei-moved-" // with a number: what was moved up
)

// errStopped ends a removal whose time is up; the next agent goes on with it.
var errStopped = errors.New("stopped")

// remover removes one tree. It never follows a link and never enters what is
// mounted in the tree: that is somebody else's, whatever a job mounted there.
type remover struct {
	ctx   context.Context
	mount uint64   // that all of the tree is in
	top   *os.File // the tree's own folder
	moved int      // numbers that were used for what was moved up into it

	left  int   // how many things could not be removed
	first error // why, of the first
}

// remove removes one entry of the pool's folder with all below it. The error
// names what stays.
func (p *Pool) remove(ctx context.Context, name string) error {
	folder, err := p.root.Open(".")
	if err != nil {
		return fmt.Errorf("cannot remove the workspace %s: %w", name, err)
	}
	defer folder.Close()
	r := &remover{ctx: ctx}
	if r.mount, err = mountOf(descriptor(folder)); err == nil {
		r.entry(folder, name, name, 0)
		err = r.first
	}
	switch {
	case err == nil || ctx.Err() != nil:
		return nil
	case r.left > 1:
		return fmt.Errorf("cannot remove all of the workspace %s; it is tried again now and then; %d things stay, the first is %w", name, r.left, err)
	}
	return fmt.Errorf("cannot remove all of the workspace %s; it is tried again now and then; what stays is %w", name, err)
}

// entry removes a file, or a folder with all below it. The path is for people.
func (r *remover) entry(dir *os.File, name, path string, depth int) {
	if r.ctx.Err() != nil {
		r.fail(path, errStopped)
		return
	}
	err := again(func() error { return unix.Unlinkat(descriptor(dir), name, 0) })
	switch {
	case err == nil || errors.Is(err, unix.ENOENT):
	case errors.Is(err, unix.EISDIR):
		r.folder(dir, name, path, depth)
	case errors.Is(err, unix.EBUSY): // a mounted file
		file, err := r.bare(dir, name, unix.O_PATH|unix.O_NOFOLLOW)
		if err == nil {
			file.Close()
			err = unix.Unlinkat(descriptor(dir), name, 0)
		}
		if err != nil {
			r.fail(path, err)
		}
	default:
		r.fail(path, err)
	}
}

// folder removes a folder, at once if it is empty.
func (r *remover) folder(dir *os.File, name, path string, depth int) {
	err := unix.Unlinkat(descriptor(dir), name, unix.AT_REMOVEDIR)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return
	}
	folder, err := r.open(dir, name, path)
	if err != nil {
		r.fail(path, err)
		return
	}
	defer folder.Close()
	if depth == maxDepth {
		if err := r.moveUp(dir, name); err != nil {
			r.fail(path, err)
		}
		return
	}
	if depth == 0 {
		r.top = folder
	}
	left := r.left
	for range maxPasses {
		r.empty(folder, path, depth)
		err = unix.Unlinkat(descriptor(dir), name, unix.AT_REMOVEDIR)
		if err == nil || r.left > left {
			return
		}
	}
	r.fail(path, err)
}

// empty removes what is in a folder. In the tree's own that includes what was
// moved up meanwhile.
func (r *remover) empty(folder *os.File, path string, depth int) {
	if _, err := folder.Seek(0, io.SeekStart); err != nil {
		r.fail(path, err)
		return
	}
	for {
		names, err := folder.Readdirnames(namesAtOnce)
		for _, name := range names {
			r.entry(folder, name, filepath.Join(path, name), depth+1)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			r.fail(path, err)
		}
		break
	}
	for n := 0; depth == 0 && n < r.moved; n++ {
		name := movedName + strconv.Itoa(n)
		r.entry(folder, name, filepath.Join(path, name), 1)
	}
}

// moveUp moves a folder that lies too deep into the tree's own. A name that is
// taken there, by whatever the job named so, is passed over.
func (r *remover) moveUp(dir *os.File, name string) error {
	for {
		to := movedName + strconv.Itoa(r.moved)
		r.moved++
		err := unix.Renameat(descriptor(dir), name, descriptor(r.top), to)
		switch {
		case errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.ENOTDIR):
		default:
			return err
		}
	}
}

// open opens a folder to list and empty it, also one that the job made
// unreadable for its own user.
func (r *remover) open(dir *os.File, name, path string) (*os.File, error) {
	bare, err := r.bare(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer bare.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(descriptor(bare), &stat); err != nil {
		return nil, err
	}
	if stat.Mode&folderMode != folderMode {
		// By the open file: nothing can have been put in its place.
		if err := unix.Chmod(link(bare), folderMode); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Openat(descriptor(bare), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// fail notes what stays.
func (r *remover) fail(path string, err error) {
	r.left++
	if r.first == nil {
		r.first = fmt.Errorf("%s: %w", path, err)
	}
}

func descriptor(f *os.File) int { return int(f.Fd()) }

func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
