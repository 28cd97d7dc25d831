package gateway_test

import (
	"testing"

	"github.com/hodei-jobs/hodei/agentproto/gateway/dummy"
	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

const unlisted = pb.Phase(-1)

// What the log says of an attempt when its agent comes back.
const (
	bound   = "bound"
	started = "started" // and 5 bytes of its log are durable
	over    = "over"    // it was started, and lost
)

// TestRestartTable: what becomes of an attempt, by what the log says of it and
// what the agent says when it comes back; for an agent that was cut off, whether the
// server has noticed or not, for one whose process is new, and for a server that
// is new.
func TestRestartTable(t *testing.T) {
	for _, test := range []struct {
		name string
		log  string
		says pb.Phase

		keep, permitted bool          // the verdict
		have            uint64        // with it
		then            func(b *back) // what follows
	}{
		{"bound, and the agent doesn't know it: it is assigned", bound, unlisted, false, false, 0, (*back).expectAssign},
		{"bound, and the agent has accepted it: it may start", bound, pb.Phase_PHASE_ACCEPTED, true, false, 0, (*back).expectStart},
		{"bound, and the agent runs it without permission: it is stopped", bound, pb.Phase_PHASE_RUNNING, false, false, 0, nil},
		{"bound, and the agent has ended it without permission: that is dropped", bound, pb.Phase_PHASE_ENDED, false, false, 0, nil},
		{"started, and the agent doesn't have it: it is lost", started, unlisted, false, false, 0, (*back).expectLost},
		{"started, and the agent has only accepted it: it may start", started, pb.Phase_PHASE_ACCEPTED, true, true, 5, (*back).expectStart},
		{"started, and the agent runs it: it goes on", started, pb.Phase_PHASE_RUNNING, true, true, 5, (*back).goOn},
		{"started, and the agent has its end: it reports it", started, pb.Phase_PHASE_ENDED, true, true, 5, (*back).goOn},
		{"started, and the agent says nonsense: it is stopped", started, pb.Phase_PHASE_UNSPECIFIED, false, false, 0, (*back).expectLost},
		{"over, and the agent still runs it: it is stopped", over, pb.Phase_PHASE_RUNNING, false, false, 0, nil},
		{"over, and the agent still has its end: that is refused, which is recorded", over, pb.Phase_PHASE_ENDED, false, false, 0, (*back).expectRefused},
	} {
		for _, how := range []string{"cut", "cut unnoticed", "new process", "server restarted", "server killed"} {
			t.Run(test.name+"/"+how, func(t *testing.T) {
				t.Parallel()
				b := prepare(t, test.log)
				b.comeBack(how, test.says)
				for _, v := range b.session.Welcome.Verdicts {
					if v.Keep != test.keep || v.Started != test.permitted || v.Have != test.have || (v.Reason == "") != test.keep {
						t.Errorf("the verdict is %v", v)
					}
				}
				if n := len(b.session.Welcome.Verdicts); (n == 1) != (test.says != unlisted) {
					t.Errorf("there are %d verdicts", n)
				}
				if test.then != nil {
					test.then(b)
				}
			})
		}
	}
}

// expectRefused: the end of an attempt that is over is told in vain, and the log
// says so.
func (b *back) expectRefused() {
	b.session.Say(b.t, &pb.Result{Ref: b.ref, Outcome: "succeeded", ExitCode: new(int32)})
	if ack := gatewaytest.Next(b.t, b.session, resultAck); ack.Refused == "" {
		b.t.Error("it is taken")
	}
	if n := len(recorded(b.t, b.server, "ResultRefused")); n != 1 {
		b.t.Errorf("%d refusals are recorded", n)
	}
}

// back is an agent that comes back.
type back struct {
	t       *testing.T
	server  *gatewaytest.Server
	agent   *gatewaytest.Agent
	session *gatewaytest.Session
	job     id.ID
	ref     *pb.AttemptRef
}

// prepare brings the log to where the row begins.
func prepare(t *testing.T, log string) *back {
	b := &back{t: t, server: gatewaytest.Start(t, gatewaytest.Options{})}
	b.agent = gatewaytest.NewAgent(t, b.server)
	b.session = b.agent.Connect(t)
	b.job = b.server.Submit(t, spec.Spec{})
	b.ref = b.server.Bind(t, b.job, b.agent.Worker(t))
	gatewaytest.Next(t, b.session, assign)
	if log == bound {
		return b
	}
	b.session.Say(t, &pb.Accept{Ref: b.ref})
	gatewaytest.Next(t, b.session, start)
	b.session.Say(t, &pb.Chunk{Ref: b.ref, Tag: pb.Tag_TAG_STDOUT, Data: []byte("hello")})
	gatewaytest.Next(t, b.session, ack)
	if log == over {
		b.server.Lose(t, b.ref)
	}
	return b
}

func (b *back) comeBack(how string, says pb.Phase) {
	b.t.Helper()
	switch how {
	case "new process":
		b.agent.Instance = dummy.NewInstance()
	case "server restarted":
		b.server.Stop(b.t)
		b.server.Restart(b.t)
	case "server killed":
		b.server.Kill(b.t)
		b.server.Restart(b.t)
	}
	b.agent.Address = b.server.Address
	if how != "cut unnoticed" { // else the server still has the old session
		b.session.Cut()
	}
	var held []*pb.Held
	if says != unlisted {
		held = append(held, &pb.Held{Ref: b.ref, Phase: says})
	}
	b.session = b.agent.Connect(b.t, held...)
}

func (b *back) expectAssign() {
	if a := gatewaytest.Next(b.t, b.session, assign); a.Ref.Job != b.ref.Job || a.Ref.Attempt != b.ref.Attempt {
		b.t.Errorf("assigned %v", a.Ref)
	}
}

func (b *back) expectStart() {
	gatewaytest.Next(b.t, b.session, start)
	b.goOn()
}

func (b *back) expectLost() {
	b.server.Until(b.t, "it is lost", func(w *projections.World) bool {
		row, _ := w.Jobs.ByID(b.job)
		return row.Status == job.Lost
	})
}

// goOn sends what is left of the log, and the end.
func (b *back) goOn() {
	have := b.server.JobLog.Durable(joblog.Key{Job: b.job, Attempt: b.ref.Attempt})
	b.session.Say(b.t, &pb.Chunk{Ref: b.ref, Tag: pb.Tag_TAG_STDERR, Offset: have, Data: []byte(" world")})
	b.session.Say(b.t, &pb.Result{Ref: b.ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: have + 6})
	if got := gatewaytest.Next(b.t, b.session, resultAck); got.Refused != "" {
		b.t.Errorf("the result is refused: %s", got.Refused)
	}
	b.server.Until(b.t, "it succeeded", func(w *projections.World) bool {
		row, _ := w.Jobs.ByID(b.job)
		return row.Status == job.Succeeded
	})
}
