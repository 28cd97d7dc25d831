package deadline

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

// onStage plays a test on a stage without a controller.
func onStage(t *testing.T, test func(*stage)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, dir)
		defer s.close()
		s.leaveControl()
		s.controlled <- nil // for close
		test(s)
	})
}

// run lets a controller run on other commands for a time.
func (s *stage) run(c Commands, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	controller := New(Config{Runner: s.runner, Commands: c, Telemetry: s.heard, Clock: s.store.Now, Logger: slog.New(slog.DiscardHandler)})
	if err := controller.Run(ctx); err != nil {
		s.Error(err)
	}
}

// other is commands of which those that lose jobs answer something else.
type other struct {
	*commands.Service
	calls  int
	answer func(call int) error // nil answers truly
}

func (o *other) LoseJobs(ctx context.Context, c commands.Caller, losses []commands.Loss) (eventstore.Position, []error) {
	o.calls++
	if err := o.answer(o.calls); err != nil {
		errs := make([]error, len(losses))
		for i := range errs {
			errs[i] = err
		}
		return 0, errs
	}
	return o.Service.LoseJobs(ctx, c, losses)
}

// A worker whose events can't be understood stays as it is, however long it is
// silent: what is said of it changes no World, so it would be said again for ever.
func TestAFrozenWorkerIsLeftAlone(t *testing.T) {
	const w1, hour = id.ID(1), int64(time.Hour)
	for _, frozen := range []bool{false, true} {
		l := worldtest.New()
		l.Add(event.WorkerStream(w1), &eventv1.WorkerRegistered{Facts: &eventv1.WorkerFacts{Name: "atlas"}, PublicKey: make([]byte, worker.KeyBytes)},
			&eventv1.WorkerConnected{Epoch: 1, Instance: []byte{1}})
		if frozen {
			l.AddRaw(event.WorkerStream(w1), "WorkerDisconnected", []byte{0xff})
		}
		var watch watch
		found := watch.look(l.World(), nobody{}, l.Now+hour)
		if silent := len(found.silent); (silent == 0) != frozen || found.none() != frozen {
			t.Errorf("frozen %t: %d workers are silent for too long", frozen, silent)
		}
	}
}

type heardAt int64

func (h heardAt) LastHeard(id.ID) (int64, bool) { return int64(h), true }

// That a worker connects is a sign of life, before it says anything; that its
// session ended is none.
func TestALeaseBeginsWhenAWorkerConnects(t *testing.T) {
	const w1, second = id.ID(1), int64(time.Second)
	tolerance := int64(settings.Default().ReconnectTolerance)
	l := worldtest.New()
	began, stream := l.Now, event.WorkerStream(w1)
	l.Add(stream, &eventv1.WorkerRegistered{Facts: &eventv1.WorkerFacts{Name: "atlas"}, PublicKey: make([]byte, worker.KeyBytes)},
		&eventv1.WorkerConnected{Epoch: 1, Instance: []byte{1}})
	l.Now = began + tolerance - second
	l.Add(stream, &eventv1.WorkerDisconnected{Epoch: 1, Reason: "closed"})
	disconnected := l.World()
	l.Add(stream, &eventv1.WorkerConnected{Epoch: 2, Instance: []byte{1}})
	for _, row := range []struct {
		name  string
		world *projections.World
		at    int64
		lost  bool
	}{
		{"within the tolerance", disconnected, began + tolerance - second, false},
		{"its session has ended a second before", disconnected, began + tolerance, true},
		{"it has connected a second before", l.World(), began + tolerance, false},
		{"it has connected and said nothing for as long", l.World(), l.Now + tolerance, true},
	} {
		var watch watch
		if lost := len(watch.look(row.world, heardAt(began), row.at).silent) > 0; lost != row.lost {
			t.Errorf("%s: it is lost: %t", row.name, lost)
		}
	}
}

func TestManyAttemptsOfOneWorkerAreAllTaken(t *testing.T) {
	onStage(t, func(s *stage) {
		const jobs = 2*maxBatch + 1
		s.do([]string{"worker", "w1"})
		for n := range jobs {
			j := fmt.Sprintf("j%d", n)
			s.do([]string{"submit", j})
			s.do([]string{"bind", j, "w1"})
		}
		s.do([]string{"terminate", "w1"})
		o := &other{Service: s.commands, answer: func(int) error { return nil }}
		s.run(o, time.Minute)
		if w := s.runner.World(); w.Cluster.Live() != 0 || w.Queue.Waiting() != jobs || o.calls != 3 {
			s.Errorf("after %d commands %d are live and %d wait, want 3, 0 and %d", o.calls, w.Cluster.Live(), w.Queue.Waiting(), jobs)
		}
	})
}

func TestWhatCantBeRecordedIsTriedAgain(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer func(call int) error
		live   int
		least  int
		most   int
	}{
		{"a full disk, for five tries", func(call int) error {
			if call <= 5 {
				return &fault.Error{Kind: fault.Unavailable, Reason: "the disk is full"}
			}
			return nil
		}, 0, 6, 6},
		{"a log that refuses without a reason is asked now and then", func(int) error {
			return fault.Refuse("lose", "job", "it is none of your business")
		}, 1, 3, 100},
	} {
		t.Run(row.name, func(t *testing.T) {
			onStage(t, func(s *stage) {
				for _, line := range [][]string{{"worker", "w1"}, {"submit", "j1"}, {"bind", "j1", "w1"}, {"terminate", "w1"}} {
					s.do(line)
				}
				o := &other{Service: s.commands, answer: row.answer}
				s.run(o, time.Minute)
				if live := s.runner.World().Cluster.Live(); live != row.live || o.calls < row.least || o.calls > row.most {
					s.Errorf("%d are live after %d tries, want %d after %d to %d", live, o.calls, row.live, row.least, row.most)
				}
			})
		})
	}
}
