package event_test

import (
	"bytes"
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

// samples are events as they occur; each type has at least one.
func samples() []proto.Message {
	var all []proto.Message
	all = append(all, jobSamples()...)
	all = append(all, endSamples()...)
	all = append(all, workerSamples()...)
	return append(all, otherSamples()...)
}

func ns(d time.Duration) int64 { return int64(d) }

func pointer[T any](v T) *T { return &v }

func jobSamples() []proto.Message {
	return []proto.Message{
		&eventv1.JobSubmitted{Namespace: "default", Name: "make"},
		&eventv1.JobSubmitted{
			Namespace: "web", Name: "build-web", Pool: "big", Priority: 10, Exclusive: true,
			Requires:  []*eventv1.Pair{{Key: "arch", Value: "amd64"}, {Key: "gpu", Value: "a100"}},
			Resources: &eventv1.Resources{CpuMilli: 4000, MemoryBytes: 8 << 30},
		},
		&eventv1.JobBound{Attempt: 1, WorkerId: "w1"},
		&eventv1.JobBound{Attempt: 2, WorkerId: "w1", Decision: &eventv1.Decision{Refused: []*eventv1.Refusal{
			{Reason: "busy", Count: 1, WorkerId: "w2", Lacks: "cpu", Have: 1000, Need: 2000},
			{Reason: "busy", Count: 1, WorkerId: "w3", Lacks: "memory", Have: 1 << 30, Need: 2 << 30},
			{Reason: "no_match", Count: 1, WorkerId: "w4", Lacks: "gpu"},
			{Reason: "draining", Count: 1, WorkerId: "w5"},
			{Reason: "busy", Count: 7, WorkerId: "w6", Lacks: "cpu", Have: 0, Need: 2000},
			{Reason: "cordoned", Count: 2},
		}}},
		&eventv1.JobStarted{Attempt: 1, WorkerId: "w1"},
		&eventv1.JobStarted{Attempt: 1},
		&eventv1.StepStarted{Attempt: 1, Step: 2, Name: "browser tests"},
		&eventv1.StepStarted{Attempt: 1, Step: 3},
		&eventv1.StepFinished{Attempt: 1, Step: 1, Name: "install", State: "succeeded", ExitCode: pointer(int32(0)), TookNs: ns(48100 * time.Millisecond)},
		&eventv1.StepFinished{Attempt: 1, Step: 2, Name: "browser tests", State: "failed", Signal: "KILL", TookNs: ns(194 * time.Second)},
		&eventv1.StepFinished{Attempt: 1, Step: 3, Name: "report", State: "skipped"},
		&eventv1.JobCancelRequested{Reason: "not needed any more"},
		&eventv1.JobCancelRequested{},
		&eventv1.JobRetryScheduled{Attempt: 2, Retry: 1, Max: 3, DelayNs: ns(10 * time.Second)},
		&eventv1.JobRetryScheduled{Attempt: 2, Retry: 1, Max: 1},
		&eventv1.JobRequeued{Attempt: 2, Cause: "backoff_over"},
		&eventv1.JobRequeued{Attempt: 2, Cause: "refused_by_worker", Detail: "draining"},
		&eventv1.JobSubmitted{Namespace: "web", Name: "deploy", Sealed: true},
		&eventv1.JobSubmitted{Namespace: "web", Name: "deploy", RerunOf: "7f3k9qd2"},
		&eventv1.SecretRead{Attempt: 1, WorkerId: "w1", Secrets: []*eventv1.SecretUse{{Variable: "DB_PASSWORD", Name: "db-password", Version: 3}}},
		&eventv1.SecretRead{Attempt: 2, WorkerId: "w1", Secrets: []*eventv1.SecretUse{
			{Variable: "A", Name: "a", Version: 1}, {Variable: "B", Name: "b", Version: 2}, {Variable: "C", Name: "c", Version: 3}, {Variable: "D", Name: "d", Version: 4},
		}},
		&eventv1.JobSecretsShredded{},
		&eventv1.KeyUsed{JobIds: []string{"7f3k9qd2"}},
		&eventv1.KeyUsed{JobIds: []string{"7f3k9qd2", "8tn2c4yv"}},
	}
}

func endSamples() []proto.Message {
	ending := func(code int32) *eventv1.Ending {
		return &eventv1.Ending{ExitCode: &code, TookNs: ns(332 * time.Second)}
	}
	return []proto.Message{
		&eventv1.JobSucceeded{Attempt: 1, WorkerId: "w1", Ending: ending(0)},
		&eventv1.JobFailed{Attempt: 1, WorkerId: "w1", Cause: "exit", Ending: ending(2), Step: 2},
		&eventv1.JobFailed{Attempt: 1, WorkerId: "w1", Cause: "signal", Ending: &eventv1.Ending{Signal: "SEGV"}, Retried: true},
		&eventv1.JobFailed{Attempt: 1, WorkerId: "w1", Cause: "out_of_memory", Detail: "the kernel ended node", Ending: &eventv1.Ending{Signal: "KILL", TookNs: ns(242 * time.Second)}},
		&eventv1.JobFailed{Attempt: 1, WorkerId: "w1", Cause: "cannot_start", Detail: "no such file"},
		&eventv1.JobFailed{Attempt: 1, Cause: "cannot_start"},
		&eventv1.JobCancelled{Reason: "not needed any more"},
		&eventv1.JobCancelled{Attempt: 1, WorkerId: "w1", Reason: "not needed any more", Ending: &eventv1.Ending{Signal: "TERM", TookNs: ns(3 * time.Second)}},
		&eventv1.JobSucceeded{Attempt: 1, WorkerId: "w1", Ending: &eventv1.Ending{Killed: 1}},
		&eventv1.JobCancelled{Attempt: 1, WorkerId: "w1", Reason: "stuck", Ending: &eventv1.Ending{Signal: "KILL", Forced: true, Killed: 3, Escaped: true}},
		&eventv1.JobFailed{Attempt: 1, WorkerId: "w1", Cause: "exit", Ending: &eventv1.Ending{Killed: 2}, Retried: true},
		&eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1", TimeLimitNs: ns(30 * time.Minute), Ending: &eventv1.Ending{Signal: "KILL", Forced: true}, Retried: true},
		&eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1", TimeLimitNs: ns(30 * time.Minute)},
		&eventv1.JobTimedOut{Attempt: 1, WorkerId: "w1", TimeLimitNs: ns(30 * time.Minute), Retried: true},
		&eventv1.JobLost{Attempt: 1, WorkerId: "w1", Cause: "worker_lost", SilentNs: ns(30 * time.Second)},
		&eventv1.JobLost{Attempt: 1, WorkerId: "w1", Cause: "unknown_to_worker", Retried: true},
		&eventv1.ResultRefused{Attempt: 1, Current: 2, WorkerId: "w1", Outcome: "succeeded", Cause: "fenced"},
		&eventv1.ResultRefused{Attempt: 1, Current: 1, WorkerId: "w1", Outcome: "failed", Cause: "not_started"},
		&eventv1.JobLogSealed{Attempt: 1, Size: 5 << 10, Digest: bytes.Repeat([]byte{0xab, 0xcd}, 16)},
	}
}

func workerSamples() []proto.Message {
	facts := &eventv1.WorkerFacts{
		Name: "atlas", Os: "linux", Arch: "amd64", Version: "0.1.0",
		Capacity: &eventv1.Resources{CpuMilli: 16000, MemoryBytes: 64 << 30},
		Labels:   []*eventv1.Pair{{Key: "disk", Value: "ssd"}},
	}
	key := []byte{0x9c, 0x41, 0xe0, 0xb7, 0xff}
	return []proto.Message{
		&eventv1.WorkerRequested{Provider: "docker", Pool: "big", LaunchLimitNs: ns(2 * time.Minute)},
		&eventv1.WorkerRequested{Provider: "process"},
		&eventv1.WorkerLaunched{Handle: "container 4f2c"},
		&eventv1.WorkerLaunched{},
		&eventv1.WorkerLaunchFailed{Cause: "no_image", Detail: "not found: busybox:none"},
		&eventv1.WorkerRegistered{Facts: facts, PublicKey: key},
		&eventv1.WorkerRegistered{},
		&eventv1.WorkerConnected{Epoch: 3},
		&eventv1.WorkerConnected{Epoch: 4, Facts: facts},
		&eventv1.WorkerDisconnected{Epoch: 3, Reason: "silent"},
		&eventv1.WorkerSuperseded{Epoch: 3},
		&eventv1.WorkerCordoned{Reason: "disk is old"},
		&eventv1.WorkerUncordoned{},
		&eventv1.WorkerDraining{Reason: "upgrade", DeadlineNs: ns(10 * time.Minute)},
		&eventv1.WorkerDraining{},
		&eventv1.WorkerLost{SilentNs: ns(30 * time.Second), Epoch: 3},
		&eventv1.WorkerTerminated{Reason: "idle"},
	}
}

func otherSamples() []proto.Message {
	key := []byte{0x9c, 0x41, 0xe0, 0xb7, 0xff}
	return []proto.Message{
		&eventv1.TokenCreated{Name: "ci", Hint: "x4Q7", Namespace: "web", Role: "submitter", LifetimeNs: ns(90 * 24 * time.Hour)},
		&eventv1.TokenCreated{Name: "ana", Hint: "9sK2", Namespace: "*", Role: "admin"},
		&eventv1.TokenRevoked{Reason: "it leaked"},
		&eventv1.WorkerTokenUsed{PublicKey: key, WorkerId: "w1"},
		&eventv1.WorkerTokenRefused{PublicKey: key, Reason: "it was used with another key before"},
		&eventv1.NamespaceCreated{Description: "the web shop"},
		&eventv1.NamespaceCreated{},
		&eventv1.NamespacePaused{Reason: "audit"},
		&eventv1.NamespaceResumed{},
		&eventv1.SecretSet{Version: 3, Sealed: key, KeyId: "secret/web/db-password/9c41"},
		&eventv1.SecretDeleted{},
		&eventv1.SettingsChanged{},
		&eventv1.SettingsChanged{
			KeptFinished: pointer(uint32(500)), AgingStepNs: pointer(ns(time.Minute)), Policy: pointer("leastloaded"),
			ReconnectToleranceNs: pointer(ns(time.Minute)), OrphanAfterNs: pointer(ns(2 * time.Hour)),
			SecretRetentionNs: pointer(ns(24 * time.Hour)),
		},
		&eventv1.ServerJoined{Version: "0.1.0", Store: "embedded"},
		&eventv1.ClockStepped{StepNs: ns(-2300 * time.Millisecond)},
		&eventv1.ClockStepped{StepNs: ns(time.Hour)},
	}
}
