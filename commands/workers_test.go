package commands

import (
	"bytes"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
)

func registration(key byte, tokenID id.ID) worker.Register {
	return worker.Register{
		Facts:     &eventv1.WorkerFacts{Name: "atlas", Os: "linux", Arch: "amd64", Capacity: &eventv1.Resources{CpuMilli: 4000}},
		PublicKey: bytes.Repeat([]byte{key}, worker.KeyBytes), TokenID: tokenID.String(),
	}
}

func TestWorkerTokenIsGoodForOneKey(t *testing.T) {
	b := newBench(t)
	s := b.server()
	const tok, w, thief id.ID = 500, 600, 601
	first := b.ok(s.RegisterWorker(t.Context(), ana, w, registration(1, tok), tok.String()))
	if again := b.ok(s.RegisterWorker(t.Context(), ana, w, registration(1, tok), tok.String())); again != first {
		t.Fatalf("the same registration again is #%d, not #%d", again, first)
	}
	for range 3 {
		_, err := s.RegisterWorker(t.Context(), ana, thief, registration(2, tok), tok.String())
		b.wantKind(fault.Refused, err)
	}
	if got := b.story(event.WorkerStream(thief)); len(got) != 0 {
		t.Fatalf("the thief has a story: %q", got)
	}
	if got := b.story(event.TokenStream(tok)); len(got) != 2 {
		t.Fatalf("used once and refused once makes 2 events: %q", got)
	}
}

// Token and worker are written in one append: neither is without the other.
func TestRegistrationIsOneAppend(t *testing.T) {
	b := newBench(t)
	s := b.server()
	const tok, w id.ID = 500, 600
	p := b.ok(s.RegisterWorker(t.Context(), ana, w, registration(1, tok), tok.String()))
	records, _, err := b.store.ReadAll(t.Context(), nil, p-1, 2, eventstore.Filter{})
	if err != nil || len(records) != 2 {
		t.Fatal(records, err)
	}
	if records[0].ID.Next() != records[1].ID {
		t.Fatal("they are two appends")
	}
	wrong := registration(3, 501)
	wrong.Facts = nil
	_, err = s.RegisterWorker(t.Context(), ana, 602, wrong, id.ID(501).String())
	b.wantKind(fault.Invalid, err)
	if got := b.story(event.TokenStream(501)); len(got) != 0 {
		t.Fatalf("the token was used for nothing: %q", got)
	}
}

func TestSessionsAreNumbered(t *testing.T) {
	b := newBench(t)
	s := b.server()
	const tok, w id.ID = 500, 600
	b.ok(s.RegisterWorker(t.Context(), ana, w, registration(1, tok), tok.String()))
	for want := uint64(1); want <= 3; want++ {
		epoch, err := s.ConnectWorker(t.Context(), ana, w, worker.Connect{Instance: []byte{byte(want)}})
		if err != nil || epoch != want {
			t.Fatalf("session %d, want %d (%v)", epoch, want, err)
		}
	}
	before, _ := b.store.Wait()
	b.ok(s.DisconnectWorker(t.Context(), ana, w, worker.Disconnect{Epoch: 2, Reason: "closed"}))
	if after, _ := b.store.Wait(); after != before {
		t.Fatal("the end of an older session was recorded")
	}
}

func TestTokenCanBeRevoked(t *testing.T) {
	b := newBench(t)
	s := b.server()
	plain, i, err := s.CreateToken(t.Context(), ana, token.Create{Name: "ci", Namespace: "*", Role: token.Submitter})
	if err != nil {
		t.Fatal(err)
	}
	hash, ok := TokenHash(plain)
	state, err := look(t.Context(), s, s.tokens, tokenStream(i), func(token.State) bool { return false })
	if err != nil || !ok || !bytes.Equal(state.Hash, hash[:]) {
		t.Fatalf("the token's hash is not what is recorded: %v", err)
	}
	b.ok(s.RevokeToken(t.Context(), ana, i, "leaked"))
	_, err = s.RevokeToken(t.Context(), ana, 12345, "leaked")
	b.wantKind(fault.NotFound, err)
}
