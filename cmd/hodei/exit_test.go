package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

func TestExitOf(t *testing.T) {
	code := func(n int32) *int32 { return &n }
	for _, row := range []struct {
		name string
		job  wire.Job
		here bool
		want int
	}{
		{"a job that succeeded", wire.Job{State: "succeeded", ExitCode: code(0)}, false, 0},
		{"one that failed", wire.Job{State: "failed", ExitCode: code(7)}, false, 7},
		{"one ended by a signal", wire.Job{State: "failed", Signal: "KILL"}, false, 137},
		{"one that could not start", wire.Job{State: "failed", Reason: "cannot_start"}, false, exitJobNoResult},
		{"one that ran too long", wire.Job{State: "timed_out", Signal: "TERM"}, false, exitJobTimeout},
		{"one that was lost", wire.Job{State: "lost"}, false, exitJobNoResult},
		{"one cancelled here", wire.Job{State: "cancelled"}, true, exitInterrupted},
		{"one cancelled elsewhere", wire.Job{State: "cancelled"}, false, exitJobCancelled},
	} {
		got := exitOK
		var s silent
		if errors.As(exitOf(&row.job, row.here), &s) {
			got = int(s)
		}
		if got != row.want {
			t.Errorf("%s: %d, want %d", row.name, got, row.want)
		}
	}
}

// What people are told of an error, and the code they get.
func TestReport(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		code int
		says string
	}{
		{"no server", &client.UnreachableError{URL: "http://127.0.0.1:1", Cause: errors.New("connection refused")}, exitUnreachable, `error: cannot reach the server at http://127.0.0.1:1: connection refused
  help: start one: hodei dev    name another: --server URL
`},
		{"an unknown job", &wire.Problem{Status: http.StatusNotFound, Detail: "there is no job zzzzzzzz", Help: "the jobs there are: hodei job list"}, exitNotFound, `error: there is no job zzzzzzzz
  help: the jobs there are: hodei job list
`},
		{"a bad token", &wire.Problem{Status: http.StatusUnauthorized, Detail: "the server does not accept this token"}, exitDenied, `error: the server does not accept this token
  help: name a token: export HODEI_API_TOKEN=…    or --token-file FILE
`},
		{"several mistakes", &wire.Problem{Status: http.StatusUnprocessableEntity, Detail: "cannot accept this spec", Errors: []wire.Detail{{Location: "a", Message: "is wrong"}, {Location: "b", Message: "is too"}}}, exitUsage, `error: cannot accept this spec
  a: is wrong
  b: is too
`},
		{"a state that refuses", &wire.Problem{Status: http.StatusConflict, Detail: "cannot cancel job"}, exitRefused, "error: cannot cancel job\n"},
		{"a busy server", &wire.Problem{Status: http.StatusTooManyRequests, Detail: "busy"}, exitUnreachable, "error: busy\n"},
		{"words that would move the cursor", &wire.Problem{Status: http.StatusConflict, Detail: "a\x1b[2Jb"}, exitRefused, `error: a\x1b[2Jb` + "\n"},
		{"a bug", errors.New("boom"), exitBug, "error: boom\n"},
	} {
		var b strings.Builder
		a := &app{stderr: &b, output: "table"}
		if code := a.report(row.err); code != row.code || b.String() != row.says {
			t.Errorf("%s: code %d, want %d; said\n%swant\n%s", row.name, code, row.code, b.String(), row.says)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	t.Setenv("HODEI_CONFIG_DIR", t.TempDir())
	for _, row := range []struct {
		args []string
		says string
	}{
		{[]string{"run", "--memroy", "2Gi", "--", "make"}, "error: unknown flag --memroy\n  help: did you mean --memory? all flags: hodei run --help\n"},
		{[]string{"run"}, "error: nothing to run\n  help: hodei run -- CMD ARG…    or: hodei run -f job.yaml\n"},
		{[]string{"job", "lst"}, "error: unknown command \"lst\" for hodei job\n  help: did you mean hodei job list?\n"},
		{[]string{"job", "get"}, "error: hodei job get takes one job id, got 0\n  help: hodei job get --help\n"},
		{[]string{"queue", "x"}, "error: hodei queue takes no argument, got \"x\"\n  help: hodei queue --help\n"},
		{[]string{"job", "list", "-o", "xml"}, "error: --output is \"xml\"; it may be table or json\n"},
		{[]string{"dev", "--http", "0.0.0.0:80"}, "error: --http 0.0.0.0:80 is not loopback, and the HTTP API has no TLS of its own\n  help: listen on 127.0.0.1 and put a proxy with TLS in front\n"},
		{[]string{"server", "--log-level", "loud"}, "error: --log-level is \"loud\"; it may be debug, info, warn or error\n"},
		{[]string{"server", "--tls-cert", "x"}, "error: --tls-cert and --tls-key go together\n"},
		{[]string{"bench", "--only", "nothing"}, "error: there is no part \"nothing\"\n"},
	} {
		var out, errs strings.Builder
		a := &app{stdout: &out, stderr: &errs}
		if code := a.run(t.Context(), row.args); code != exitUsage || !strings.HasPrefix(errs.String(), row.says) {
			t.Errorf("%v: code %d, said\n%swant\n%s", row.args, code, errs.String(), row.says)
		}
	}
}

// Every command's help opens with examples and fits a screen before its flags.
func TestHelp(t *testing.T) {
	a := &app{}
	for _, c := range a.root().Commands() {
		for _, c := range append(c.Commands(), c) {
			if c.Name() == "help" || c.Name() == "completion" || c.Parent() != nil && c.Parent().Name() == "completion" {
				continue
			}
			if n := strings.Count(c.Long, "\n"); !strings.Contains(c.Long, "Examples:\n  ") || n > 24 {
				t.Errorf("%s: its help has %d lines, or no examples", c.CommandPath(), n)
			}
		}
	}
}
