package gateway_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
)

// TestRandomMessages: agents that say anything, well formed or not, of their own
// jobs and of another's, harm nothing but themselves.
func TestRandomMessages(t *testing.T) {
	seeds := uint64(30)
	if os.Getenv("HODEI_LONG") != "" {
		seeds = 1000
	}
	server := gatewaytest.Start(t, gatewaytest.Options{Suspect: time.Hour}) // the other says nothing meanwhile
	victim := run(t, server, anyJob)
	victim.session.Say(t, victim.chunk(0, "mine"))
	gatewaytest.Next(t, victim.session, ack)
	for seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 0))
		own := run(t, server, anyJob)
		refs := []*pb.AttemptRef{
			own.ref, own.ref, own.ref, victim.ref, nil, {}, {Job: own.ref.Job, Attempt: 2}, {Job: "zzzzzzzz", Attempt: 1}, {Job: "\xff\x00", Attempt: 1},
		}
		for range 100 {
			if own.session.Send(anything(random, refs)) != nil {
				break // the server has had enough
			}
		}
		own.session.Cut()
	}
	if head := server.JobLog.Head(victim.key); head != 4 {
		t.Errorf("the log of the other has %d bytes", head)
	}
	victim.session.Say(t, &pb.Result{Ref: victim.ref, Outcome: "succeeded", ExitCode: new(int32), EndOffset: 4})
	victim.status(t, job.Succeeded)
}

// anything is a message with fields that are sensible, at a limit, or nonsense.
func anything(random *rand.Rand, refs []*pb.AttemptRef) any {
	number := func() uint64 { return []uint64{0, 0, 1, 2, 5, 1 << 31, 1<<40 - 1, 1<<64 - 1}[random.IntN(8)] }
	text := func() string {
		return []string{"", "succeeded", "failed", "cancelled", "running", "no_room", "TERM", "\x1b[2J\x00", strings.Repeat("x", 5000)}[random.IntN(9)]
	}
	ref := refs[random.IntN(len(refs))]
	u := number()
	usage := &pb.AttemptUsage{Ref: ref, CpuNs: &u, MemoryBytes: &u, Processes: uint32(u)}
	switch random.IntN(12) {
	case 0:
		return &pb.Accept{Ref: ref, Refused: text(), Detail: text()}
	case 1:
		return &pb.Accept{Ref: ref}
	case 2, 3:
		return &pb.StepUpdate{Ref: ref, Step: uint32(number()), Name: text(), State: text(), Signal: text(), TookNs: int64(number()), LogOffset: number()}
	case 4:
		return &pb.Result{
			Ref: ref, Outcome: text(), Cause: text(), Detail: text(), Signal: text(), Step: uint32(number()),
			EndedAtNs: int64(number()), TookNs: int64(number()), EndOffset: number() % 3, Usage: usage, PeakCpuMilli: number(),
		}
	case 5:
		return &pb.AgentBeat{MemoryBytes: number(), Node: &pb.NodeUsage{CpuMilli: &u}, Attempts: []*pb.AttemptUsage{usage, nil, {}, usage}}
	case 6:
		return &pb.Chunk{Ref: ref, Tag: pb.Tag(random.IntN(4)), Offset: number(), TimeNs: int64(number()), Data: []byte(text())}
	case 7:
		if random.IntN(20) == 0 {
			return &pb.AgentMessage{}
		}
	}
	return &pb.Chunk{Ref: ref, Tag: pb.Tag_TAG_STDOUT, TimeNs: int64(number()), Data: []byte(text())}
}
