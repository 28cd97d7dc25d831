package agent_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// renewing is a Welcome that asks for the next session soon.
func renewing(w *agentprotov1.Welcome) { w.RenewAfterNs = int64(50 * time.Millisecond) }

// refuse answers the next Hello with a Refuse.
func (s *serverSession) refuse(r *agentprotov1.Refuse) {
	s.t.Helper()
	s.hello = s.receive().GetHello()
	s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Refuse{Refuse: r}})
	s.end <- nil
}

// lives reports whether the agent has not closed the stream.
func (s *serverSession) lives() bool {
	select {
	case <-s.closed:
		return false
	default:
		return true
	}
}

// TestThePlannedRenewal opens the next session while the last one lives; the job
// goes on, and its output from where the server has it.
func TestThePlannedRenewal(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	older := d.next().welcome(renewing)
	const count = 1000
	wait, open := gate(t)
	older.assign("j1", nil, fmt.Sprintf("seq %d; read wait <%s; seq %d", count, wait, count))
	older.accepted()
	older.start("j1")
	older.output("j1", "\n1000\n")
	have := uint64(older.log["j1"].Len())

	newer := d.next()
	newer.challenge()
	if !older.lives() {
		t.Error("the older session ended before the newer began")
	}
	if held := newer.hello.GetAttempts(); len(held) != 1 || held[0].GetPhase() != agentprotov1.Phase_PHASE_RUNNING {
		t.Errorf("Hello lists %v", held)
	}
	older.assign("j2", nil, "true") // crosses with it: not seen, or not answered, until Welcome
	newer.answer(keep("j1", true, have))
	select {
	case <-older.closed:
	case <-time.After(patience):
		t.Fatal("the older session stays")
	}
	for len(older.in) > 0 {
		if m := <-older.in; m.GetAccept() != nil {
			t.Error("what came after Hello was answered on the older session")
		}
	}
	newer.assign("j2", nil, "true")
	if a := newer.accepted(); a.GetRefused() != "" {
		t.Errorf("refused: %v", a)
	}
	open()
	r := newer.result("j1")
	whole := append(bytes.Clone(older.log["j1"].Bytes()), newer.log["j1"].Bytes()[have:]...)
	var want strings.Builder
	for range 2 {
		for i := 1; i <= count; i++ {
			fmt.Fprintln(&want, i)
		}
	}
	if string(whole) != want.String() || r.GetEndOffset() != uint64(want.Len()) {
		t.Errorf("%d bytes came, want %d", len(whole), want.Len())
	}
}

// TestARenewalThatFails leaves the session that is there as it is, and is tried
// again.
func TestARenewalThatFails(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func(s *serverSession)
	}{
		{"refused for now", func(s *serverSession) { s.refuse(&agentprotov1.Refuse{Code: "busy", RetryAfterNs: int64(time.Hour)}) }},
		{"refused for good", func(s *serverSession) { s.refuse(&agentprotov1.Refuse{Code: "bad_proof", Final: true}) }},
		{"cut before Challenge", func(s *serverSession) { s.end <- nil }},
		{"cut before Welcome", func(s *serverSession) { s.challenge(); s.end <- nil }},
		{"no answer", func(*serverSession) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDouble(t)
			startAgent(t, d)
			older := d.next().welcome(renewing, func(w *agentprotov1.Welcome) { w.SuspectNs = int64(3 * time.Second) })
			older.assign("j1", nil, "echo ready; sleep 1000")
			older.accepted()
			older.start("j1")
			older.output("j1", "ready")
			test.fail(d.next())
			older.assign("j2", nil, "true") // it still does what it is told
			older.accepted()
			newer := d.next() // tried again
			newer.challenge()
			if n := len(newer.hello.GetAttempts()); n != 2 || !older.lives() {
				t.Errorf("Hello lists %d attempts, the older session lives: %t", n, older.lives())
			}
		})
	}
}
