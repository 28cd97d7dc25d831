package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore"
)

// spaceCheck is how often a store with a full disk looks whether there is room
// again; it looks when somebody appends.
const spaceCheck = time.Second

// space watches over a full disk. As long as there is room a file holds some in
// reserve; when the disk is full it is removed and only essential appends are
// taken, until there is room for the reserve twice. Whoever else writes to this
// disk asks first, see [Store.SpaceIsLow]: else it would take what was freed.
type space struct {
	dir   string
	bytes int64 // of the reserve; 0 for none
	types map[string]bool
	now   func() time.Time
	free  func(dir string) (int64, error)

	mu      sync.Mutex
	low     bool
	checked time.Time
}

func newSpace(cfg Config) *space {
	s := &space{
		dir: cfg.Dir, bytes: max(0, cfg.ReserveBytes), now: cfg.Clock, free: freeBytes,
		types: make(map[string]bool, len(cfg.Essential)),
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, t := range cfg.Essential {
		s.types[t] = true
	}
	return s
}

func (s *space) path() string { return filepath.Join(s.dir, "reserve") }

// enter is called when the disk was found full.
func (s *space) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.low {
		return
	}
	s.low, s.checked = true, s.now()
	_ = os.Remove(s.path()) // if that fails there is no reserve; appends say so
}

// isLow reports whether only essential appends are taken.
func (s *space) isLow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.low || s.now().Sub(s.checked).Abs() < spaceCheck {
		return s.low
	}
	s.checked = s.now()
	if free, err := s.free(s.dir); err == nil && free >= s.needed() {
		s.low = s.allocate() != nil
	}
	return s.low
}

// minFree is what must be free before appends are taken again.
const minFree = 1 << 20

func (s *space) needed() int64 { return max(minFree, 2*s.bytes) }

// allocate makes the reserve file.
func (s *space) allocate() error {
	if s.bytes == 0 {
		return nil
	}
	f, err := os.OpenFile(s.path(), os.O_CREATE|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, s.bytes)
	if errors.Is(err, unix.EOPNOTSUPP) {
		_, err = f.Write(make([]byte, s.bytes))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(s.path()))
	}
	return nil
}

// essential reports whether an append is taken although the disk is full.
func (s *space) essential(a *eventstore.Append) bool {
	for i := range a.Batches {
		for k := range a.Batches[i].Events {
			if !s.types[a.Batches[i].Events[k].Type] {
				return false
			}
		}
	}
	return true
}

func (s *space) refusal() error {
	have := "an unknown number of"
	if free, err := s.free(s.dir); err == nil {
		have = fmt.Sprint(free)
	}
	return &eventstore.ReadOnlyError{Reason: fmt.Sprintf(
		"the disk of %s is full: it has %s bytes free and needs %d; free some and appends are taken again",
		s.dir, have, s.needed())}
}

func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}
