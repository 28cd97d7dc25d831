package projections_test

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

const newest = eventstore.Position(1<<63 - 1)

// dump returns all that a World shows, also what its canonical form leaves out
// because it follows from the rest.
func dump(w *projections.World) []string {
	d := []string{fmt.Sprintf("world #%d %d %+v", w.Position, w.Time, w.Settings)}
	for s, f := range w.Frozen() {
		d = append(d, fmt.Sprintf("frozen %s %+v", s, f))
	}
	for c := range w.Queue.Classes() {
		d = append(d, fmt.Sprintf("class %+v", c))
		d = list(d, " entry", w.Queue.Entries(c.Origin))
	}
	d = list(d, "arrived", w.Queue.Arrived(0))
	d = list(d, "due", w.Queue.Due())
	for n := range w.Cluster.Nodes() {
		d = append(d, fmt.Sprintf("node %+v", n))
		d = list(d, " attempt", w.Cluster.Attempts(n.ID, 0))
	}
	d = list(d, "gained", w.Cluster.Gained(0))
	d = list(d, "expiring", w.Cluster.Expiring())
	for j := range w.Jobs.Ascend(0) {
		byID, _ := w.Jobs.ByID(j.ID)
		a, live := w.Cluster.AttemptOf(j.Position)
		d = append(d, fmt.Sprintf("job %+v %v %s %+v %v %d", j, byID == j, w.Jobs.Namespace(j), w.Jobs.Limit(j), live, a.BoundAt))
	}
	d = list(d, "ended", w.Jobs.Ended(newest))
	for ns, c := range w.Jobs.Namespaces() {
		d = append(d, fmt.Sprintf("namespace %s %v", ns, c))
	}
	for row := range w.Workers.All() {
		d = append(d, fmt.Sprintf("worker %+v", *row))
	}
	for t := range w.Access.Tokens() {
		byHash, _ := w.Access.ByHash(t.Hash)
		d = append(d, fmt.Sprintf("token %+v %v", *t, byHash == t))
	}
	return list(d, "namespace", w.Access.Namespaces())
}

func list[T any](d []string, what string, all iter.Seq[T]) []string {
	for one := range all {
		d = append(d, fmt.Sprintf("%s %+v", what, one))
	}
	return d
}

// fataler is what rapid's and testing's T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func same(t fataler, what string, got, want *projections.World) {
	t.Helper()
	if diff := cmp.Diff(dump(want), dump(got)); diff != "" {
		t.Fatalf("%s differs (- want, + got):\n%s", what, diff)
	}
	if got.Digest() != want.Digest() {
		t.Fatalf("%s shows the same and has another digest", what)
	}
}

func reload(t fataler, w *projections.World) *projections.World {
	t.Helper()
	var form bytes.Buffer
	if err := w.Encode(&form); err != nil {
		t.Fatalf("Encode: %v", err)
	}
	loaded, err := projections.Decode(form.Bytes())
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	return loaded
}

// agree checks that the World and the aggregates tell the same of every job and
// worker, and that nothing of a valid history was frozen.
func agree(t fataler, w *projections.World, h *worldtest.History) {
	t.Helper()
	for s, f := range w.Frozen() {
		t.Fatalf("stream %s was frozen at #%d: %s", s, f.Position, f.Why)
	}
	for i, want := range h.Jobs {
		got, ok := w.Jobs.ByID(i)
		if !ok && want.Status.Terminal() { // trimmed
			continue
		}
		if got.Status != want.Status || got.Backoff != want.Backoff || got.Attempt != want.Attempt ||
			got.CancelRequested != want.CancelRequested || want.Worker != "" && got.Worker.String() != want.Worker {
			t.Fatalf("job %s is %+v, its stream says %+v", i, got, want)
		}
		if _, live := w.Cluster.AttemptOf(got.Position); live != want.Status.Live() {
			t.Fatalf("job %s is %s, and live in the cluster: %v", i, want.Status, live)
		}
	}
	for i, want := range h.Workers {
		got, ok := w.Workers.Get(i)
		if ok != (want.Status != worker.None) {
			t.Fatalf("worker %s is known: %v, its stream says %s", i, ok, want.Status)
		}
		if ok && (got.Status != want.Status || got.Epoch != want.Epoch || got.Cordoned != want.Cordoned || got.Draining != want.Draining) {
			t.Fatalf("worker %s is %+v, its stream says %+v", i, *got, want)
		}
	}
}

// grow lets a live World follow a history of random commands, and sometimes go
// on from a fork or from its own snapshot, as servers do.
func grow(t fataler, s worldtest.Source, steps int) (*projections.World, *worldtest.History) {
	seldom := 10 + steps/10 // loading takes the longer the more there is
	h := worldtest.NewHistory(s)
	h.Values = true
	live := projections.NewWorld()
	for range steps {
		h.Step()
		switch s.Intn(seldom) {
		case 0:
			live = reload(t, live)
		case 1, 2:
			live = live.Fork()
		case 3, 4, 5:
			h.Apply(live, h.Head())
		}
	}
	h.Apply(live, h.Head())
	return live, h
}

func forget(h *worldtest.History) {
	for _, r := range h.Records {
		r.Value = nil
	}
}

// Live, by way of snapshots, and replayed from the stored bytes, a World is the
// same, and the same as the aggregates say.
func TestALogHasOneWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		live, h := grow(t, worldtest.Rapid{T: t}, rapid.IntRange(1, 300).Draw(t, "steps"))
		agree(t, live, h)
		same(t, "the World from a snapshot", reload(t, live), live)
		forget(h)
		same(t, "the World replayed from bytes", h.World(), live)
	})
}

type random struct{ *rand.Rand }

func (r random) Intn(n int) int { return r.IntN(n) }

func TestALongLogHasOneWorld(t *testing.T) {
	steps := 20_000
	if os.Getenv("HODEI_LONG") != "" {
		steps = 1_000_000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	live, h := grow(t, random{rand.New(rand.NewPCG(seed, 1))}, steps)
	agree(t, live, h)
	forget(h)
	same(t, "the World replayed from bytes", h.World(), live)
	t.Logf("%d events, %d jobs, %d in memory", len(h.Records), len(h.Jobs), live.Jobs.Len())
}

// A published World doesn't change, whatever becomes of forks of it.
func TestAForkIsNotSeenByItsSource(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := worldtest.NewHistory(worldtest.Rapid{T: t})
		for range 60 {
			h.Step()
		}
		at := eventstore.Position(rapid.IntRange(0, int(h.Head())).Draw(t, "at"))
		w := h.WorldAt(at)
		before := dump(w)
		one, two := w.Fork(), w.Fork()
		h.Apply(one, h.Head())
		if diff := cmp.Diff(before, dump(w)); diff != "" {
			t.Fatalf("the source changed:\n%s", diff)
		}
		h.Apply(two, h.Head())
		same(t, "the second fork", two, one)
	})
}

func submitted() *eventv1.JobSubmitted { return &eventv1.JobSubmitted{Namespace: "default", Steps: 1} }

func TestWhatCannotBeTakenFreezesOneStream(t *testing.T) {
	const i = id.ID(7)
	stream, other := event.JobStream(i), event.JobStream(8)
	bound := &eventv1.JobBound{Attempt: 1, WorkerId: id.ID(9).String()}
	for _, row := range []struct {
		name  string
		given []proto.Message
		typ   string
		data  []byte
		want  projections.Verdict
	}{
		{"bytes that are no protobuf", nil, "JobSubmitted", []byte{0xff}, projections.Undecodable},
		{"text that is no UTF-8", nil, "JobSubmitted", []byte{0x0a, 1, 0xff}, projections.Undecodable},
		{"a start of a job nobody submitted", nil, "JobStarted", nil, projections.Impossible},
		{"a second submission", []proto.Message{submitted()}, "JobSubmitted", nil, projections.Impossible},
		{"an attempt that is not the next", []proto.Message{submitted()}, "JobBound", event.Encode(&eventv1.JobBound{Attempt: 2, WorkerId: bound.WorkerId}), projections.Impossible},
		{"a worker that is no id", []proto.Message{submitted()}, "JobBound", event.Encode(&eventv1.JobBound{Attempt: 1, WorkerId: "atlas"}), projections.Undecodable},
		{"an end of an attempt that is not bound", []proto.Message{submitted()}, "JobSucceeded", event.Encode(&eventv1.JobSucceeded{Attempt: 1}), projections.Impossible},
		{"a start of another attempt", []proto.Message{submitted(), bound}, "JobStarted", event.Encode(&eventv1.JobStarted{Attempt: 3}), projections.Impossible},
		{"an event after the end", []proto.Message{submitted(), &eventv1.JobCancelled{}}, "JobCancelled", nil, projections.Impossible},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := worldtest.New()
			l.Add(other, submitted())
			l.Add(stream, row.given...)
			at := l.AddRaw(stream, row.typ, row.data).Position
			l.Add(stream, bound, &eventv1.JobSucceeded{Attempt: 1})
			l.Add(other, bound)
			w := l.World()
			frozen := 0
			for s, f := range w.Frozen() {
				frozen++
				if s != eventstore.StreamID(stream) || f.Position != at || f.Why != row.want {
					t.Errorf("%s is frozen at #%d: %s, want %s at #%d: %s", s, f.Position, f.Why, stream, at, row.want)
				}
			}
			if frozen != 1 {
				t.Errorf("%d streams are frozen, want 1", frozen)
			}
			if w.Queue.Waiting() != 0 || w.Cluster.Live() != 1 {
				t.Errorf("%d jobs wait and %d are live, want only the other one, live", w.Queue.Waiting(), w.Cluster.Live())
			}
			if j, ok := w.Jobs.ByID(i); ok && !j.Status.Terminal() && !j.Frozen {
				t.Errorf("the job is not shown as frozen: %+v", j)
			}
			same(t, "the World from a snapshot", reload(t, w), w)
		})
	}
}

func TestUnknownTypesAndStreamsChangeNothing(t *testing.T) {
	l := worldtest.New()
	before := l.World()
	l.AddRaw("job-00000007", "JobPonderedAbout", []byte{0xff})
	l.AddRaw("tomorrow", "StepStarted", []byte{0xff})
	w := l.World()
	if w.Position != 2 {
		t.Errorf("the World is at #%d", w.Position)
	}
	if diff := cmp.Diff(dump(before)[1:], dump(w)[1:]); diff != "" {
		t.Error(diff)
	}
}

func TestFrozenWorkersAndTokensAreShutOut(t *testing.T) {
	l := worldtest.New()
	const w9, t5 = id.ID(9), id.ID(5)
	l.Add(event.WorkerStream(w9),
		&eventv1.WorkerRegistered{PublicKey: make([]byte, 32), Facts: &eventv1.WorkerFacts{Capacity: &eventv1.Resources{CpuMilli: 1000}}},
		&eventv1.WorkerConnected{Epoch: 1, Instance: []byte{1}})
	l.Add(event.TokenStream(t5), &eventv1.TokenCreated{Hash: make([]byte, 32), Role: "admin"})
	w := l.World()
	if n, _ := w.Cluster.Node(w9); !n.Open() {
		t.Fatal("a connected worker takes no jobs")
	}
	if tok, _ := w.Access.Token(t5); !tok.Valid(l.Now) || tok.Role.String() != "admin" {
		t.Fatalf("a new token is not valid: %+v", tok)
	}
	l.AddRaw(event.WorkerStream(w9), "WorkerCordoned", []byte{0xff})
	l.AddRaw(event.TokenStream(t5), "TokenCreated", []byte{0xff})
	w = l.World()
	if n, _ := w.Cluster.Node(w9); n.Open() {
		t.Error("a frozen worker takes jobs")
	}
	if tok, _ := w.Access.Token(t5); tok.Valid(l.Now) {
		t.Error("a frozen token is accepted")
	}
	same(t, "the World from a snapshot", reload(t, w), w)
}

func TestApplyPanicsOutOfOrder(t *testing.T) {
	l := worldtest.New()
	l.Add(event.JobStream(1), submitted())
	l.Add(event.JobStream(2), submitted())
	defer func() {
		if recover() == nil {
			t.Error("record #2 was applied to the empty World")
		}
	}()
	projections.NewWorld().Apply(l.Records[1])
}

func TestEndedJobsBeyondTheKeptNumberGo(t *testing.T) {
	l := worldtest.New()
	l.Add(event.SettingsStream(), &eventv1.SettingsChanged{KeptFinished: proto.Uint32(2)})
	for i := id.ID(1); i <= 4; i++ {
		l.Add(event.JobStream(i), submitted())
	}
	for _, i := range []id.ID{3, 1, 4} { // 2 goes on
		l.Add(event.JobStream(i), &eventv1.JobCancelRequested{}, &eventv1.JobCancelled{})
	}
	w := l.World()
	var left []id.ID
	for j := range w.Jobs.Ascend(0) {
		left = append(left, j.ID)
	}
	if diff := cmp.Diff([]id.ID{1, 2, 4}, left); diff != "" {
		t.Error(diff)
	}
	if c := w.Jobs.Counts(); c[job.Cancelled] != 3 || c[job.Pending] != 1 {
		t.Errorf("counts are %v", c)
	}
	l.Add(event.SettingsStream(), &eventv1.SettingsChanged{KeptFinished: proto.Uint32(0)})
	if w = l.World(); w.Jobs.Len() != 1 {
		t.Errorf("%d jobs are left, want the one that has not ended", w.Jobs.Len())
	}
}

func TestDamagedFormsAreRefused(t *testing.T) {
	_, h := grow(t, random{rand.New(rand.NewPCG(1, 1))}, 40)
	var form bytes.Buffer
	if err := h.World().Encode(&form); err != nil {
		t.Fatal(err)
	}
	for bit := range form.Len() * 8 {
		damaged := bytes.Clone(form.Bytes())
		damaged[bit/8] ^= 1 << (bit % 8)
		if _, err := projections.Decode(damaged); err == nil {
			t.Fatalf("bit %d was flipped and the form loaded", bit)
		}
	}
}
