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
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
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
