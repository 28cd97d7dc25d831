package outbox_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
)

// server keeps what an attempt's log should be: whole, in order, each byte once.
type server struct {
	head    uint64         // offset after the last byte received
	durable uint64         // and after the last that is safe
	history []outbox.Piece // to fall back when a cut loses what is not durable
}

func (s *server) receive(t *rapid.T, piece outbox.Piece) {
	if piece.Offset != s.head {
		t.Fatalf("a piece begins at %d, the log ends at %d", piece.Offset, s.head)
	}
	s.history = append(s.history, piece)
	s.head += uint64(len(piece.Data))
}

// cut forgets what was not durable.
func (s *server) cut() {
	var kept []outbox.Piece
	for _, p := range s.history {
		switch end := p.Offset + uint64(len(p.Data)); {
		case end <= s.durable:
			kept = append(kept, p)
		case p.Offset < s.durable:
			p.Data = p.Data[:s.durable-p.Offset]
			kept = append(kept, p)
		}
	}
	s.history, s.head = kept, s.durable
}

func (s *server) of(tag outbox.Tag) (all []byte) {
	for _, p := range s.history {
		if p.Tag == tag {
			all = append(all, p.Data...)
		}
	}
	return all
}

// withoutDeadline keeps rapid from asking for the real time in a bubble.
type withoutDeadline struct{ rapid.TB }

// Whatever is written, acknowledged late, cut or sent again: what is received is
// what was written, once and in order.
func TestWhatIsReceivedIsWhatWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(withoutDeadline{t}, func(t *rapid.T) {
			o := outbox.New()
			window := rapid.Uint64Range(1000, 100<<10)
			o.SetWindow(window.Draw(t, "window"), window.Draw(t, "session window"), rapid.Uint64Range(0, 200).Draw(t, "piece cost"))
			b := o.Open(key)
			defer b.Drop()
			written := map[outbox.Tag][]byte{}
			s := &server{}
			next := byte(0)

			take := func(t *rapid.T, most int) {
				for range most {
					piece, ok := o.Take()
					if !ok {
						return
					}
					s.receive(t, piece)
				}
			}
			resume := func(t *rapid.T, have uint64) {
				if err := b.Resume(have); err != nil {
					t.Fatalf("resume at %d: %v", have, err)
				}
			}
			acknowledge := func(t *rapid.T, have uint64) {
				if err := b.Ack(have); err != nil {
					t.Fatal(err)
				}
			}
			t.Repeat(map[string]func(*rapid.T){
				"write": func(t *rapid.T) {
					tag := rapid.SampledFrom([]outbox.Tag{outbox.Stdout, outbox.Stderr}).Draw(t, "tag")
					p := make([]byte, rapid.IntRange(1, 9000).Draw(t, "size"))
					for i := range p {
						p[i] = next
						next++
					}
					if len(written[outbox.Stdout])+len(written[outbox.Stderr])+len(p) > outbox.AttemptBytes/2 {
						return // a test of its own shows what a full box does
					}
					if _, err := b.Writer(tag).Write(p); err != nil {
						t.Fatal(err)
					}
					written[tag] = append(written[tag], p...)
				},
				"take": func(t *rapid.T) { take(t, rapid.IntRange(1, 50).Draw(t, "pieces")) },
				"time passes": func(t *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 300).Draw(t, "ms")) * time.Millisecond)
					synctest.Wait()
				},
				"sync": func(t *rapid.T) {
					s.durable = rapid.Uint64Range(s.durable, s.head).Draw(t, "durable")
				},
				"acknowledge late": func(t *rapid.T) {
					acknowledge(t, rapid.Uint64Range(0, s.durable).Draw(t, "have"))
				},
				"sync and acknowledge": func(t *rapid.T) {
					s.durable = s.head
					acknowledge(t, s.durable)
				},
				"cut": func(t *rapid.T) {
					s.cut()
					resume(t, s.durable)
				},
			})

			b.Close()
			o.SetWindow(wide, wide, 0)
			for !b.Sent() {
				take(t, 1)
				acknowledge(t, s.head)
			}
			for tag, want := range written {
				if !bytes.Equal(s.of(tag), want) {
					t.Fatalf("of tag %d came %d bytes, %d were written, or others", tag, len(s.of(tag)), len(want))
				}
			}
			if s.head != b.Written() {
				t.Fatalf("the log ends at %d, want %d", s.head, b.Written())
			}
		})
	})
}

func BenchmarkFlood(b *testing.B) {
	o := outbox.New()
	o.SetWindow(wide, wide, 0)
	box := o.Open(key)
	line := make([]byte, 4<<10)
	b.SetBytes(int64(len(line)))
	w := box.Writer(outbox.Stdout)
	for b.Loop() {
		w.Write(line)
		for {
			piece, ok := o.Take()
			if !ok {
				break
			}
			box.Ack(piece.Offset + uint64(len(piece.Data)))
		}
	}
}
