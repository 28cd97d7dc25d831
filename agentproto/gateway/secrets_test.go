package gateway_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// canary is a secret that must be seen nowhere but in an assignment.
const canary = "tr0ub4dor&3-canary"

// journal is a server's own log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) has(text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.text.String(), text)
}

func withSecrets() spec.Spec {
	return spec.Spec{Command: "true", Retries: spec.Retries{Max: 1}, Secrets: map[string]spec.Secret{"TOKEN": {Value: canary}, "DB": {From: "db"}}}
}

func set(t *testing.T, server *gatewaytest.Server, value string) {
	t.Helper()
	if _, _, err := server.Commands.SetSecret(t.Context(), gatewaytest.Caller, "default", "db", []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func secretsOf(a *pb.Assign) string {
	var text []string
	for _, s := range a.GetSecrets() {
		text = append(text, s.GetName()+"="+string(s.GetValue()))
	}
	return strings.Join(text, " ")
}

// A job's secrets are in the assignments of its own worker, again after a restart
// and for a retry, and in no other message. That stored ones were given is
// recorded.
func TestSecretsAreInTheAssignmentAlone(t *testing.T) {
	log := new(journal)
	server := gatewaytest.Start(t, gatewaytest.Options{Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	set(t, server, "value-1")
	agent, other := gatewaytest.NewAgent(t, server), gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	other.Connect(t)
	i := server.Submit(t, withSecrets())
	ref := server.Bind(t, i, agent.Worker(t))
	if got := secretsOf(gatewaytest.Next(t, session, assign)); got != "DB=value-1 TOKEN="+canary {
		t.Errorf("it is given %q", got)
	}
	session.Cut()

	server.Stop(t)
	server.Restart(t)
	agent.Address, other.Address = server.Address, server.Address
	session = agent.Connect(t)
	if got := secretsOf(gatewaytest.Next(t, session, assign)); got != "DB=value-1 TOKEN="+canary {
		t.Errorf("after a restart it is given %q", got)
	}
	session.Say(t, &pb.Accept{Ref: ref})
	gatewaytest.Next(t, session, start)
	set(t, server, "value-2")
	session.Say(t, &pb.Result{Ref: ref, Outcome: "failed", ExitCode: proto.Int32(1)})
	gatewaytest.Next(t, session, resultAck)

	elsewhere := other.Connect(t)
	server.Bind(t, i, other.Worker(t))
	if got := secretsOf(gatewaytest.Next(t, elsewhere, assign)); got != "DB=value-2 TOKEN="+canary {
		t.Errorf("its retry is given %q", got)
	}
	reads := recorded(t, server, "SecretRead")
	if len(reads) != 2 {
		t.Fatalf("%d readings are recorded", len(reads))
	}
	for n, r := range reads {
		m, err := event.Decode(r.Type, r.Data)
		if err != nil {
			t.Fatal(err)
		}
		e := m.(*eventv1.SecretRead)
		if e.GetAttempt() != uint32(n)+1 || len(e.GetSecrets()) != 1 || e.GetSecrets()[0].GetVersion() != uint32(n)+1 {
			t.Errorf("reading %d is recorded as %v", n+1, e)
		}
	}
	if log.has(canary) || log.has("value-1") {
		t.Error("the server's log has a secret")
	}
}

// A job that has a secret that can't be had ends with a reason, its worker is
// given nothing, and others are given theirs.
func TestASecretThatCannotBeHad(t *testing.T) {
	server := gatewaytest.Start(t, gatewaytest.Options{})
	set(t, server, "v1")
	agent := gatewaytest.NewAgent(t, server)
	session := agent.Connect(t)
	sp := withSecrets()
	sp.Retries = spec.Retries{}
	r := &running{server: server, agent: agent, session: session, job: server.Submit(t, sp)}
	if _, err := server.Commands.DeleteSecret(t.Context(), gatewaytest.Caller, "default", "db"); err != nil {
		t.Fatal(err)
	}
	server.Bind(t, r.job, agent.Worker(t))
	r.status(t, job.Failed)
	failed := recorded(t, server, "JobFailed")[0].Value.(*eventv1.JobFailed)
	if failed.GetCause() != "secret_unavailable" || failed.GetDetail() != "stored secret db: it was deleted" {
		t.Errorf("it failed as %v", failed)
	}
	next := server.Submit(t, anyJob)
	server.Bind(t, next, agent.Worker(t))
	if got := gatewaytest.Next(t, session, assign); got.GetRef().GetJob() != next.String() {
		t.Errorf("the worker was given %v", got.GetRef())
	}
}
