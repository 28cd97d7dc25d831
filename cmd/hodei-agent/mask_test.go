package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
	"github.com/hodei-jobs/hodei/agentproto/agent/mask/socket"
)

func TestMask(t *testing.T) {
	set, _ := mask.New(nil)
	root, err := socket.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := root.Listen(set.Add)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	nobody := t.TempDir() + "/nobody"
	for _, row := range []struct {
		name   string
		args   []string
		stdin  string
		socket string
		status int
		says   string
		masks  string
	}{
		{"a value", []string{"SECRET-1"}, "", s.Path(), exitDone, "", "SECRET-1"},
		{"standard input", nil, "SECRET-2\nSECRET-3\n", s.Path(), exitDone, "", "SECRET-2\nSECRET-3"},
		{"standard input by name", []string{"-"}, "\xff\x00SECRET", s.Path(), exitDone, "", "\xff\x00SECRET"},
		{"a value like a flag", []string{"--", "-SECRET-4"}, "", s.Path(), exitDone, "", "-SECRET-4"},
		{"one that is short", []string{"SECR"}, "", s.Path(), exitDone, "some of these forms are not: base64", "SECR"},
		{"help", []string{"--help"}, "", "", exitDone, "HODEI_AGENT_SOCKET", ""},
		{"a flag", []string{"-SECRET"}, "", s.Path(), exitUsage, "begins with -", ""},
		{"two values", []string{"SECRET", "SECRET"}, "", s.Path(), exitUsage, "2 values", ""},
		{"outside of a job", []string{"SECRET"}, "", "", exitUsage, "HODEI_AGENT_SOCKET is not set", ""},
		{"no agent", []string{"SECRET"}, "", nobody, exitFailed, "cannot reach the agent", ""},
		{"an empty value", []string{""}, "SECRET", s.Path(), exitNotMasked, "it is empty", ""},
		{"nothing on standard input", nil, "", s.Path(), exitNotMasked, "it is empty", ""},
		{"only a dash", []string{"--", "-"}, "", s.Path(), exitNotMasked, "fewer than 4 bytes", ""},
		{"too much", nil, strings.Repeat("SECRET", mask.MaxSecret), s.Path(), exitNotMasked, "more than 65,536 bytes", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			getenv := func(string) string { return row.socket }
			status := maskSecret(row.args, getenv, strings.NewReader(row.stdin), &out, &out)
			if status != row.status || !strings.Contains(out.String(), row.says) || row.says == "" && out.Len() > 0 {
				t.Errorf("status %d, want %d: %s", status, row.status, out.String())
			}
			if strings.Contains(out.String(), "SECR") {
				t.Errorf("it shows the secret: %s", out.String())
			}
			if row.masks != "" && set.Text(row.masks) != "***" {
				t.Errorf("%q is shown as %q", row.masks, set.Text(row.masks))
			}
		})
	}
	var out bytes.Buffer
	if status := maskSecret(nil, nil, iotest.ErrReader(context.Canceled), &out, &out); status != exitFailed {
		t.Errorf("input that can't be read: status %d", status)
	}
}

// The program itself, as a step runs it: neither guard nor token.
func TestMaskAsAStepRunsIt(t *testing.T) {
	cmd := command(t, []string{"HODEI_AGENT_SOCKET="}, "mask", "SECRET")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != exitUsage || !strings.Contains(string(out), "HODEI_AGENT_SOCKET is not set") {
		t.Errorf("status %d: %s", cmd.ProcessState.ExitCode(), out)
	}
}
