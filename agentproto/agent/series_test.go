package agent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/series"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

func takesUsage(w *agentprotov1.Welcome) { w.TakesUsage = true }

// usage takes what comes up to a job's result, and returns its series.
func (s *serverSession) usage(job string, from uint64) (data []byte) {
	s.t.Helper()
	for {
		switch body := s.receive().GetBody().(type) {
		case *agentprotov1.AgentMessage_Chunk:
			c := body.Chunk
			if c.GetTag() != agentprotov1.Tag_TAG_USAGE {
				continue
			}
			if c.GetOffset() != from+uint64(len(data)) {
				s.t.Fatalf("a piece of the series begins at %d, it ends at %d", c.GetOffset(), from+uint64(len(data)))
			}
			data = append(data, c.GetData()...)
			s.send(&agentprotov1.ServerMessage{Body: &agentprotov1.ServerMessage_Ack{Ack: &agentprotov1.Ack{
				Ref: first(job), Have: from + uint64(len(data)), Usage: true,
			}}})
		case *agentprotov1.AgentMessage_Result:
			return data
		}
	}
}

const burnThree = "end=$(($(date +%s)+3)); while [ $(date +%s) -lt $end ]; do i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; done"

// What a job uses is told second by second, all of it before its result: CPU time,
// that of children included, and memory.
func TestUseIsToldSecondBySecond(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome(takesUsage)
	s.assign("j1", nil, burnThree)
	s.accepted()
	s.start("j1")
	data := s.usage("j1", 0)
	var all []series.Sample
	var cpu, over time.Duration
	var reader series.Decoder
	if err := reader.Decode(data, func(one series.Sample) { all, cpu, over = append(all, one), cpu+one.CPU, over+one.Over }); err != nil {
		t.Fatal(err)
	}
	if len(all) < 2 || over < 2*time.Second || over > 10*time.Second {
		t.Fatalf("%d samples of %v: %+v", len(all), over, all)
	}
	if cpu < over/20 || cpu > 2*over {
		t.Errorf("%v of CPU in %v", cpu, over)
	}
	if m := all[0]; m.Known&series.Memory == 0 || m.Memory < 200<<10 || m.Memory > 50<<20 || m.Processes == 0 || m.Known&series.Network != 0 {
		t.Errorf("the first sample is %+v", m)
	}
}

// An agent goes on with a series where a new server has it, and sends none to one
// that doesn't take any.
func TestASeriesAfterACut(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome(takesUsage)
	s.assign("j1", nil, "sleep 3.5")
	s.accepted()
	s.start("j1")
	var begun []byte
	for len(begun) == 0 {
		if c := s.receive().GetChunk(); c.GetTag() == agentprotov1.Tag_TAG_USAGE {
			begun = c.GetData()
		}
	}
	close(s.end)
	s = d.next().welcome(takesUsage, func(w *agentprotov1.Welcome) {
		w.Verdicts = append(w.Verdicts, &agentprotov1.Verdict{Ref: first("j1"), Keep: true, Started: true, HaveUsage: uint64(len(begun))})
	})
	data := append(begun, s.usage("j1", uint64(len(begun)))...)
	s.acknowledge("j1")
	n, last := 0, int64(0)
	var reader series.Decoder
	if err := reader.Decode(data, func(one series.Sample) { n, last = n+1, one.Time }); err != nil || n < 3 || last == 0 {
		t.Errorf("%d samples, %v", n, err)
	}

	close(s.end)
	s = d.next().welcome()
	s.assign("j2", nil, "sleep 1.8")
	s.accepted()
	s.start("j2")
	if data := s.usage("j2", 0); len(data) > 0 {
		t.Errorf("a server that takes no series got %d bytes", len(data))
	}
}

// A server that has lost what it acknowledged of a series is no reason to stop the
// job.
func TestASeriesThatCannotGoOn(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome(takesUsage)
	s.assign("j1", nil, "sleep 2.5; echo done")
	s.accepted()
	s.start("j1")
	s.until(func(m *agentprotov1.AgentMessage) bool {
		return m.GetBeat() != nil && len(m.GetBeat().GetAttempts()) > 0
	})
	close(s.end)
	s = d.next().welcome(takesUsage, func(w *agentprotov1.Welcome) {
		w.Verdicts = append(w.Verdicts, &agentprotov1.Verdict{Ref: first("j1"), Keep: true, Started: true, HaveUsage: 1 << 20})
	})
	if r := s.result("j1"); r.GetOutcome() != "succeeded" {
		t.Errorf("result %v", r)
	}
	if got := s.log["j1"].String(); !strings.Contains(got, "done") {
		t.Errorf("log %q", got)
	}
}
