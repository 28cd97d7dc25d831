package outbox_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
)

// wide is a window that bounds nothing.
const wide = 1 << 40

var key = outbox.Key{Job: "j1", Attempt: 1}

// inBubble runs a test with a clock of its own, and an outbox with a wide window.
func inBubble(t *testing.T, f func(t *testing.T, o *outbox.Outbox)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := outbox.New()
		o.SetWindow(wide, wide, 0)
		f(t, o)
	})
}

func write(t *testing.T, b *outbox.Box, tag outbox.Tag, text string) {
	t.Helper()
	if n, err := b.Writer(tag).Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(text), err)
	}
}

// taken is all that can be taken now.
func taken(o *outbox.Outbox) (pieces []string) {
	for {
		piece, ok := o.Take()
		if !ok {
			return pieces
		}
		pieces = append(pieces, string(piece.Data))
	}
}

func size(pieces []string) (n int) {
	for _, p := range pieces {
		n += len(p)
	}
	return n
}

func TestQuietBytesGoAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		b := o.Open(key)
		for i := range 10 {
			write(t, b, outbox.Stdout, "x")
			if n := size(taken(o)); n != 1 {
				t.Fatalf("line %d: %d bytes at once", i, n)
			}
		}
	})
}

func TestBusyBytesGatherUntilTheNextCredit(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		b := o.Open(key)
		for range 10 {
			write(t, b, outbox.Stdout, "x")
			taken(o)
		}
		write(t, b, outbox.Stdout, "a")
		write(t, b, outbox.Stdout, "b")
		if p := taken(o); p != nil {
			t.Fatalf("went without credit: %q", p)
		}
		begin := time.Now()
		<-o.Wake() // left from before
		<-o.Wake()
		if waited := time.Since(begin); waited != 50*time.Millisecond {
			t.Errorf("waited %s", waited)
		}
		if p := taken(o); len(p) != 1 || p[0] != "ab" {
			t.Errorf("got %q", p)
		}
	})
}

func TestBytesGoWithoutCreditOnce4KBWait(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		b := o.Open(key)
		for range 10 {
			write(t, b, outbox.Stdout, "x")
			taken(o)
		}
		write(t, b, outbox.Stdout, string(make([]byte, 4095)))
		if p := taken(o); p != nil {
			t.Fatalf("%d bytes went", size(p))
		}
		write(t, b, outbox.Stdout, "x")
		if n := size(taken(o)); n != 4096 {
			t.Errorf("%d bytes went", n)
		}
	})
}

// No byte waits longer than 100 ms for the sender, at whatever rate lines come.
func TestNoByteWaitsLongerThan100ms(t *testing.T) {
	for _, every := range []time.Duration{time.Millisecond, 2 * time.Millisecond, 7 * time.Millisecond, 49 * time.Millisecond, 51 * time.Millisecond, 100 * time.Millisecond} {
		inBubble(t, func(t *testing.T, o *outbox.Outbox) {
			b := o.Open(key)
			messages := 0
			var waiting []time.Time
			for i := 0; i < 2000; i++ {
				write(t, b, outbox.Stdout, "x")
				waiting = append(waiting, time.Now())
				time.Sleep(every) // of the bubble's clock
				synctest.Wait()
				for _, piece := range taken(o) {
					messages++
					waiting = waiting[len(piece):]
				}
				if len(waiting) > 0 && time.Since(waiting[0]) > 100*time.Millisecond {
					t.Fatalf("every %s: a byte waits for %s", every, time.Since(waiting[0]))
				}
			}
			total := 2000 * every
			if most := 10 + int(total/(50*time.Millisecond)) + 1; messages > most {
				t.Errorf("every %s: %d messages in %s, want at most %d", every, messages, total, most)
			}
		})
	}
}

func TestAPieceIsOfOneTagAndAtMost32KB(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		b := o.Open(key)
		write(t, b, outbox.Stdout, "out")
		write(t, b, outbox.Stderr, "err")
		write(t, b, outbox.Stdout, string(bytes.Repeat([]byte("x"), 100<<10)))
		var offset uint64
		for _, want := range []outbox.Tag{outbox.Stdout, outbox.Stderr} {
			piece, _ := o.Take()
			if piece.Tag != want || piece.Offset != offset || len(piece.Data) != 3 {
				t.Fatalf("got %+v", piece)
			}
			offset += 3
		}
		for rest := 100 << 10; rest > 0; {
			piece, ok := o.Take()
			if !ok || len(piece.Data) > outbox.MessageBytes || piece.Offset != offset {
				t.Fatalf("%d left, got %d bytes at %d", rest, len(piece.Data), piece.Offset)
			}
			rest -= len(piece.Data)
			offset += uint64(len(piece.Data))
		}
	})
}

func TestPiecesTellWhenTheirBytesWereWritten(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		o.SetWindow(0, 0, 0) // a cut: all waits here
		b := o.Open(key)
		var want []int64
		for range 5 {
			want = append(want, time.Now().UnixNano())
			write(t, b, outbox.Stdout, "line\n")
			time.Sleep(time.Second)
		}
		o.SetWindow(wide, wide, 0)
		for i := range want {
			if piece, _ := o.Take(); piece.Time != want[i] {
				t.Errorf("line %d has time %d, want %d", i, piece.Time, want[i])
			}
		}
	})
}

func TestTheWindowsBoundWhatIsNotAcknowledged(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		o.SetWindow(100, 150, 0)
		a, b := o.Open(key), o.Open(outbox.Key{Job: "j2", Attempt: 1})
		write(t, a, outbox.Stdout, string(make([]byte, 5000)))
		write(t, b, outbox.Stdout, string(make([]byte, 5000)))
		if n := size(taken(o)); n != 150 {
			t.Fatalf("%d bytes went", n)
		}
		if err := a.Ack(30); err != nil {
			t.Fatal(err)
		}
		if n := size(taken(o)); n != 30 {
			t.Errorf("%d bytes went after an acknowledgement of 30", n)
		}
	})
}

func TestAttemptsTakeTurns(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		flood := o.Open(key)
		quiet := o.Open(outbox.Key{Job: "j2", Attempt: 1})
		write(t, flood, outbox.Stdout, string(make([]byte, 1<<20)))
		write(t, quiet, outbox.Stdout, "hello")
		for range 2 {
			if piece, _ := o.Take(); piece.Key.Job == "j2" {
				return
			}
		}
		t.Error("the quiet attempt had to wait for more than one piece of the other")
	})
}

// blocked writes in the background and reports whether it came back.
func blocked(b *outbox.Box, p []byte) (done chan error) {
	done = make(chan error, 1)
	go func() {
		_, err := b.Writer(outbox.Stdout).Write(p)
		done <- err
	}()
	synctest.Wait()
	return done
}

func TestAFullBoxBlocksItsWriterUntilAcknowledged(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		b := o.Open(key)
		done := blocked(b, make([]byte, outbox.AttemptBytes+1000))
		if !b.Stalled() {
			t.Fatal("not stalled")
		}
		sent := size(taken(o))
		if sent < outbox.AttemptBytes-1000 || sent > outbox.AttemptBytes {
			t.Fatalf("holds %d bytes", sent)
		}
		if err := b.Ack(uint64(sent)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil || b.Stalled() {
			t.Errorf("%v, stalled: %t", err, b.Stalled())
		}
	})
}

func TestFloodsOfOthersDoNotStallAQuietAttempt(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		o.SetWindow(0, 0, 0)
		var floods []chan error
		for i := range 6 {
			b := o.Open(outbox.Key{Job: "flood", Attempt: uint32(i)})
			floods = append(floods, blocked(b, make([]byte, 2*outbox.AttemptBytes)))
			defer b.Drop()
		}
		quiet := o.Open(key)
		if done := blocked(quiet, make([]byte, outbox.FloorBytes/2)); quiet.Stalled() {
			t.Fatal("the quiet attempt is stalled")
		} else if err := <-done; err != nil {
			t.Fatal(err)
		}
		for _, done := range floods {
			select {
			case <-done:
				t.Error("a flood fitted in whole")
			default:
			}
		}
	})
}

func TestRunsAreCountedSoThatTinyWritesAreBoundedToo(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		o.SetWindow(0, 0, 0)
		b := o.Open(key)
		defer b.Drop()
		written := make(chan int, 1)
		go func() {
			n := 0
			for ; ; n++ {
				if _, err := b.Writer(outbox.Stdout + outbox.Tag(n%2)).Write([]byte("x")); err != nil {
					break
				}
			}
			written <- n
		}()
		synctest.Wait()
		b.Drop()
		if n := <-written; n > outbox.AttemptBytes/32 {
			t.Errorf("%d runs were kept", n)
		}
	})
}

func TestASessionGoesOnFromWhatTheServerHas(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		b := o.Open(key)
		write(t, b, outbox.Stdout, "0123456789")
		taken(o)
		if err := b.Ack(2); err != nil {
			t.Fatal(err)
		}
		o.SetWindow(0, 0, 0)
		if err := b.Resume(4); err != nil {
			t.Fatal(err)
		}
		o.SetWindow(wide, wide, 0)
		if p := taken(o); len(p) != 1 || p[0] != "456789" {
			t.Errorf("sent again: %q", p)
		}
		for _, row := range []struct {
			name string
			have uint64
			want error
		}{
			{"less than it had acknowledged", 3, outbox.ErrHole},
			{"more than was written", 11, outbox.ErrAhead},
		} {
			if err := b.Resume(row.have); !errors.Is(err, row.want) {
				t.Errorf("%s: %v", row.name, err)
			}
		}
	})
}

func TestAcknowledgements(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		b := o.Open(key)
		write(t, b, outbox.Stdout, "0123456789")
		if err := b.Ack(1); !errors.Is(err, outbox.ErrAhead) {
			t.Errorf("of what was never sent: %v", err)
		}
		taken(o)
		if err := errors.Join(b.Ack(8), b.Ack(5), b.Ack(8)); err != nil {
			t.Errorf("older ones: %v", err)
		}
	})
}

func TestClosedAndSent(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		b := o.Open(key)
		for range 10 {
			write(t, b, outbox.Stdout, "x")
			taken(o)
		}
		write(t, b, outbox.Stdout, "last words, without credit")
		b.Close()
		if b.Sent() {
			t.Error("sent before it was taken")
		}
		taken(o)
		if !b.Sent() {
			t.Error("not sent after it was taken")
		}
		if err := b.Resume(3); err != nil || b.Sent() {
			t.Errorf("sent, though the server lacks some: %v", err)
		}
		if _, err := b.Writer(outbox.Stdout).Write([]byte("x")); !errors.Is(err, outbox.ErrDropped) {
			t.Errorf("writing after the end: %v", err)
		}
	})
}

func TestDropLetsWritersGoAndGivesTheRoomBack(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		b := o.Open(key)
		done := blocked(b, make([]byte, 2*outbox.AttemptBytes))
		taken(o)
		b.Drop()
		b.Drop()
		if err := <-done; !errors.Is(err, outbox.ErrDropped) {
			t.Errorf("the writer got %v", err)
		}
		o.SetWindow(1000, 1000, 0) // full if what was dropped still counted as sent
		other := o.Open(outbox.Key{Job: "j2", Attempt: 1})
		write(t, other, outbox.Stdout, "x")
		if n := size(taken(o)); n != 1 {
			t.Errorf("%d bytes of the other went", n)
		}
	})
}
