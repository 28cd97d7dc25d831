package gateway_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

func (r *running) samples(offset uint64, text string) *pb.Chunk {
	return &pb.Chunk{Ref: r.ref, Tag: pb.Tag_TAG_USAGE, Offset: offset, Data: []byte(text)}
}

// back connects again, and returns the verdict.
func (r *running) back(t *testing.T, phase pb.Phase) *pb.Verdict {
	t.Helper()
	r.session = r.agent.Connect(t, &pb.Held{Ref: r.ref, Phase: phase})
	if len(r.session.Welcome.Verdicts) != 1 || !r.session.Welcome.TakesUsage {
		t.Fatalf("welcomed by %v", r.session.Welcome)
	}
	return r.session.Welcome.Verdicts[0]
}

func textOf(t *testing.T, logs *joblog.Log, k joblog.Key) string {
	t.Helper()
	var text strings.Builder
	for from := uint64(0); ; {
		pieces, next, err := logs.Read(t.Context(), k, from, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(pieces) == 0 {
			return text.String()
		}
		for _, p := range pieces {
			text.Write(p.Data)
		}
		from = next
	}
}

// An attempt's series has offsets of its own, and goes on after cuts and kills
// without a gap or a repeat; both of it and of the log all there is lasts.
func TestASeriesBesideTheLog(t *testing.T) {
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
	r.session.Say(t, r.samples(0, "one "))
	if a := gatewaytest.Next(t, r.session, ack); !a.Usage || a.Have != 4 {
		t.Fatalf("acknowledged %v", a)
	}
	r.session.Say(t, r.chunk(0, "output"))
	if a := gatewaytest.Next(t, r.session, ack); a.Usage || a.Have != 6 {
		t.Fatalf("acknowledged %v", a)
	}
	r.session.Cut()
	if v := r.back(t, pb.Phase_PHASE_RUNNING); !v.Keep || v.Have != 6 || v.HaveUsage != 4 {
		t.Fatalf("after a cut: %v", v)
	}
	r.session.Say(t, r.samples(2, "e two ")) // repeats what an acknowledgement was lost of
	if a := gatewaytest.Next(t, r.session, ack); !a.Usage || a.Have != 8 {
		t.Fatalf("acknowledged %v", a)
	}
	r.server.Kill(t)
	r.server.Restart(t)
	r.agent.Address = r.server.Address
	if v := r.back(t, pb.Phase_PHASE_ENDED); !v.Keep || v.HaveUsage != 8 {
		t.Fatalf("after a kill: %v", v)
	}
	r.session.Say(t, r.samples(8, "three"))
	r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: 6})
	gatewaytest.Next(t, r.session, resultAck)
	r.status(t, job.Succeeded)
	for k, want := range map[joblog.Key]string{r.key: "output", r.key.Series(): "one two three"} {
		if got := textOf(t, r.server.JobLog, k); got != want {
			t.Errorf("stored %q, want %q", got, want)
		}
		if end, ok := r.server.JobLog.Ended(k); !ok || end != uint64(len(want)) {
			t.Errorf("it ends at %d, %t", end, ok)
		}
	}
}

func TestNoSeriesWithoutSamples(t *testing.T) {
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
	r.session.Say(t, &pb.Result{Ref: r.ref, Outcome: "succeeded", ExitCode: new(int32)})
	gatewaytest.Next(t, r.session, resultAck)
	if _, ok := r.server.JobLog.Ended(r.key.Series()); ok {
		t.Error("there is an empty series")
	}
}

// The series of an attempt that is lost comes to an end, so that it can be moved.
func TestTheSeriesOfALostAttemptEnds(t *testing.T) {
	r := run(t, gatewaytest.Start(t, gatewaytest.Options{}), anyJob)
	r.session.Say(t, r.samples(0, "one"))
	gatewaytest.Next(t, r.session, ack)
	r.server.Lose(t, r.ref)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		_, _, next := r.server.JobLog.Wait(r.key.Series())
		if end, ok := r.server.JobLog.Ended(r.key.Series()); ok {
			if end != 3 {
				t.Errorf("it ends at %d", end)
			}
			return
		}
		select {
		case <-next:
		case <-ctx.Done():
			t.Fatal("it goes on")
		}
	}
}

func TestASeriesBreaksTheProtocol(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	for name, chunk := range map[string]func(*running) *pb.Chunk{
		"with a gap":    func(r *running) *pb.Chunk { return r.samples(1, "x") },
		"when too long": func(r *running) *pb.Chunk { return r.samples(64<<20, "x") },
		"beyond all":    func(r *running) *pb.Chunk { return r.samples(^uint64(0), "xx") },
	} {
		r := run(t, server, anyJob)
		r.session.Say(t, chunk(r))
		if err := r.session.End(t); err == nil || !strings.Contains(err.Error(), "protocol violation") {
			t.Errorf("%s: %v", name, err)
		}
		if head := server.JobLog.Head(r.key.Series()); head != 0 {
			t.Errorf("%s: %d bytes are there", name, head)
		}
	}
}
