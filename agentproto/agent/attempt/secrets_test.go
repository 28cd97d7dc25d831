package attempt_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/agentproto/agent/attempt"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// Every step has the secrets in its environment, whatever their bytes are; no
// file of the agent has them, and once the attempt has ended, neither has the
// agent.
func TestSecretsAreInTheEnvironmentOfEveryStep(t *testing.T) {
	out, folder := t.TempDir(), t.TempDir()
	p := parts(t, folder)
	value := []byte("tr0ub4dor&3\nsecond line \xff\xfe $HOME `x` \"y\"")
	sent := bytes.Clone(value)
	a, err := attempt.New(p, &agentprotov1.Assign{
		Ref: &agentprotov1.AttemptRef{Job: "j1", Attempt: 1},
		Env: []*agentprotov1.Label{{Key: "OUT", Value: out}},
		Steps: []*agentprotov1.Step{
			{Argv: []string{"/bin/sh", "-c", `printf %s "$TOKEN" > "$OUT/1"`}},
			{Argv: []string{"/bin/sh", "-c", `printf %s "$TOKEN" > "$OUT/2"`}},
		},
		Secrets: []*agentprotov1.Secret{{Name: "TOKEN", Value: sent}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	a.Run(t.Context())
	if r := a.Result(); r.GetOutcome() != "succeeded" {
		t.Fatalf("it ended as %v", r)
	}
	for _, step := range []string{"1", "2"} {
		if got, err := os.ReadFile(filepath.Join(out, step)); err != nil || !bytes.Equal(got, value) {
			t.Errorf("step %s has %q, %v", step, got, err)
		}
	}
	if !bytes.Equal(sent, make([]byte, len(value))) {
		t.Errorf("after its end there is %q", sent)
	}
	err = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // workspaces are removed meanwhile
			return nil
		case err != nil || !e.Type().IsRegular():
			return err
		}
		if data, err := os.ReadFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) || bytes.Contains(data, value[:10]) {
			t.Errorf("%s has it, %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Box().Drop()
}

func TestASecretThatNoProgramCanBeGivenIsRefused(t *testing.T) {
	for _, name := range []string{"", "A=B", "HODEI_TOKEN", "LD_PRELOAD", "NUL"} {
		assign := assignment("j1", "true")
		assign.Secrets = []*agentprotov1.Secret{{Name: name, Value: []byte("tr0ub4dor\x00")}}
		if name != "NUL" {
			assign.Secrets[0].Value = []byte("tr0ub4dor")
		}
		if _, err := attempt.New(parts(t, t.TempDir()), assign); err == nil || strings.Contains(err.Error(), "tr0") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// More secrets than can be masked: nothing runs, so nothing can show them.
func TestSecretsThatCanNotBeMasked(t *testing.T) {
	out := filepath.Join(t.TempDir(), "ran")
	assign := assignment("j1", "touch "+out)
	for _, name := range []string{"A", "B", "C", "D"} {
		assign.Secrets = append(assign.Secrets, &agentprotov1.Secret{Name: name, Value: bytes.Repeat([]byte(name), 32<<10)})
	}
	r := run(t, parts(t, t.TempDir()), assign)
	if r.GetOutcome() != "failed" || r.GetCause() != "cannot_start" || r.GetDetail() != "cannot mask the secret D: there are 500 secrets already, or 98,304 bytes of them" {
		t.Errorf("it ended as %v", r)
	}
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it ran: %v", err)
	}
}

// A log's limit counts what is shown, not what is hidden.
func TestALimitCountsWhatIsMasked(t *testing.T) {
	p := parts(t, t.TempDir())
	assign := assignment("j1", `for i in 1 2 3 4 5 6 7 8 9 10; do printf %s "$TOKEN"; done`)
	assign.Secrets = []*agentprotov1.Secret{{Name: "TOKEN", Value: bytes.Repeat([]byte("tr0ub4dor"), 100)}}
	assign.LogLimitBytes = 4096
	a, err := attempt.New(p, assign)
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	a.Run(t.Context())
	defer a.Box().Drop()
	if got := a.Result().GetEndOffset(); got > 30 || got < 3 {
		t.Errorf("%d bytes are kept", got)
	}
}
