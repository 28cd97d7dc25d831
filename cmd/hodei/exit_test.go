package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
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
  token hodei_…x4Q7 from HODEI_API_TOKEN
  help: name another: export HODEI_API_TOKEN=…    or --token-file FILE
`},
		{"a role that does not allow it", &wire.Problem{Status: http.StatusForbidden, Detail: "the token's role is viewer, this needs submitter"}, exitDenied, "error: the token's role is viewer, this needs submitter\n"},
		{"what answers in another protocol", &client.UnreachableError{URL: "http://127.0.0.1:9090", Cause: errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x00"`)}, exitUnreachable, `error: cannot reach the server at http://127.0.0.1:9090: it does not answer in HTTP
  help: is this its HTTP address? workers connect to another    name it: --server URL
`},
		{"a server with a certificate of its own", &client.UnreachableError{URL: "https://127.0.0.1:1", Cause: &url.Error{Op: "Get", Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}}, exitUnreachable,
			"error: cannot reach the server at https://127.0.0.1:1: its certificate is not one this machine trusts\n  help: start one: hodei dev    name another: --server URL\n"},
		{"a server that says nothing", &client.UnreachableError{URL: "http://127.0.0.1:1", Cause: &url.Error{Op: "Get", Err: context.DeadlineExceeded}}, exitUnreachable,
			"error: cannot reach the server at http://127.0.0.1:1: it did not answer in time\n  help: start one: hodei dev    name another: --server URL\n"},
		{"several errors of one stop", errors.Join(errors.New("the log has stopped"), errors.New("its disk is full")), exitBug, "error: the log has stopped\n  its disk is full\n"},
		{"several mistakes", &wire.Problem{Status: http.StatusUnprocessableEntity, Detail: "cannot accept this spec", Errors: []wire.Detail{{Location: "body.a", Message: "is wrong"}, {Location: "query.b", Message: "is too"}, {Location: "body", Message: "nor is the rest right"}}}, exitUsage, `error: cannot accept this spec
  a: is wrong
  query.b: is too
  nor is the rest right
`},
		{"a state that refuses", &wire.Problem{Status: http.StatusConflict, Detail: "cannot cancel job"}, exitRefused, "error: cannot cancel job\n"},
		{"a busy server", &wire.Problem{Status: http.StatusTooManyRequests, Detail: "busy"}, exitUnreachable, "error: busy\n"},
		{"words that would move the cursor", &wire.Problem{Status: http.StatusConflict, Detail: "a\x1b[2Jb"}, exitRefused, `error: a\x1b[2Jb` + "\n"},
		{"a bug", errors.New("boom"), exitBug, "error: boom\n"},
	} {
		var b strings.Builder
		a := &app{stderr: &b, output: "table", access: access{token: fakeToken, tokenFrom: "HODEI_API_TOKEN"}}
		if code := a.report(row.err); code != row.code || b.String() != row.says {
			t.Errorf("%s: code %d, want %d; said\n%swant\n%s", row.name, code, row.code, b.String(), row.says)
		}
	}
}

// The server's words for a bad token are completed by which token that was.
func TestATokenIsNamedNotShown(t *testing.T) {
	for token, want := range map[string]string{
		"hodei_9fQ2mVb7LkTz3RwYxN5sDcHx4Q7": "hodei_…x4Q7",
		"hodei_short":                       "…",
		"somebody's password":               "…",
	} {
		if got := hint(token); got != want {
			t.Errorf("%s is shown as %s, want %s", token, got, want)
		}
	}
}

// Every code that the help names is shown by a transcript, or by the test that makes
// the signal or the bug that it takes; and the help names every code that is.
func TestEveryExitCodeIsShown(t *testing.T) {
	const transcript = ""
	shownBy := map[int]string{exitOK: transcript, exitNo: transcript, exitUsage: transcript, exitNotFound: transcript, exitDenied: transcript,
		exitRefused: transcript, exitUnreachable: transcript, exitVersion: transcript, exitBug: "TestABugIsToldAsOne", exitInterrupted: "interruptOnce",
		exitSignal: transcript, exitJobTimeout: transcript, exitJobNoResult: transcript, exitJobCancelled: transcript,
		exitSignal + int(syscall.SIGHUP): "hungUp", exitSignal + int(syscall.SIGPIPE): "readerGone"}
	transcripts, tests := textOf(t, "testdata/transcripts/*.txt"), textOf(t, "*_test.go")
	for code, by := range shownBy {
		example := code
		if code == exitSignal {
			example += int(syscall.SIGKILL)
		}
		if by == transcript && !strings.Contains(transcripts, fmt.Sprintf("«exit %d»", example)) {
			t.Errorf("no transcript shows exit code %d", example)
		}
		if by != transcript && !strings.Contains(tests, "\nfunc "+by+"(t *testing.T") {
			t.Errorf("there is no %s among the tests, which is to show exit code %d", by, code)
		}
	}
	named := map[int]bool{}
	for _, m := range regexp.MustCompile(`(\d+)(?:\+N)? {2,}\S`).FindAllStringSubmatch(exitCodes+"\n"+jobExitCodes, -1) {
		code, err := strconv.Atoi(m[1])
		if _, ok := shownBy[code]; err != nil || !ok {
			t.Errorf("the help names exit code %s, which nothing shows", m[1])
		}
		named[code] = true
	}
	for code := range shownBy {
		if !named[code] {
			t.Errorf("the help does not name exit code %d", code)
		}
	}
	if !strings.Contains(transcripts, "«exit 7»\n2| ▶ 7f3k9qd2 fails on atlas\n") {
		t.Error("no transcript shows that run exits as its job did")
	}
}

// textOf is what is in the files.
func textOf(t *testing.T, pattern string) (text string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text += string(b) + "\n"
	}
	return text
}

// commandsBelow calls fn with every command that people see.
func commandsBelow(c *cobra.Command, fn func(*cobra.Command)) {
	fn(c)
	for _, child := range c.Commands() {
		if child.IsAvailableCommand() {
			commandsBelow(child, fn)
		}
	}
}

// Every command's help opens with two examples of commands there are, and fits a
// screen before its flags.
func TestHelp(t *testing.T) {
	const lines, columns = 24, 80
	root := (&app{}).root()
	commandsBelow(root, func(c *cobra.Command) {
		var out strings.Builder
		a := &app{stdout: &out, stderr: io.Discard}
		if code := a.run(t.Context(), append(strings.Fields(c.CommandPath())[1:], "--help")); code != exitOK {
			t.Errorf("%s --help: code %d", c.CommandPath(), code)
		}
		before, _, ok := strings.Cut(out.String(), "\nFlags:\n")
		if n := strings.Count(before, "\n"); !ok || n > lines && (c != root || n > lines+len(root.Commands())) { // the first page lists all commands
			t.Errorf("%s: its help has %d lines before the flags", c.CommandPath(), n)
		}
		for line := range strings.Lines(out.String()) {
			if term.Width(strings.TrimRight(line, "\n")) > columns {
				t.Errorf("%s: a line of its help is wider than %d columns: %s", c.CommandPath(), columns, line)
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if kind, _ := pflag.UnquoteUsage(f); kind != strings.ToUpper(kind) {
				t.Errorf("%s: --%s takes a %s, which says nothing", c.CommandPath(), f.Name, kind)
			}
		})
		_, after, _ := strings.Cut(before, "\n\nExamples:\n")
		examples := strings.Split(strings.SplitN(after, "\n\n", 2)[0], "\n")
		if strings.Count(strings.SplitN(before, "Examples:", 2)[0], "\n") != 2 || len(examples) < 2 {
			t.Errorf("%s: its help does not open with two examples:\n%s", c.CommandPath(), before)
		}
		for _, e := range examples {
			words := strings.Fields(e)
			for len(words) > 0 && words[0] != "hodei" {
				words = words[1:]
			}
			if found, rest, err := root.Find(words[1:]); err != nil || !strings.HasPrefix(strings.Join(words, " "), c.CommandPath()) && c != root || found == root && len(rest) > 0 {
				t.Errorf("%s: its example is of another command: %s", c.CommandPath(), e)
			}
		}
	})
}
