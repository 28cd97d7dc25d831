package commands

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore"
)

// The same submission with the same secret gives the same job, also from another
// server; with another secret it is a conflict. Neither leaves a key behind.
func TestSecretsAreOfTheSubmission(t *testing.T) {
	v := newVault(t)
	first := v.s.SubmitJobs(t.Context(), ana, []Submission{{Spec: sealed, Key: "k"}})[0]
	again := v.on(v.store).SubmitJobs(t.Context(), ana, []Submission{{Spec: sealed, Key: "k"}})[0]
	if first.Err != nil || again.Err != nil || again.ID != first.ID || !again.Existing {
		t.Errorf("%+v, then %+v", first, again)
	}
	for _, other := range []map[string]spec.Secret{{"TOKEN": {Value: "another"}}, {"OTHER": {Value: canary}}, {"TOKEN": {From: "db"}}, nil} {
		v.wantKind(fault.Conflict, v.s.SubmitJobs(t.Context(), ana, []Submission{{Spec: with(other), Key: "k"}})[0].Err)
	}
	if got := v.names(jobKeys); !slices.Equal(got, []string{jobKey(first.ID)}) {
		t.Errorf("there are the keys %q", got)
	}
	// Who has the log can't try which secret gives the digest.
	guess := sha256.Sum256(sealed.WithDefaults().Canonical())
	records, err := v.store.ReadStream(t.Context(), nil, eventstore.StreamID(event.KeyStream("default", "k")), 1, 1, eventstore.Forwards)
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	m, err := event.Decode(records[0].Type, records[0].Data)
	if err != nil || bytes.Equal(m.(*eventv1.KeyUsed).GetDigest(), guess[:]) {
		t.Errorf("the digest is one without a key: %v", err)
	}
}

// What is refused leaves no key behind, and what is accepted in one call makes
// its keys in one write.
func TestKeysOfOneCall(t *testing.T) {
	v := newVault(t)
	wrong, nowhere := sealed, sealed
	wrong.Priority, nowhere.Namespace = 1000, "nowhere"
	done := v.s.SubmitJobs(t.Context(), ana, []Submission{
		{Spec: sealed}, {Spec: wrong}, {Spec: nowhere}, {Spec: trivial}, {Spec: sealed}, {Spec: with(map[string]spec.Secret{"A": {Value: "a"}, "B": {From: "none"}})},
	})
	for n, kind := range map[int]fault.Kind{1: fault.Invalid, 2: fault.NotFound, 5: fault.NotFound} {
		v.wantKind(kind, done[n].Err)
	}
	want := []string{jobKey(done[0].ID), jobKey(done[4].ID)}
	slices.Sort(want)
	if got := v.names(jobKeys); !slices.Equal(got, want) || v.keys.writes != 1 {
		t.Errorf("there are the keys %q after %d writes, want %q after 1", got, v.keys.writes, want)
	}
	const text = "cannot submit job: secrets.B.from: secret none of namespace default: there is no such secret"
	if got := done[5].Err.Error(); got != text {
		t.Errorf("it is told %q", got)
	}
}

// dying is a store that dies when it is to append: before, or after it did.
type dying struct {
	eventstore.Store
	after bool
}

func (d dying) AppendEach(ctx context.Context, appends []eventstore.Append) ([]eventstore.Result, error) {
	if d.after {
		if _, err := d.Store.AppendEach(ctx, appends); err != nil {
			return nil, err
		}
	}
	return nil, &eventstore.FailedError{Cause: errors.New("killed")}
}

// A server that is killed between the key and the event leaves a key that the
// next start drops; killed after the event, or not knowing, it leaves what is
// needed.
func TestKilledBetweenKeyAndEvent(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprint("recorded ", after), func(t *testing.T) {
			v := newVault(t)
			v.set("db", "kept")
			kept := v.submitted(sealed)
			killed := v.on(dying{v.store, after})
			v.wantKind(fault.Unavailable, killed.SubmitJobs(t.Context(), ana, []Submission{{Spec: sealed}})[0].Err)
			_, _, err := killed.SetSecret(t.Context(), ana, "default", "other", []byte("x"))
			v.wantKind(fault.Unavailable, err)
			if n := len(v.names("")); n != 4 {
				t.Fatalf("there are %d keys", n)
			}
			known := func(i id.ID) bool { return i == kept }
			for _, want := range []int{map[bool]int{false: 2, true: 0}[after], 0} {
				if n, err := v.on(v.store).SweepKeys(t.Context(), known); err != nil || n != want {
					t.Fatalf("%d keys were dropped, %v, want %d", n, err, want)
				}
			}
			if got, err := v.given(kept); err != nil || got != "TOKEN="+canary {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// What can't be read in the log keeps its key, and does not keep a server from
// its start.
func TestWhatCannotBeLookedUpKeepsItsKey(t *testing.T) {
	v := newVault(t)
	i := v.submitted(sealed)
	v.set("db", "x")
	for _, stream := range []string{event.JobStream(i), event.SecretStream("default", "db")} {
		u := &unit{s: v.s}
		u.batches = []eventstore.Batch{{Stream: eventstore.StreamID(stream), Expect: eventstore.Any, Events: []eventstore.Event{{Type: "JobStarted", Data: []byte{0xff}}}}}
		if r := v.s.send(t.Context(), []eventstore.Append{u.append()})[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if n, err := v.on(v.store).SweepKeys(t.Context(), func(id.ID) bool { return false }); n != 0 || err != nil {
		t.Errorf("%d keys were dropped, %v", n, err)
	}
}
