package gateway

import (
	"context"
	"maps"
	"slices"
	"time"

	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// assignment is what an agent is told of an attempt. It is made from the job's
// first event, which nothing keeps in memory for long, nor the secrets in it. An
// error that is final says that the attempt is not to be given.
func (s *session) assignment(k joblog.Key) (*pb.Assign, error) {
	sp, from, err := s.g.config.Commands.Submitted(s.ctx, k.Job)
	if err != nil {
		return nil, err
	}
	message := assign(k, sp)
	message.Traceparent = from.Traceparent
	if trace := s.g.config.Traceparent; trace != nil {
		message.Traceparent = trace(from, k)
	}
	if len(sp.Secrets) > 0 {
		message.Secrets, err = s.secrets(k, sp)
	}
	return message, err
}

// secrets returns the job's secrets for the attempt that is bound to this worker.
func (s *session) secrets(k joblog.Key, sp spec.Spec) (out []*pb.Secret, err error) {
	var given []commands.GivenSecret
	err = s.command(func(ctx context.Context) error {
		given, err = s.g.config.Commands.GiveSecrets(ctx, s.caller(0), k.Job, k.Attempt, s.worker.String(), sp)
		return err
	})
	for _, secret := range given {
		out = append(out, &pb.Secret{Name: secret.Variable, Value: secret.Value})
	}
	return out, err
}

func assign(k joblog.Key, s spec.Spec) *pb.Assign {
	execs := s.ExecSteps()
	steps := make([]*pb.Step, len(execs))
	for i, e := range execs {
		steps[i] = &pb.Step{
			Name: e.Name, Argv: e.Argv, Env: pairs(e.Env),
			TimeLimitNs: int64(e.Timeout), ContinueOnError: e.ContinueOnError,
		}
	}
	return &pb.Assign{
		Ref: ref(k), Namespace: s.Namespace, Name: s.Name,
		Steps: steps, Env: pairs(s.Env), Tty: s.WantsTTY(),
		TimeLimitNs: int64(s.Timeout), LogLimitBytes: s.KeptOutput(),
		CancelSignal: s.Cancel.Signal, CancelGraceNs: int64(s.Cancel.Grace),
		Resources: &pb.Resources{
			CpuMilli: uint64(s.Resources.CPU), MemoryBytes: uint64(s.Resources.Memory), DiskBytes: uint64(s.Resources.Disk),
		},
	}
}

// cancelPolicy is how the job wants to be stopped.
func (g *Gateway) cancelPolicy(ctx context.Context, k joblog.Key) (signal string, grace time.Duration) {
	s, err := g.config.Commands.Spec(ctx, k.Job)
	if err != nil {
		return spec.DefaultSignal, time.Duration(spec.DefaultGrace)
	}
	return s.Cancel.Signal, time.Duration(s.Cancel.Grace)
}

func pairs(m map[string]string) []*pb.Label {
	if len(m) == 0 {
		return nil
	}
	labels := make([]*pb.Label, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		labels = append(labels, &pb.Label{Key: k, Value: m[k]})
	}
	return labels
}
