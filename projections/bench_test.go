package projections_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

// million is how many jobs wait in the large benchmarks: fewer unless HODEI_LONG
// is set.
func million() int {
	if os.Getenv("HODEI_LONG") != "" {
		return 1_000_000
	}
	return 100_000
}

func aSubmission(class int) *eventv1.JobSubmitted {
	return &eventv1.JobSubmitted{
		Namespace: "ns-" + strconv.Itoa(class), Name: "build-web", Steps: 2,
		Requires:    []*eventv1.Pair{{Key: "disk", Value: "ssd"}, {Key: "os", Value: "linux"}},
		Resources:   &eventv1.Resources{CpuMilli: 500, MemoryBytes: 1 << 30},
		TimeLimitNs: int64(time.Hour), Cancel: &eventv1.CancelPolicy{Signal: "TERM", GraceNs: int64(10 * time.Second)},
		Spec: []byte(`{"name":"build-web","steps":[{"name":"build","run":"make -j4 all"},{"name":"test","run":"make check"}],"resources":{"cpu":"500m","memory":"1Gi"},"requires":{"os":"linux","disk":"ssd"},"timeout":"1h"}`),
	}
}

func aBinding(worker id.ID) *eventv1.JobBound {
	w := worker.String()
	return &eventv1.JobBound{Attempt: 1, WorkerId: w, Decision: &eventv1.Decision{
		Policy: "binpack", PlanVersion: 1, Position: 123456, TelemetryOffset: 4711, Considered: 10,
		Refused: []*eventv1.Refusal{{Reason: "no_room", Count: 3}},
		Best:    []*eventv1.Candidate{{WorkerId: w, Score: 0.75}, {WorkerId: w, Score: 0.5}},
	}}
}

// lives returns a log of n whole lives of 8 events, of which 320 are under way
// at any time. Ids are random, as in life.
func lives(n int) *worldtest.Log {
	const atOnce = 320
	l := worldtest.New()
	r := rand.New(rand.NewPCG(1, 2))
	ids := make([]id.ID, n)
	life := func(i, phase int) []proto.Message {
		w := id.ID(i%10 + 1)
		return [...][]proto.Message{
			{aSubmission(i % 100)},
			{aBinding(w)},
			{&eventv1.JobStarted{Attempt: 1}},
			{&eventv1.StepStarted{Attempt: 1, Step: 1, Name: "build"}, &eventv1.StepFinished{Attempt: 1, Step: 1, Name: "build", State: "succeeded", ExitCode: proto.Int32(0)}},
			{&eventv1.StepStarted{Attempt: 1, Step: 2, Name: "test"}, &eventv1.StepFinished{Attempt: 1, Step: 2, Name: "test", State: "succeeded", ExitCode: proto.Int32(0)}},
			{&eventv1.JobSucceeded{Attempt: 1, WorkerId: w.String(), Ending: &eventv1.Ending{ExitCode: proto.Int32(0), EndOffset: 12345, TookNs: 1e9, Usage: &eventv1.Usage{PeakMemoryBytes: proto.Uint64(1 << 28)}}}},
		}[phase]
	}
	const phases = 6
	for i := range n + phases*atOnce {
		for phase := phases - 1; phase >= 0; phase-- {
			if j := i - phase*atOnce/phases; j >= 0 && j < n {
				if phase == 0 {
					ids[j] = id.ID(r.Uint64N(1<<40-1) + 1)
				}
				l.Now += 1000
				l.Add(event.JobStream(ids[j]), life(j, phase)...)
			}
		}
	}
	return l
}

// rate reports how many of n things an iteration were done in a second of the
// clock, and in one of the process's own time, which neighbours don't disturb.
func rate(b *testing.B, n int, from time.Duration) {
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(n*b.N)/(cpu(b)-from).Seconds(), "events/cpu-s")
	b.ReportMetric(0, "ns/op")
}

func cpu(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRebuild folds stored bytes of whole lives.
func BenchmarkRebuild(b *testing.B) {
	l := lives(50_000)
	runtime.GC()
	from := cpu(b)
	b.ReportAllocs()
	for b.Loop() {
		l.World()
	}
	rate(b, len(l.Records), from)
}

// pending returns the World of n waiting jobs, made without keeping their log.
func pending(n, classes int) *projections.World {
	w := projections.NewWorld()
	r := rand.New(rand.NewPCG(1, 2))
	data := make([][]byte, classes)
	for i := range data {
		data[i] = event.Encode(aSubmission(i))
	}
	for i := range n {
		w.Apply(&eventstore.Record{
			Position: w.Position + 1, Time: worldtest.Epoch + int64(i)*1000, Type: "JobSubmitted",
			Stream: eventstore.StreamID(event.JobStream(id.ID(r.Uint64N(1<<40-1) + 1))), Data: data[i%classes],
		})
	}
	return w
}

func BenchmarkSubmissions(b *testing.B) {
	for _, classes := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("classes=%d", classes), func(b *testing.B) {
			n, from := million(), cpu(b)
			for b.Loop() {
				pending(n, classes)
			}
			rate(b, n, from)
		})
	}
}

// BenchmarkPending reports what waiting jobs cost: memory of the process, and a
// full collection.
func BenchmarkPending(b *testing.B) {
	n := million()
	runtime.GC()
	before := rss(b)
	w := pending(n, 100)
	resident := rss(b) - before
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	for b.Loop() {
		runtime.GC()
	}
	b.ReportMetric(float64(resident)/1e6, "MB-rss")
	b.ReportMetric(float64(m.HeapAlloc)/1e6, "MB-heap")
	runtime.KeepAlive(w)
}

func rss(b *testing.B) int {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(status))[1])
	if err != nil {
		b.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func BenchmarkFork(b *testing.B) {
	w := pending(10_000, 100)
	b.ReportAllocs()
	for b.Loop() {
		w.Fork()
	}
}

// BenchmarkPublishedEvent applies one event at a time and forks after each, as an
// idle server does: what each costs with all nodes on its way copied.
func BenchmarkPublishedEvent(b *testing.B) {
	w := pending(million(), 100)
	data := event.Encode(aSubmission(1))
	r := rand.New(rand.NewPCG(3, 4))
	b.ReportAllocs()
	for b.Loop() {
		w.Apply(&eventstore.Record{
			Position: w.Position + 1, Time: w.Time + 1, Type: "JobSubmitted",
			Stream: eventstore.StreamID(event.JobStream(id.ID(r.Uint64N(1<<40-1) + 1))), Data: data,
		})
		w.Fork()
	}
}

func BenchmarkSnapshot(b *testing.B) {
	w := pending(million(), 100)
	var form bytes.Buffer
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			form.Reset()
			if err := w.Encode(&form); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(form.Len())/1e6, "MB")
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			if _, err := projections.Decode(form.Bytes()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
