package main

import (
	"fmt"
	"io"
	"sync"

	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// statusLine writes what becomes of a job, one line at a time. On a terminal a
// line may stand only until the next; elsewhere each is a line of its own. What
// was written last is not written again. It is safe for concurrent use.
type statusLine struct {
	w     io.Writer
	style term.Style

	mu       sync.Mutex
	last     string
	standing bool // a line that is to be replaced stands, without its end
}

// replace writes a line that the next one takes the place of.
func (s *statusLine) replace(line string) { s.write(line, s.style.Terminal) }

// print writes a line that stays.
func (s *statusLine) print(line string) { s.write(line, false) }

func (s *statusLine) write(line string, standing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line == s.last {
		return
	}
	s.erase()
	s.last, s.standing = line, standing
	if standing {
		fmt.Fprint(s.w, line)
		return
	}
	fmt.Fprintln(s.w, line)
}

// clear takes the line that stands away, before something else is written.
func (s *statusLine) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

func (s *statusLine) erase() {
	if s.standing {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.standing = false
	}
}
