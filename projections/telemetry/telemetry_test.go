package telemetry

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

func uses(cpu, memory uint64) Sample { return Sample{CPU: Measured(cpu), Memory: Measured(memory)} }

func TestViewIsRoundedUp(t *testing.T) {
	const mib = 1 << 20
	for _, row := range []struct {
		name   string
		sample Sample
		want   resource.Amount
	}{
		{"nothing used is nothing", uses(0, 0), resource.Amount{}},
		{"whole steps stay", uses(20, 32*mib), resource.Amount{CPU: 20, Memory: 32 * mib}},
		{"the least bit over is a step more", uses(21, 32*mib+1), resource.Amount{CPU: 30, Memory: 48 * mib}},
		{"what could not be measured is nothing", Sample{CPU: Measured(11)}, resource.Amount{CPU: 20}},
	} {
		table := New()
		table.Report(1, 1, row.sample)
		if got := table.View().Used(1); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func TestViewChangesOnlyWithWhatItShows(t *testing.T) {
	table := New()
	table.Report(1, 1, uses(11, 1))
	first := table.View()
	table.Report(1, 2, uses(12, 2))
	if table.View() != first {
		t.Error("a difference below a step made another view")
	}
	table.Report(1, 3, uses(21, 2))
	if v := table.View(); v.Offset != 3 || first.Offset != 1 || first.Used(1).CPU != 20 {
		t.Errorf("offsets are %d and %d, the first view shows %v", first.Offset, v.Offset, first.Used(1))
	}
}

func TestHearing(t *testing.T) {
	table := New()
	if _, ok := table.LastHeard(1); ok {
		t.Error("a worker was heard before it said anything")
	}
	table.Heard(1, 10)
	table.Report(1, 30, Sample{})
	table.Heard(1, 20)
	if at, ok := table.LastHeard(1); !ok || at != 30 {
		t.Errorf("last heard at %d (%v), want 30", at, ok)
	}
}

func TestUsageIsOfTheNewestSample(t *testing.T) {
	table := New()
	of := func(job id.ID, memory uint64) Attempt { return Attempt{Job: job, Attempt: 1, Memory: Measured(memory)} }
	table.Report(1, 1, Sample{Attempts: []Attempt{of(7, 100), of(8, 200)}})
	table.Report(1, 2, Sample{Attempts: []Attempt{of(8, 300)}})
	if _, ok := table.Usage(7, 1); ok {
		t.Error("the use of an attempt is shown that is no longer reported")
	}
	if a, ok := table.Usage(8, 1); !ok || a.Memory != Measured(300) {
		t.Errorf("job 8 uses %v (%v)", a, ok)
	}
}

func TestWorkersSilentForLongAreForgotten(t *testing.T) {
	table := New()
	const hour = int64(ForgottenAfter)
	table.Report(1, 0, Sample{CPU: Measured(10), Attempts: []Attempt{{Job: 7, Attempt: 1}}})
	table.Report(2, 10, uses(20, 0))
	table.Heard(3, hour+10) // a new one
	if _, ok := table.LastHeard(1); ok {
		t.Error("worker 1 is not forgotten")
	}
	if _, ok := table.Usage(7, 1); ok || table.View().Used(1).CPU != 0 {
		t.Error("the use of a forgotten worker is shown")
	}
	if _, ok := table.LastHeard(2); !ok || table.View().Used(2).CPU != 20 {
		t.Error("worker 2 is forgotten too soon")
	}
}

func gauges() *rapid.Generator[Gauge] {
	return rapid.Custom(func(t *rapid.T) Gauge {
		if rapid.Bool().Draw(t, "known") {
			return Measured(rapid.Uint64().Draw(t, "n"))
		}
		return Gauge{}
	})
}

func samples() *rapid.Generator[Sample] {
	return rapid.Custom(func(t *rapid.T) Sample {
		var s Sample
		for _, g := range s.gauges() {
			*g = gauges().Draw(t, "gauge")
		}
		for range rapid.IntRange(0, 3).Draw(t, "attempts") {
			a := Attempt{Job: id.ID(rapid.IntRange(1, 3).Draw(t, "job")), Attempt: 1, Processes: rapid.Uint32().Draw(t, "processes")}
			a.Stalled, a.WaitsForInput = rapid.Bool().Draw(t, "stalled"), rapid.Bool().Draw(t, "input")
			for _, g := range a.gauges() {
				*g = gauges().Draw(t, "gauge")
			}
			s.Attempts = append(s.Attempts, a)
		}
		return s
	})
}

func TestFramesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var write, read history
		write.reset()
		body := []byte{frameBegins, 1}
		want := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Record {
			return Record{
				Position: eventstore.Position(rapid.Uint32().Draw(t, "position")), Time: rapid.Int64().Draw(t, "time"),
				Worker: id.ID(rapid.IntRange(1, 3).Draw(t, "worker")), Sample: samples().Draw(t, "sample"),
			}
		}), 1, 20).Draw(t, "records")
		for i := range want {
			want[i].Offset = uint64(i) + 1
			body = write.append(body, &want[i])
		}
		got, err := read.frame(body, uint32(len(want)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{frameBegins, 1, 0, 7, 2, 2, 1, 2, 0}, uint32(1))
	f.Fuzz(func(t *testing.T, body []byte, count uint32) {
		var h history
		h.reset()
		_, _ = h.frame(body, count) // it must only return
	})
}

// running runs a table's journal and returns how to end it.
func running(t *testing.T, table *Table) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := table.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return func() { cancel(); done.Wait() }
}

func read(t *testing.T, table *Table, from, to eventstore.Position) (got []Record) {
	t.Helper()
	for r, err := range table.Read(t.Context(), from, to) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	return got
}

func TestJournalIsReadBackByPosition(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "telemetry")
	position := eventstore.Position(0)
	o := Options{Position: func() eventstore.Position { return position }}
	const each = 5
	for range 3 { // with a restart between them
		table, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		for range each {
			position++
			table.Report(id.ID(position%2+1), 1, uses(uint64(position)*10, uint64(position)))
		}
		running(t, table)()
		table, err = Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, table, 2, position-1)
		if len(got) != int(position)-2 || got[0].Position != 2 || got[0].Offset != 2 || got[len(got)-1].Memory != Measured(uint64(position-1)) {
			t.Errorf("read %d samples: %+v", len(got), got)
		}
		if err := table.journal.log.Close(nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOldJournalsAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		position := eventstore.Position(0)
		table, err := Open(filepath.Join(t.TempDir(), "telemetry"), Options{
			Position: func() eventstore.Position { return position }, Retention: 24 * time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, table)
		for range 10 {
			position++
			table.Report(1, 1, uses(uint64(position)*10, 0))
			<-time.After(journalSpan + time.Minute) // of the bubble's clock
			synctest.Wait()
		}
		got := read(t, table, 0, position)
		stop()
		if len(got) == 0 || got[0].Position < 7 || got[len(got)-1].Position != position {
			t.Errorf("after five days with one day kept these are left: %+v", got)
		}
	})
}

func TestAFullQueueDropsAndTellsPlacementNothing(t *testing.T) {
	table, err := Open(filepath.Join(t.TempDir(), "telemetry"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range queued + 10 { // nobody writes
		table.Report(1, 1, uses(uint64(i)*CPUStep, 0))
	}
	if table.Dropped() != 10 || table.View().Used(1).CPU != (queued-1)*CPUStep {
		t.Errorf("dropped %d, placement is shown %v", table.Dropped(), table.View().Used(1))
	}
	if r, _ := table.Latest(1); r.CPU != Measured((queued+9)*CPUStep) {
		t.Errorf("people are shown %v", r.CPU)
	}
	running(t, table)()
	if table.View().Offset != queued {
		t.Errorf("the offset is %d, want %d", table.View().Offset, queued)
	}
}

// failing lets the n-th append fail as a broken disk does.
type failing struct{ wal.Disk }

func (failing) Segment(dir string) (wal.Segment, error) {
	s, err := wal.Disk{}.Segment(dir)
	return brokenSegment{s}, err
}

type brokenSegment struct{ wal.Segment }

func (brokenSegment) Write([]byte) error { return errors.New("input/output error") }

func TestABrokenJournalEndsNothingElse(t *testing.T) {
	table, err := Open(filepath.Join(t.TempDir(), "telemetry"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := table.journal.log.Close(nil); err != nil {
		t.Fatal(err)
	}
	table.journal.log, _, err = wal.Open(filepath.Join(t.TempDir(), "broken"), wal.Options{Files: failing{}})
	if err != nil {
		t.Fatal(err)
	}
	table.Report(1, 1, uses(10, 0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := table.Run(ctx); err == nil {
		t.Fatal("Run did not tell that the journal is broken")
	}
	for range 2 * queued {
		table.Report(1, 2, uses(20, 0))
	}
	if table.Dropped() != 0 || table.View().Used(1).CPU != 20 {
		t.Errorf("dropped %d, placement is shown %v", table.Dropped(), table.View().Used(1))
	}
	if at := table.View().Offset; at != 0 {
		t.Errorf("what was shown has offset %d, which the next opening will give to something else", at)
	}
}

func TestReadersAndWritersAtOnce(t *testing.T) {
	table := New()
	var all sync.WaitGroup
	for w := range id.ID(4) {
		all.Go(func() {
			for i := range 1000 {
				table.Report(w+1, int64(i), Sample{CPU: Measured(uint64(i)), Attempts: []Attempt{{Job: w + 1, Attempt: uint32(i)}}})
				table.Heard(w+1, int64(i))
			}
		})
		all.Go(func() {
			for range 1000 {
				table.View().Used(w + 1)
				table.Latest(w + 1)
				table.Usage(w+1, 5)
				table.LastHeard(w + 1)
			}
		})
	}
	all.Wait()
}

func BenchmarkReportOf32Attempts(b *testing.B) {
	table := New()
	const workers, slots = 1000, 32
	attempts := make([][]Attempt, workers)
	for w := range attempts {
		for a := range slots {
			attempts[w] = append(attempts[w], Attempt{Job: id.ID(w*slots + a + 1), Attempt: 1})
		}
	}
	for i := 0; b.Loop(); i++ {
		w := i % workers
		table.Report(id.ID(w+1), int64(i), Sample{CPU: Measured(uint64(i) * CPUStep), Attempts: attempts[w]})
	}
}
