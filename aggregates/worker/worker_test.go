package worker_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/aggregates/aggregatetest"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/worker"
)

var aggregate = aggregatetest.Aggregate[worker.State, worker.Command]{Evolve: worker.Evolve, Decide: worker.State.Decide}

type row aggregatetest.Row[worker.Command]

// Short names, so that rows read as sentences.
var (
	given   = aggregatetest.Given
	then    = aggregatetest.Then
	nothing = aggregatetest.Nothing()
	refused = aggregatetest.Refused
	history = aggregatetest.Named[[]proto.Message]
	command = aggregatetest.Named[worker.Command]

	key      = bytes.Repeat([]byte{1}, worker.KeyBytes)
	otherKey = bytes.Repeat([]byte{2}, worker.KeyBytes)
	one, two = []byte("instance one"), []byte("instance two")

	requested  = &eventv1.WorkerRequested{Provider: "docker", Pool: "big", TokenId: "t1"}
	launched   = &eventv1.WorkerLaunched{Handle: "c1"}
	registered = &eventv1.WorkerRegistered{Facts: facts("atlas"), PublicKey: key}
	lost       = &eventv1.WorkerLost{SilentNs: int64(30 * time.Second), Epoch: 1}
	terminated = &eventv1.WorkerTerminated{Reason: "idle"}
)

func when(c worker.Command) worker.Command { return c }

func facts(name string) *eventv1.WorkerFacts {
	return &eventv1.WorkerFacts{Name: name, Os: "linux", Arch: "amd64", Capacity: &eventv1.Resources{CpuMilli: 4000}}
}

func connected(epoch uint64, instance []byte) *eventv1.WorkerConnected {
	return &eventv1.WorkerConnected{Epoch: epoch, Instance: instance}
}

func disconnected(epoch uint64) *eventv1.WorkerDisconnected {
	return &eventv1.WorkerDisconnected{Epoch: epoch, Reason: "closed"}
}

func TestLaunch(t *testing.T) {
	request := worker.Request{Provider: "docker", Pool: "big", TokenID: "t1"}
	aggregatetest.Run(t, aggregate, []row{
		{"a worker that a provider is asked for", given(), when(request), then(requested)},
		{"the same request twice", given(requested), when(request), nothing},
		{"an id that another worker has", given(registered), when(request),
			refused("cannot request worker: a worker with this id exists")},
		{"a request of no provider", given(), when(worker.Request{}),
			refused("cannot request worker: provider: it has 0 bytes, 1 to 128 may be")},
		{"a worker that was started", given(requested), when(worker.Launch{Handle: "c1"}), then(launched)},
		{"a worker that was started without a name", given(requested), when(worker.Launch{}), then(&eventv1.WorkerLaunched{})},
		{"a start that comes twice", given(requested, launched), when(worker.Launch{Handle: "c1"}), nothing},
		{"a start under another name", given(requested, launched), when(worker.Launch{Handle: "c2"}),
			refused("cannot launch worker: it was launched as c1")},
		{"a start of a worker that was quicker than its provider's answer",
			given(requested, &eventv1.WorkerRegistered{PublicKey: key, Provider: "docker"}), when(worker.Launch{Handle: "c1"}), then(launched)},
		{"a start nobody asked for", given(registered), when(worker.Launch{Handle: "c1"}),
			refused("cannot launch worker: no provider was asked for it")},
		{"a worker that can't be started", given(requested), when(worker.FailLaunch{Cause: "no_image", Detail: "busybox:none"}),
			then(&eventv1.WorkerLaunchFailed{Cause: "no_image", Detail: "busybox:none"})},
		{"a cause that is no code, and words without end", given(requested), when(worker.FailLaunch{Cause: "?!", Detail: strings.Repeat("x", 5000)}),
			then(&eventv1.WorkerLaunchFailed{Cause: "error", Detail: strings.Repeat("x", worker.MaxReason)})},
		{"a failure that comes twice", given(requested, &eventv1.WorkerLaunchFailed{}), when(worker.FailLaunch{}), nothing},
		{"a failure of what has registered", given(requested, registered), when(worker.FailLaunch{}),
			refused("cannot fail the launch of worker: it has registered")},
	})
}

func TestRegister(t *testing.T) {
	register := func(key []byte) worker.Register { return worker.Register{Facts: facts("atlas"), PublicKey: key} }
	aggregatetest.Run(t, aggregate, []row{
		{"a worker that comes by itself", given(), when(register(key)), then(registered)},
		{"a worker that was asked for keeps its provider and pool",
			given(requested, launched), when(worker.Register{Facts: facts("atlas"), PublicKey: key, TokenID: "t1", Pool: "small"}),
			then(&eventv1.WorkerRegistered{Facts: facts("atlas"), PublicKey: key, TokenId: "t1", Provider: "docker", Pool: "big"})},
		{"labels that its token gave it", given(),
			when(worker.Register{Facts: facts("atlas"), PublicKey: key, Granted: []*eventv1.Pair{{Key: "gpu", Value: "a100"}}}),
			then(&eventv1.WorkerRegistered{Facts: facts("atlas"), PublicKey: key, Granted: []*eventv1.Pair{{Key: "gpu", Value: "a100"}}})},
		{"a label of its token that is none", given(),
			when(worker.Register{Facts: facts("atlas"), PublicKey: key, Granted: []*eventv1.Pair{{Key: ""}}}),
			refused(`cannot register worker: granted: "" is not a label's key: it has 0 characters, 1 to 63 may be`)},
		{"a registration that comes twice", given(registered), when(register(key)), nothing},
		{"another key", given(registered), when(register(otherKey)),
			refused("cannot register worker: it has registered with another key")},
		{"a worker that has ended", given(registered, terminated), when(register(key)),
			refused("cannot register worker: it is terminated")},
		{"half a key", given(), when(register(key[:16])), refused("cannot register worker: public_key: it has 16 bytes, 32 are needed")},
		{"a worker that says nothing of itself", given(), when(worker.Register{PublicKey: key}),
			refused("cannot register worker: facts: they are needed")},
		{"a name that is no text", given(), when(worker.Register{PublicKey: key, Facts: facts("\xff")}),
			refused("cannot register worker: facts.name: it has 1 bytes, at most 128 of UTF-8 may be")},
		{"a capacity that can't be true", given(),
			when(worker.Register{PublicKey: key, Facts: &eventv1.WorkerFacts{Capacity: &eventv1.Resources{CpuMilli: 1 << 60}}}),
			refused("cannot register worker: facts.capacity: 1152921504606846976m CPU can't be true")},
		{"a label that is none", given(),
			when(worker.Register{PublicKey: key, Facts: &eventv1.WorkerFacts{Labels: []*eventv1.Pair{{Key: "a b"}}}}),
			refused(`cannot register worker: facts.labels: "a b" is not a label's key: ' ' can't be in one`)},
	})
}

func TestSessions(t *testing.T) {
	connect := func(epoch uint64, instance []byte) worker.Connect {
		return worker.Connect{Epoch: epoch, Instance: instance, Facts: facts("atlas")}
	}
	renamed := worker.Connect{Epoch: 1, Instance: one, Facts: facts("eris")}
	aggregatetest.Run(t, aggregate, []row{
		{"a first session", given(registered), when(connect(1, one)), then(connected(1, one))},
		{"a first session of a worker that has changed", given(registered), when(renamed),
			then(&eventv1.WorkerConnected{Epoch: 1, Instance: one, Facts: facts("eris")})},
		{"a session that comes twice", given(registered, connected(1, one)), when(connect(1, one)), nothing},
		{"the session after it", given(registered, connected(1, one), disconnected(1)), when(connect(2, one)), then(connected(2, one))},
		{"a newer session of the same instance replaces the older silently",
			given(registered, connected(1, one)), when(connect(2, one)), then(connected(2, one))},
		{"a session of another instance with the same key is in the log",
			given(registered, connected(1, one)), when(connect(2, two)),
			then(&eventv1.WorkerSuperseded{Epoch: 1, Instance: one, ByInstance: two}, connected(2, two))},
		{"a session that was decided before another", given(registered, connected(1, one)), when(connect(1, two)),
			refused("cannot connect worker: session 1 is stale, next is 2")},
		{"a lost worker comes back", given(registered, connected(1, one), lost), when(connect(2, one)), then(connected(2, one))},
		{"a worker that never registered", given(requested, launched), when(connect(1, one)),
			refused("cannot connect worker: it is launched")},
		{"a worker that has ended", given(registered, terminated), when(connect(1, one)),
			refused("cannot connect worker: it is terminated")},
		{"a session of nobody", given(registered), when(connect(1, nil)),
			refused("cannot connect worker: instance: it has 0 bytes, 1 to 64 may be")},
		{"a session that ends", given(registered, connected(1, one)), when(worker.Disconnect{Epoch: 1, Reason: "closed"}), then(disconnected(1))},
		{"an end that comes twice", given(registered, connected(1, one), disconnected(1)), when(worker.Disconnect{Epoch: 1}), nothing},
		{"the end of an older session", given(registered, connected(1, one), connected(2, one)), when(worker.Disconnect{Epoch: 1}), nothing},
		{"the end of a session that never was", given(registered, connected(1, one)), when(worker.Disconnect{Epoch: 2}),
			refused("cannot disconnect worker: there was no session 2, the newest is 1")},
		{"a worker that is silent for too long", given(registered, connected(1, one), disconnected(1)),
			when(worker.Lose{Epoch: 1, Silent: 30 * time.Second}), then(lost)},
		{"a loss that comes twice", given(registered, connected(1, one), lost), when(worker.Lose{Epoch: 1}), nothing},
		{"a loss after it has come back", given(registered, connected(1, one), disconnected(1), connected(2, one)),
			when(worker.Lose{Epoch: 1}), nothing},
		{"a loss of what never was there", given(requested), when(worker.Lose{}),
			refused("cannot lose worker: it is requested, it never registered")},
	})
}

// A Connect without an epoch is a new session each time: no law of idempotence.
func TestConnectTakesTheNextEpoch(t *testing.T) {
	state := aggregate.Fold(registered, connected(1, one))
	got, err := state.Decide(worker.Connect{Instance: one})
	if err != nil || len(got) != 1 || got[0].(*eventv1.WorkerConnected).Epoch != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestOperators(t *testing.T) {
	cordoned := &eventv1.WorkerCordoned{Reason: "disk"}
	draining := &eventv1.WorkerDraining{Reason: "upgrade", DeadlineNs: int64(time.Minute)}
	drain := worker.Drain{Reason: "upgrade", Deadline: time.Minute}
	aggregatetest.Run(t, aggregate, []row{
		{"no new jobs", given(registered), when(worker.Cordon{Reason: "disk"}), then(cordoned)},
		{"no new jobs, said twice", given(registered, cordoned), when(worker.Cordon{Reason: "disk"}), nothing},
		{"new jobs again", given(registered, cordoned), when(worker.Uncordon{}), then(&eventv1.WorkerUncordoned{})},
		{"new jobs again, said twice", given(registered), when(worker.Uncordon{}), nothing},
		{"an end when its jobs have ended", given(registered), when(drain), then(draining)},
		{"such an end, said twice", given(registered, draining), when(drain), nothing},
		{"another deadline", given(registered, draining), when(worker.Drain{Reason: "upgrade", Deadline: time.Hour}),
			then(&eventv1.WorkerDraining{Reason: "upgrade", DeadlineNs: int64(time.Hour)})},
		{"a deadline in the past", given(registered), when(worker.Drain{Deadline: -1}),
			refused("cannot drain worker: deadline: it is less than 0")},
		{"a drain can't be undone", given(registered, draining), when(worker.Uncordon{}),
			refused("cannot uncordon worker: it is draining, which can't be undone")},
		{"an end for good", given(registered), when(worker.Terminate{Reason: "idle"}), then(terminated)},
		{"an end for good, said twice", given(registered, terminated), when(worker.Terminate{Reason: "idle"}), nothing},
		{"a change of what has ended", given(registered, terminated), when(worker.Cordon{}),
			refused("cannot cordon worker: it is terminated")},
	})
}

// The matrix is the state diagram, written out.
func TestMatrix(t *testing.T) {
	live := given(registered, connected(1, one))
	after := func(events ...proto.Message) []proto.Message { return append(live[:2:2], events...) }
	aggregatetest.Golden(t, "matrix.golden.md", aggregate.Matrix(t, []aggregatetest.Case[[]proto.Message]{
		history("none", nil),
		history("requested", given(requested)),
		history("launched", given(requested, launched)),
		history("disconnected, new", given(registered)),
		history("connected", live),
		history("connected, cordoned", after(&eventv1.WorkerCordoned{})),
		history("connected, draining", after(&eventv1.WorkerDraining{})),
		history("disconnected", after(disconnected(1))),
		history("lost", after(lost)),
		history("terminated", after(terminated)),
		history("terminated, never launched", given(requested, &eventv1.WorkerLaunchFailed{})),
	}, []aggregatetest.Case[worker.Command]{
		command("Request", worker.Request{Provider: "docker", Pool: "big", TokenID: "t1"}),
		command("Launch", worker.Launch{Handle: "c1"}),
		command("FailLaunch", worker.FailLaunch{Cause: "timeout"}),
		command("Register", worker.Register{Facts: facts("atlas"), PublicKey: key}),
		command("Register another key", worker.Register{Facts: facts("atlas"), PublicKey: otherKey}),
		command("Connect 1", worker.Connect{Epoch: 1, Instance: one}),
		command("Connect 2", worker.Connect{Epoch: 2, Instance: one}),
		command("Connect 2 elsewhere", worker.Connect{Epoch: 2, Instance: two}),
		command("Disconnect 1", worker.Disconnect{Epoch: 1}),
		command("Cordon", worker.Cordon{}),
		command("Uncordon", worker.Uncordon{}),
		command("Drain", worker.Drain{}),
		command("Lose", worker.Lose{}),
		command("Terminate", worker.Terminate{}),
	}))
}

// Whatever is asked in whatever order, epochs only grow, a worker that has ended
// stays so, and it keeps its first key.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var state worker.State
		for range rapid.IntRange(0, 40).Draw(t, "commands") {
			c := draw(t, state)
			aggregate.Laws(t, state, c)
			got, err := state.Decide(c)
			if err != nil {
				continue
			}
			next := aggregate.FoldOn(state, got...)
			switch {
			case next.Epoch < state.Epoch || next.Epoch > state.Epoch+1:
				t.Fatalf("epoch %d follows %d", next.Epoch, state.Epoch)
			case state.Status == worker.Terminated && len(got) > 0:
				t.Fatalf("%T yields %v after the end", c, got)
			case state.Registered() && !bytes.Equal(next.PublicKey, state.PublicKey):
				t.Fatalf("%T changes the key", c)
			case next.Status == worker.Connected && !next.Registered():
				t.Fatalf("%T connects what has not registered", c)
			}
			state = next
		}
	})
}

func draw(t *rapid.T, s worker.State) worker.Command {
	instance := rapid.SampledFrom([][]byte{one, two}).Draw(t, "instance")
	epoch := s.Epoch + uint64(rapid.IntRange(0, 2).Draw(t, "epoch"))
	return rapid.SampledFrom([]worker.Command{
		worker.Request{Provider: "docker"}, worker.Launch{Handle: "c1"}, worker.Launch{}, worker.FailLaunch{},
		worker.Register{Facts: facts("atlas"), PublicKey: rapid.SampledFrom([][]byte{key, otherKey}).Draw(t, "key")},
		worker.Connect{Epoch: max(1, epoch), Instance: instance}, worker.Connect{Epoch: max(1, epoch), Instance: instance, Facts: facts("eris")},
		worker.Disconnect{Epoch: epoch}, worker.Cordon{}, worker.Uncordon{}, worker.Drain{}, worker.Lose{Epoch: epoch}, worker.Terminate{},
	}).Draw(t, "command")
}

func TestStatusNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range worker.Statuses {
		seen[s.String()] = true
	}
	if len(seen) != len(worker.Statuses) || worker.Status(99).String() != "status_99" {
		t.Errorf("%v", seen)
	}
}
