package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// How often a waiting line may be written.
const (
	waitFirst  = 300 * time.Millisecond // what is over sooner is not worth a word
	waitRedraw = 100 * time.Millisecond // on a terminal, in its place
	waitLine   = 10 * time.Second       // elsewhere, as a line of its own
)

// screen shows a followed job: its output, and beside it, on the other stream,
// words for people. Words are of two kinds: a line said stays; a waiting line is
// replaced, on a terminal in its place, by whatever comes next. Between pieces of
// output nothing is written that is not words. It is safe for concurrent use.
type screen struct {
	out, errOut io.Writer // the job's bytes
	words       io.Writer // for people; nil for none
	style       term.Style
	shared      bool // output and words are on one terminal
	raw         bool // all bytes reach a terminal
	once        bool // where it can't be replaced, a waiting line is written once for all
	still       bool // nothing is told of what goes on

	mu       sync.Mutex
	middle   bool        // the output stands in the middle of a line
	standing bool        // a waiting line stands on the terminal, without its end
	written  string      // the waiting line written last
	next     string      // a waiting line that is due when the timer fires
	timer    *time.Timer // nil if nothing is due
	last     time.Time   // of the waiting line written last; zero before the first
}

// newScreen returns the screen of a. Words are left out if there are to be none.
func newScreen(a *app, words, raw bool) *screen {
	s := &screen{out: a.jobOutput(a.stdout, a.out, raw), errOut: a.jobOutput(a.stderr, a.err, raw), style: a.err, shared: a.out.Terminal && a.err.Terminal, raw: raw && a.out.Terminal,
		still: a.progress == progressNone}
	if words && !a.quiet && !a.programs() {
		s.words = a.stderr
	}
	return s
}

// jobOutput returns where a job's bytes go: unchanged, unless that is a terminal.
func (a *app) jobOutput(w io.Writer, s term.Style, raw bool) io.Writer {
	if s.Terminal && !raw {
		return term.NewFilter(w)
	}
	return w
}

// output writes a piece of the job's output.
func (s *screen) output(stderr bool, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	w := s.out
	if stderr {
		w = s.errOut
	}
	if _, err := w.Write(b); err != nil {
		if errors.Is(err, syscall.EPIPE) { // whoever read it has seen enough
			return unheard
		}
		return &fs.PathError{Op: "write", Path: "standard output", Err: err}
	}
	if len(b) > 0 {
		s.middle = b[len(b)-1] != '\n'
	}
	return nil
}

// Write writes output of a job without a terminal of its own.
func (s *screen) Write(b []byte) (int, error) { return len(b), s.output(false, b) }

// goes writes a line of what goes on, which stays.
func (s *screen) goes(line string) {
	if !s.still {
		s.say(line)
	}
}

// say writes a line that stays.
func (s *screen) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.words == nil {
		return
	}
	s.drop()
	s.newline()
	fmt.Fprintln(s.words, line)
}

// wait shows what a job waits for until something else is shown.
func (s *screen) wait(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.words == nil || s.still {
		return
	}
	s.next = line
	if s.timer == nil {
		s.timer = time.AfterFunc(s.pause(), s.due)
	}
}

// settle takes the waiting line away: it waits no more.
func (s *screen) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
}

// pause is how long until a waiting line may be written.
func (s *screen) pause() time.Duration {
	if s.written == "" {
		return waitFirst
	}
	every := waitLine
	if s.style.Redraws {
		every = waitRedraw
	}
	return max(every-time.Since(s.last), 0)
}

func (s *screen) due() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	line := s.next
	if line == "" || line == s.written || s.once && !s.style.Redraws && !s.last.IsZero() {
		return
	}
	s.erase()
	s.newline()
	s.written, s.next, s.last = line, "", time.Now()
	if s.style.Redraws {
		fmt.Fprint(s.words, line)
		s.standing = true
		return
	}
	fmt.Fprintln(s.words, line)
}

// close takes away what stands, and leaves the terminal's colours as they were.
func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	for _, w := range []io.Writer{s.out, s.errOut} {
		if f, ok := w.(*term.Filter); ok {
			_ = f.Reset()
		}
	}
	if s.raw {
		fmt.Fprint(s.out, term.Reset)
	}
	if s.words != nil {
		s.newline()
	}
}

// drop forgets a waiting line, before something else is written.
func (s *screen) drop() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.next, s.written = "", ""
	s.erase()
}

func (s *screen) erase() {
	if s.standing {
		fmt.Fprint(s.words, "\r\x1b[K")
		s.standing = false
	}
}

// newline ends a line of output that words would be appended to.
func (s *screen) newline() {
	if s.middle && s.shared {
		fmt.Fprintln(s.words)
		s.middle = false
	}
}
