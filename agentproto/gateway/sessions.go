package gateway

import (
	"context"
	"sync"

	"github.com/hodei-jobs/hodei/aggregates/id"
)

// sessions holds the session each worker has: at most one. A newer one waits
// until the older has stopped, so that nothing the older did comes later.
type sessions struct {
	mu      sync.Mutex
	open    bool
	workers map[id.ID]*session
}

func (r *sessions) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open, r.workers = true, map[id.ID]*session{}
}

func (r *sessions) shut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = false
}

// begin counts a call among the running ones, unless the server is not serving.
func (r *sessions) begin(running *sync.WaitGroup) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open {
		running.Add(1)
	}
	return r.open
}

// enter makes s its worker's session. An older one is ended and waited for.
func (r *sessions) enter(ctx context.Context, s *session) error {
	for {
		older, err := r.place(s)
		if older == nil {
			return err
		}
		older.replace(s.instance)
		select {
		case <-older.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// place puts s in if its worker has no session, else returns that.
func (r *sessions) place(s *session) (older *session, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.open {
		return nil, errShutdown
	}
	if older := r.workers[s.worker]; older != nil {
		return older, nil
	}
	r.workers[s.worker] = s
	return nil, nil
}

// leave takes s out, and lets those who wait for its end go on.
func (r *sessions) leave(s *session) {
	r.mu.Lock()
	delete(r.workers, s.worker)
	r.mu.Unlock()
	close(s.done)
}

func (r *sessions) get(worker id.ID) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.workers[worker]
}

func (r *sessions) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*session, 0, len(r.workers))
	for _, s := range r.workers {
		all = append(all, s)
	}
	return all
}

func (r *sessions) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.workers)
}
