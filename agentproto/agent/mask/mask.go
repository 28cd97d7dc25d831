// Package mask replaces secrets in what a job prints, before any of it is
// buffered or sent. It guards against accidents, not against a job that means
// to give a secret away: whoever can read a secret can print it in a form that
// nobody knows.
//
// An attempt has one [Set] of secrets, each in many forms: as it is, encoded,
// quoted, on one line. Each stream of the attempt has one [Writer] of that set,
// which sits between the process and the outbox; what is not a stream, such as
// an error, passes [Set.Text].
//
//	process ─▶ Writer (stdout) ─▶ outbox
//	process ─▶ Writer (stderr) ─▶ outbox
//	errors, names ─▶ Text ─▶ messages
//	           └───────┴─── Set ◀── Add, while the job runs
//
// Forms are sought in three views of a stream:
//
//	raw      every byte
//	plain    without the control sequences of terminals
//	unspaced plain without white space, for forms that tools wrap: base64 and
//	         hex of 40 characters and more, and secrets of several lines. The
//	         first four characters must stand together, or every line's last
//	         letter would be held back: it may begin something.
//
// A match may skip 4,096 bytes. What all matches of all views cover is replaced
// by "***", once for covers that overlap. The result doesn't depend on how the
// stream was cut into writes. A byte is held back only while it may belong to a
// secret that goes on, be it for as long as the stream is quiet: at most 4,351
// bytes.
//
// What remains of a secret: of base64 up to 4 bits at either end, which share a
// character with what stands beside the secret; up to 4 characters of a form
// that is wrapped within its first four; what was printed before the secret was
// added; a secret of which a part is printed alone, unless the part is a line.
package mask

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
)

const (
	// MinSecret is how many bytes a secret has at least, white space around it
	// left out. A shorter one would be found in everything.
	MinSecret = 4
	// MaxSecret is how many bytes a secret has at most.
	MaxSecret = 64 << 10
	// MaxSecrets is how many secrets a set has at most, those added included.
	MaxSecrets = 500
	// MaxSetBytes is how many bytes all secrets of a set have at most, together.
	// Their forms take up to 200 times as much; 50 passwords take 0.3 MB, and 4 MB once text comes close to one.
	MaxSetBytes = 96 << 10

	mark = "***" // what is shown instead
)

// Why a secret is not masked.
var (
	ErrEmpty  = errors.New("it is empty")
	ErrBlank  = errors.New("it is nothing but white space")
	ErrShort  = errors.New("it has fewer than 4 bytes, white space around it left out")
	ErrLong   = errors.New("it has more than 65,536 bytes")
	ErrFull   = errors.New("there are 500 secrets already, or 98,304 bytes of them")
	ErrNoRoom = errors.New("the jobs of this agent have added so many secrets that there is no room for it now")
)

// Note tells what of a secret is not masked.
type Note struct {
	Secret int      // its index in what New was given
	Err    error    // why it is not masked at all, or nil
	Unused []string // kinds of forms, such as "base64", that are too short in part to be sought
}

// Set is the secrets of an attempt and what is needed to find them. It is safe
// for concurrent use, but for Forget.
type Set struct {
	now atomic.Pointer[table] // never nil; replaced by Add, never changed

	mu    sync.Mutex                     // held to change the set
	known map[[sha256.Size]byte][]string // unused kinds of each secret, by its digest
	bytes int                            // of all secrets

	budget *Budget // of what is added, or nil
	added  int     // taken from it
}

// New returns a set of the secrets, and a note for each that is not masked in
// full. The secrets are not kept; their forms are, until Forget.
func New(secrets [][]byte) (*Set, []Note) {
	s := &Set{known: map[[sha256.Size]byte][]string{}}
	s.now.Store(new(table))
	var notes []Note
	var all forms
	for i, secret := range secrets {
		found, err := s.take(secret)
		all.merge(found)
		if err != nil || len(found.unused) > 0 {
			notes = append(notes, Note{Secret: i, Err: err, Unused: found.unused})
		}
	}
	s.now.Store(s.now.Load().with(all))
	return s, notes
}

// Add masks one more secret, of any bytes, from the next byte that a Writer is
// given. What is out stays out. It returns the kinds of forms that are too short
// in part to be sought; the error, if there is one, is one of the reasons above.
// Adding a secret again changes nothing.
func (s *Set) Add(secret []byte) (unused []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.take(secret)
	if err == nil && !found.empty() {
		s.now.Store(s.now.Load().with(found))
	}
	return found.unused, err
}

// take makes the forms of a secret, if it may be one; s.mu is held, or s is new.
// Of a secret that is known it gives only what is unused.
func (s *Set) take(secret []byte) (forms, error) {
	trimmed := bytes.Trim(secret, white)
	switch {
	case len(secret) == 0:
		return forms{}, ErrEmpty
	case len(trimmed) == 0:
		return forms{}, ErrBlank
	case len(trimmed) < MinSecret:
		return forms{}, ErrShort
	case len(trimmed) > MaxSecret:
		return forms{}, ErrLong
	}
	digest := sha256.Sum256(trimmed)
	if unused, ok := s.known[digest]; ok {
		return forms{unused: unused}, nil
	}
	if len(s.known) == MaxSecrets || s.bytes+len(trimmed) > MaxSetBytes {
		return forms{}, ErrFull
	}
	if s.budget != nil {
		if !s.budget.take(s.added, len(trimmed)+addedCost) {
			return forms{}, ErrNoRoom
		}
		s.added += len(trimmed) + addedCost
	}
	found := formsOf(trimmed)
	s.known[digest] = found.unused
	s.bytes += len(trimmed)
	return found, nil
}

// Text masks a text that is whole, such as an error or a name.
func (s *Set) Text(text string) string {
	var masked bytes.Buffer
	w := s.Writer(&masked)
	// A buffer takes all it is given.
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return masked.String()
}

// Suspicious is how many places of a text the filter would have looked at more
// closely: all that is done for a text without any. What it takes is the floor of
// what a Writer takes.
func (s *Set) Suspicious(text []byte) (places int) {
	f := s.now.Load().filter
	if f == nil {
		return 0
	}
	for at := f.next(text, 0); at < len(text); at = f.next(text, at+1) {
		places++
	}
	return places
}

// Forget overwrites all forms. It is called once every Writer is closed and
// nothing calls Add or Text any more; the set then masks nothing.
func (s *Set) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Swap(new(table)).wipe()
	s.known = map[[sha256.Size]byte][]string{}
	s.bytes = 0
	if s.budget != nil {
		s.budget.giveBack(s.added)
		s.added = 0
	}
}
