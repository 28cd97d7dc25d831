package spec_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

func TestEveryLimit(t *testing.T) {
	long := strings.Repeat("x", 200)
	many := func(n int) map[string]string {
		m := make(map[string]string)
		for i := range n {
			m[fmt.Sprintf("K%d", i)] = ""
		}
		return m
	}
	ok := spec.Spec{Command: "x"}
	for _, test := range []struct {
		name   string
		change func(*spec.Spec, int) // makes what is counted as long as that
		limit  int
		want   string
	}{
		{"name", func(s *spec.Spec, n int) { s.Name = strings.Repeat("x", n) }, spec.MaxName, "name: it has 129 bytes, at most 128 may be"},
		{"namespace", func(s *spec.Spec, n int) { s.Namespace = long[:n] }, spec.MaxNamespace, `namespace: "` + long[:32] + `…" has 64 characters, 1 to 63 may be`},
		{"steps", func(s *spec.Spec, n int) { s.Command, s.Steps = "", slices.Repeat([]spec.Step{{Run: "x"}}, n) }, spec.MaxSteps, "steps: there are 1001 steps, at most 1000 may be"},
		{"argv", func(s *spec.Spec, n int) { s.Command, s.Argv = "", slices.Repeat([]string{"x"}, n) }, spec.MaxArgv, "argv: there are 1025 arguments, at most 1024 may be"},
		{"an argument", func(s *spec.Spec, n int) { s.Command, s.Argv = "", []string{strings.Repeat("x", n)} }, spec.MaxArg, "argv[0]: it has 131072 bytes, at most 131071 may be"},
		{"command", func(s *spec.Spec, n int) { s.Command = strings.Repeat("x", n) }, spec.MaxArg, "command: it has 131072 bytes, at most 131071 may be"},
		{"variables", func(s *spec.Spec, n int) { s.Env = many(n) }, spec.MaxEnv, "env: there are 513 variables, at most 512 may be"},
		{"a variable's name", func(s *spec.Spec, n int) { s.Env = map[string]string{long[:n]: ""} }, spec.MaxEnvKey, "env." + long[:129] + ": the name of a variable has 1 to 128 characters"},
		{"a variable", func(s *spec.Spec, n int) { s.Env = map[string]string{"A": strings.Repeat("x", n-2)} }, spec.MaxArg, "env.A: name and value have 131072 bytes, at most 131071 may be"},
		{"secrets", func(s *spec.Spec, n int) {
			s.Secrets = map[string]spec.Secret{}
			for i := range n {
				s.Secrets[fmt.Sprintf("K%d", i)] = spec.Secret{Value: "x"}
			}
		}, spec.MaxSecrets, "secrets: there are 65 secrets, at most 64 may be"},
		{"a secret", func(s *spec.Spec, n int) {
			s.Secrets = map[string]spec.Secret{"A": {Value: spec.Plain(strings.Repeat("x", n))}}
		}, spec.MaxSecretValue, "secrets.A: it has 32769 bytes, at most 32768 may be"},
		{"a stored secret's name", func(s *spec.Spec, n int) { s.Secrets = map[string]spec.Secret{"A": {From: long[:n]}} }, spec.MaxSecretName, "secrets.A.from: the name of a stored secret has 1 to 56 characters, this has 57"},
		{"labels", func(s *spec.Spec, n int) { s.Labels = resource.FromMap(many(n)) }, resource.MaxLabels, "labels: there are 65 labels, at most 64 may be"},
		{"priority", func(s *spec.Spec, n int) { s.Priority = int32(n) }, spec.MaxPriority, "priority: 101 is not a priority: -100 to 100 may be"},
		{"retries", func(s *spec.Spec, n int) { s.Retries.Max = uint32(n) }, spec.MaxRetries, "retries.max: 101 is too many: at most 100 may be"},
		{"timeout", func(s *spec.Spec, n int) { s.Timeout = spec.Duration(n) }, int(spec.MaxTimeout), "timeout: 30d1ns is too long: at most 30d may be"},
		{"CPU", func(s *spec.Spec, n int) { s.Resources.CPU = resource.CPU(n) }, int(resource.MaxCPU), "resources.cpu: 1000000001m is too much: at most 1000000 may be"},
		{"memory", func(s *spec.Spec, n int) { s.Resources.Memory = resource.Bytes(n) }, int(resource.MaxBytes), "resources.memory: 9007199254740993B is too much: at most 8Pi may be"},
		{"disk", func(s *spec.Spec, n int) { s.Resources.Disk = resource.Bytes(n) }, int(resource.MaxBytes), "resources.disk: 9007199254740993B is too much: at most 8Pi may be"},
	} {
		at, beyond := ok, ok
		test.change(&at, test.limit)
		test.change(&beyond, test.limit+1)
		if err := at.Validate(); err != nil {
			t.Errorf("%s at its limit of %d: %v", test.name, test.limit, err)
		}
		if got := fields(t, beyond.Validate()); len(got) != 1 || got[0] != test.want {
			t.Errorf("%s beyond its limit: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestSizeOfTheWhole(t *testing.T) {
	script := strings.Repeat("x", spec.MaxArg)
	s := spec.Spec{Steps: []spec.Step{{Run: script}, {Run: script}, {Run: script}}}
	if got := fields(t, s.Validate()); len(got) != 1 || !strings.HasSuffix(got[0], "bytes, at most 262144 may be") {
		t.Errorf("%q", got)
	}
	if _, err := spec.Parse(make([]byte, spec.MaxSpecBytes+1)); err == nil {
		t.Error("a text that is too long is read")
	}
}

func TestAtMostSoManyErrorsAreReported(t *testing.T) {
	_, err := spec.Parse([]byte(`{"argv": [` + strings.TrimSuffix(strings.Repeat("1,", 1000), ",") + `]}`))
	if got := fields(t, err); len(got) != 50 {
		t.Errorf("%d are reported", len(got))
	}
}
