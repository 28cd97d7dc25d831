package mask

import (
	"io"
	"sync"
)

// maxBlock is how many bytes are scanned at once at most, beside those held
// back. A scan takes memory of about 12 times as much, which all Writers share.
const maxBlock = 8 << 10

// Writer masks one stream. Its memory is what it holds back: 4,351 bytes at most.
// It is for one goroutine at a time; Writers of one Set are independent.
type Writer struct {
	set *Set
	to  io.Writer
	err error // of to; final

	held   []byte   // given, not shown, not known to be no secret
	masked int      // how many of held are covered by a mark that was shown
	begin  sequence // where in a control sequence held begins
}

// Writer returns one that writes what may be shown to to, in the order it came.
// The writer to must not keep what it is given.
func (s *Set) Writer(to io.Writer) *Writer { return &Writer{set: s, to: to} }

// Write shows what of the data, and of what was held back, can't belong to a
// secret any more. It returns len(data), or the error of the writer behind it,
// after which it does nothing. A write is
//
//  1. join what is held with the next block;
//  2. find all matches, and the first place where one may begin that isn't whole;
//  3. show what lies before that place, a mark for what is covered; a mark also
//     stands for what of its cover is held, so floods of matches hold nothing up;
//  4. hold the rest.
func (w *Writer) Write(data []byte) (int, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for rest := data; len(rest) > 0 && w.err == nil; {
		block := rest[:min(len(rest), maxBlock)]
		rest = rest[len(block):]
		w.block(s, block, false)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(data), nil
}

// Close shows what is held back: the stream has ended, so that what isn't a
// secret by now will not become one. The writer behind it stays open. The Writer
// may be used again, for a stream that has nothing to do with the last.
func (w *Writer) Close() error {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if w.err == nil {
		w.block(s, nil, true)
	}
	clear(w.held)
	w.held, w.masked, w.begin = nil, 0, sequence{}
	return w.err
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (w *Writer) block(s *scratch, block []byte, last bool) {
	defer s.wipe()
	s.data = append(append(s.data[:0], w.held...), block...) // 1
	s.find(w.set.now.Load(), w.begin)                        // 2
	hold := s.hold
	if last {
		hold = len(s.data)
	}
	w.show(s, hold) // 3
	w.begin = w.begin.past(s.data[:hold])
	clear(w.held)
	w.held = append(w.held[:0], s.data[hold:]...) // 4
}

// show writes data up to hold.
func (w *Writer) show(s *scratch, hold int) {
	covered := w.masked // up to where data is covered by a mark
	s.out = s.out[:0]
	shown := covered
	for _, c := range s.covers {
		start, end := int(c.start), int(c.end)
		if start >= hold {
			break
		}
		if start >= covered {
			s.out = append(append(s.out, s.data[shown:start]...), mark...)
		}
		covered = max(covered, end)
		shown = covered
	}
	w.masked = max(0, covered-hold)
	out := s.out
	switch {
	case shown >= hold:
	case len(out) == 0:
		out = s.data[shown:hold]
	default:
		out = append(out, s.data[shown:hold]...)
		s.out = out
	}
	if len(out) > 0 {
		_, w.err = w.to.Write(out)
	}
}
