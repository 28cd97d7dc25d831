package socket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	readySockets = 8   // made ahead
	againSockets = 64  // untouched ones, to be given out again
	usedSockets  = 256 // wait to be removed
	folderMode   = 0o700
	// settled is how old a socket must be when it is given out for its time of change
	// to tell whether it was changed later: file systems count in steps.
	settled = 20 * time.Millisecond
	// maxNumber is how many digits the number of an attempt's folder is taken to have.
	maxNumber = 10
)

// Root is where the sockets of one agent are: each in a folder of its own, below
// one that is the agent's alone. Making them costs as much as starting a process, so
// a few lie ready, and used ones are removed behind. One that its job didn't touch
// in any way is given out again. It is safe for concurrent use.
type Root struct {
	path  string
	last  atomic.Uint64
	ready chan *place
	again chan *place
	used  chan *place
}

// OpenRoot takes the folder "run" in an agent's own state folder. Where that lies
// too deep for the kernel, which takes paths of 107 bytes, it takes one among the
// temporary files, by a name that the same state folder has again. What an earlier
// agent left there is removed.
func OpenRoot(state string) (*Root, error) {
	near := filepath.Join(state, "run")
	if !fits(near) {
		digest := sha256.Sum256([]byte(state))
		far := filepath.Join(os.TempDir(), "hodei-"+hex.EncodeToString(digest[:8]))
		// Somebody else may have taken the name. Then programs that don't know how to
		// reach deep sockets can't, but hodei-agent mask can.
		if fits(far) && renew(far) == nil {
			return newRoot(far), nil
		}
	}
	if err := renew(near); err != nil {
		return nil, fmt.Errorf("cannot make the folder of sockets: %w", err)
	}
	return newRoot(near), nil
}

// fits says whether sockets below a folder have paths that the kernel takes.
func fits(root string) bool { return len(root)+1+maxNumber+1+len(name) <= maxPath }

// renew makes a folder that was made by this user just now, or fails.
func renew(folder string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return os.Mkdir(folder, folderMode)
}

func newRoot(path string) *Root {
	return &Root{
		path:  path,
		ready: make(chan *place, readySockets),
		again: make(chan *place, againSockets),
		used:  make(chan *place, usedSockets),
	}
}

// Run makes and removes sockets until ctx ends, then removes all. What a server has
// then is left to the next agent.
func (r *Root) Run(ctx context.Context) {
	for {
		next, err := r.make()
		ready := r.ready
		if err != nil { // Listen makes one itself, and tells why it can't
			ready = nil
		}
		for waits := true; waits; {
			select {
			case ready <- next:
				waits = false
			case p := <-r.used:
				p.remove()
			case <-ctx.Done():
				r.close(next)
				return
			}
		}
	}
}

// close closes all that nobody uses, and removes the folder. What can't be removed,
// the next agent removes.
func (r *Root) close(next *place) {
	for more := true; more; {
		if next != nil {
			next.close()
		}
		select {
		case next = <-r.ready:
		case next = <-r.again:
		case next = <-r.used:
		default:
			more = false
		}
	}
	_ = os.RemoveAll(r.path)
}

// Listen gives an attempt a socket. Secrets that come are given to add, which must
// be safe for concurrent use and must not keep them: [mask.Set.Add]. The server's
// Run has to follow.
func (r *Root) Listen(add func(secret []byte) (unused []string, err error)) (*Server, error) {
	p, err := r.take()
	if err != nil {
		return nil, fmt.Errorf("cannot listen for secrets: %w", err)
	}
	p.fresh = time.Since(p.since) < settled
	return &Server{place: p, root: r, add: add}, nil
}

func (r *Root) take() (*place, error) {
	for _, from := range []chan *place{r.again, r.ready} {
		select {
		case p := <-from:
			if p.intact() {
				return p, nil
			}
			p.remove()
		default:
		}
	}
	return r.make()
}

func (r *Root) make() (*place, error) {
	folder := filepath.Join(r.path, strconv.FormatUint(r.last.Add(1), 10))
	err := os.Mkdir(folder, folderMode)
	if errors.Is(err, fs.ErrNotExist) { // temporary files that look unused are removed now and then
		if err = os.Mkdir(r.path, folderMode); err == nil {
			err = os.Mkdir(folder, folderMode)
		}
	}
	if err != nil {
		return nil, err
	}
	return open(folder)
}

// takeBack is for a socket that its attempt has no more use for: it is given out
// again, or removed.
func (r *Root) takeBack(p *place, unused bool) {
	if unused && p.untouched() && p.listener.SetDeadline(time.Time{}) == nil {
		select {
		case r.again <- p:
			return
		default:
		}
	}
	select {
	case r.used <- p:
	default:
		p.remove()
	}
}
