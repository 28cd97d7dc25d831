package outbox_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
)

// Of attempts that are over nothing stays, and their boxes take no other's turn.
func TestADroppedBoxIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		var boxes []*outbox.Box
		for i := range 4 {
			b := o.Open(outbox.Key{Job: fmt.Sprint("j", i), Attempt: 1})
			write(t, b, outbox.Stdout, "first")
			boxes = append(boxes, b)
		}
		turn := func(want string) {
			t.Helper()
			if p, ok := o.Take(); !ok || p.Key.Job != want {
				t.Errorf("it is the turn of %q, want %s", p.Key.Job, want)
			}
		}
		turn("j0")
		turn("j1")
		boxes[0].Drop() // has had its turn
		turn("j2")
		boxes[3].Drop() // has not
		write(t, boxes[1], outbox.Stdout, "second")
		turn("j1")
		for range 2 {
			for _, b := range boxes {
				b.Drop()
			}
		}
		if n := o.Boxes(); n != 0 {
			t.Errorf("%d boxes are left", n)
		}
	})
}

// A box holds no more than it may, what remembering its pieces takes included.
func TestABoxHoldsNoMoreThanItMay(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		o.SetWindow(0, 0, 0)
		b := o.Open(key)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ; i++ {
				if _, err := b.Writer(outbox.Tag(1 + i%2)).Write([]byte("0123456789012345678901234567890123456789")); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if n := b.Holds(); !b.Stalled() || n > outbox.AttemptBytes {
			t.Errorf("it holds %d bytes, %d may be; a writer waits: %t", n, outbox.AttemptBytes, b.Stalled())
		}
		b.Drop()
		<-done
	})
}

// A new session may count pieces otherwise. What was under way before counts as it
// says, and is off the count once it is acknowledged.
func TestAWindowThatCountsPiecesOtherwise(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		b := o.Open(key)
		for range 10 {
			write(t, b, outbox.Stdout, "x")
			taken(o)
		}
		const cost = 1000
		o.SetWindow(wide, 10*cost+100, cost)
		write(t, b, outbox.Stdout, "y")
		time.Sleep(time.Second) // of the bubble's clock: it has credit
		if p := taken(o); p != nil {
			t.Errorf("%q went though the session's window is full", p)
		}
		if err := b.Ack(10); err != nil {
			t.Fatal(err)
		}
		if p := taken(o); len(p) != 1 || p[0] != "y" {
			t.Errorf("%q went once all was acknowledged", p)
		}
	})
}

// What is written while earlier bytes wait to be taken goes with them, and costs no
// credit.
func TestBytesJoinThoseThatMayGo(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		b := o.Open(key)
		for range 20 { // more than there is credit for
			write(t, b, outbox.Stdout, "x")
		}
		if p := taken(o); len(p) != 1 || len(p[0]) != 20 {
			t.Errorf("%q went", p)
		}
		for i := range 9 {
			write(t, b, outbox.Stdout, "y")
			if n := size(taken(o)); n != 1 {
				t.Errorf("line %d: %d bytes at once", i, n)
			}
		}
	})
}
