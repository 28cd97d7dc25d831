package worldtest

import (
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/worker"
)

// Source makes choices: a rapid test, or a plain generator for long histories.
type Source interface {
	// Intn returns one of 0 to n-1.
	Intn(n int) int
}

// Rapid draws a source's choices from a rapid test, so that it can make failing
// histories small.
type Rapid struct{ T *rapid.T }

// Intn draws a number.
func (r Rapid) Intn(n int) int { return rapid.IntRange(0, n-1).Draw(r.T, "choice") }

// History grows a log at random, by giving aggregates random commands and
// recording what they decide. Commands they refuse are part of life.
type History struct {
	*Log
	Jobs    map[id.ID]job.State
	Workers map[id.ID]worker.State

	source  Source
	jobs    []id.ID // in order of submission
	workers []id.ID
}

// NewHistory returns an empty history.
func NewHistory(s Source) *History {
	return &History{
		Log: New(), source: s,
		Jobs: make(map[id.ID]job.State), Workers: make(map[id.ID]worker.State),
	}
}

// Step gives one command, which may yield no event or several.
func (h *History) Step() {
	h.Now += int64(h.source.Intn(3)) * int64(time.Second)
	switch n := h.source.Intn(20); {
	case n < 4:
		h.submit()
	case n < 16:
		h.job()
	case n < 18:
		h.worker()
	default:
		h.other()
	}
}

func (h *History) submit() {
	i := id.ID(len(h.jobs)*7 + 1)
	s := spec.Spec{
		Command:   "true",
		Namespace: one(h.source, "web", "data", "default"),
		Priority:  int32(h.source.Intn(5) - 2),
		Resources: resource.Amount{CPU: resource.CPU(100 * (1 + h.source.Intn(3)))},
		Exclusive: h.source.Intn(8) == 0,
	}
	if h.source.Intn(3) == 0 {
		s.Pool = "gpu"
	}
	if h.source.Intn(3) == 0 {
		s.Timeout = spec.Duration(time.Minute)
	}
	if h.source.Intn(2) == 0 {
		s.Retries.Max = uint32(1 + h.source.Intn(2))
		s.Retries.Backoff = spec.Duration(time.Duration(h.source.Intn(2)) * time.Second)
	}
	if h.source.Intn(3) == 0 {
		s.Secrets = map[string]spec.Secret{"A": {Key: "job/" + i.String(), Sealed: []byte{1}}}
	}
	h.jobs = append(h.jobs, i)
	h.give(i, job.Submit{ID: i, Spec: s})
}

// job gives one of the newest jobs a command that has a chance to be taken.
func (h *History) job() {
	if len(h.jobs) == 0 || len(h.workers) == 0 {
		h.worker()
		return
	}
	const recent = 12
	i := h.jobs[len(h.jobs)-1-h.source.Intn(min(recent, len(h.jobs)))]
	s := h.Jobs[i]
	h.give(i, h.command(s))
}

func (h *History) command(s job.State) job.Command {
	n := h.source.Intn(12)
	switch {
	case s.Status.Terminal() && n > 4:
		return job.ShredSecrets{}
	case s.Status == job.Bound && n == 5:
		return job.WithholdSecrets{Attempt: s.Attempt, Detail: "because"}
	case n == 0:
		return job.RequestCancel{Reason: "because"}
	case n == 1:
		return job.Lose{Attempt: s.Attempt, Cause: job.CauseWorkerLost}
	case n == 2:
		return job.Requeue{Attempt: s.Attempt, Cause: job.CauseRefusedByWorker}
	case n == 3:
		return job.Finish{Attempt: max(1, s.Attempt) - 1, Worker: s.Worker, Outcome: job.OutcomeFailed}
	case s.Backoff:
		return job.Requeue{Attempt: s.Attempt + 1, Cause: job.CauseBackoffOver}
	case s.Status == job.Pending:
		return job.Bind{Attempt: s.Attempt + 1, Worker: one(h.source, h.workers...).String()}
	case s.Status == job.Bound:
		return job.Start{Attempt: s.Attempt, Worker: s.Worker}
	case n == 4:
		return job.Expire{Attempt: s.Attempt}
	case n < 7:
		return job.RecordStep{Attempt: s.Attempt, Worker: s.Worker, Step: 1, Name: "step", State: one(h.source, job.StepRunning, job.StepFailed)}
	default:
		return job.Finish{
			Attempt: s.Attempt, Worker: s.Worker, Cause: job.CauseExit,
			Outcome: one(h.source, job.OutcomeSucceeded, job.OutcomeFailed, job.OutcomeTimedOut, job.OutcomeCancelled),
		}
	}
}

func (h *History) give(i id.ID, c job.Command) {
	s := h.Jobs[i]
	events, err := s.Decide(c)
	if err != nil {
		return
	}
	for _, m := range events {
		s = job.Evolve(s, m)
	}
	h.Jobs[i] = s
	h.Add(event.JobStream(i), events...)
}

func (h *History) worker() {
	const most = 5
	if len(h.workers) < most && h.source.Intn(2) == 0 {
		i := id.ID(1000 + len(h.workers))
		h.workers = append(h.workers, i)
		if h.source.Intn(3) == 0 {
			h.giveWorker(i, worker.Request{Provider: "process", Pool: "gpu", LaunchLimit: time.Minute})
		}
		return
	}
	if len(h.workers) == 0 {
		return
	}
	i := one(h.source, h.workers...)
	h.giveWorker(i, h.workerCommand(h.Workers[i]))
}

func (h *History) workerCommand(s worker.State) worker.Command {
	facts := &eventv1.WorkerFacts{
		Name: "atlas", Os: "linux", Arch: "amd64", Version: "1",
		Capacity: &eventv1.Resources{CpuMilli: uint64(1000 * (1 + h.source.Intn(2)))},
	}
	instance := []byte{1, byte(h.source.Intn(2))}
	switch n := h.source.Intn(16); {
	case !s.Registered() && n < 8:
		return worker.Register{Facts: facts, PublicKey: make([]byte, worker.KeyBytes), TokenID: "t", Pool: "gpu"}
	case n == 8 && h.source.Intn(4) == 0:
		return worker.Terminate{Reason: "enough"}
	case n == 9:
		return worker.Cordon{Reason: "because"}
	case n == 10:
		return worker.Uncordon{}
	case n == 11 && h.source.Intn(3) == 0:
		return worker.Drain{Deadline: time.Minute, Reason: "enough"}
	case n == 12:
		return worker.Lose{Silent: time.Minute}
	case n == 13:
		return worker.Launch{Handle: "pid 1"}
	case n == 14:
		return worker.FailLaunch{Cause: "timeout"}
	case s.Status == worker.Connected && n < 4:
		return worker.Disconnect{Epoch: s.Epoch, Reason: "silent"}
	default:
		return worker.Connect{Instance: instance, Facts: facts}
	}
}

func (h *History) giveWorker(i id.ID, c worker.Command) {
	s := h.Workers[i]
	events, err := s.Decide(c)
	if err != nil {
		return
	}
	for _, m := range events {
		s = worker.Evolve(s, m)
	}
	h.Workers[i] = s
	h.Add(event.WorkerStream(i), events...)
}

// other records what no aggregate has a say in here.
func (h *History) other() {
	ns := one(h.source, "web", "data")
	stream := event.NamespaceStream(ns)
	switch h.source.Intn(11) {
	case 8, 9:
		secret := event.SecretStream(ns, one(h.source, "a", "b"))
		h.Add(secret, &eventv1.SecretSet{Version: uint32(h.revisions[secret]) + 1, Sealed: []byte{1}, KeyId: "k"})
	case 10:
		h.Add(event.SecretStream(ns, "a"), &eventv1.SecretDeleted{})
	case 0:
		h.Add(stream, &eventv1.NamespacePaused{Reason: "because"})
	case 1, 2:
		h.Add(stream, &eventv1.NamespaceResumed{})
	case 3:
		h.Add(event.SettingsStream(), &eventv1.SettingsChanged{KeptFinished: proto.Uint32(uint32(h.source.Intn(20)))})
	case 4:
		h.Add(event.SettingsStream(), &eventv1.SettingsChanged{AgingStepNs: proto.Int64(int64(h.source.Intn(3)) * int64(time.Second))})
	case 5:
		i := id.ID(5000 + h.source.Intn(20))
		if h.revisions[event.TokenStream(i)] == 0 {
			hash := make([]byte, 32)
			hash[0], hash[1] = byte(i), byte(i>>8)
			h.Add(event.TokenStream(i), &eventv1.TokenCreated{Hash: hash, Hint: "abcd", Name: "ci", Namespace: ns, Role: "submitter"})
			return
		}
		h.Add(event.TokenStream(i), &eventv1.TokenRevoked{Reason: "because"})
	case 6:
		h.Add(event.ServerStream(1), &eventv1.ClockStepped{StepNs: 1})
	case 7:
		h.Add(event.KeyStream(ns, "k"), &eventv1.KeyUsed{JobIds: []string{"00000001"}})
	}
}

func one[T any](s Source, of ...T) T { return of[s.Intn(len(of))] }
