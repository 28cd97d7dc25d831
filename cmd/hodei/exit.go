package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// Exit codes of all commands.
const (
	exitOK          = 0
	exitNo          = 1 // done, and the answer is no
	exitUsage       = 2 // usage or invalid input; nothing was changed
	exitNotFound    = 3
	exitDenied      = 4 // not signed in, or not allowed
	exitRefused     = 5 // refused by the state of the thing
	exitUnreachable = 6
	exitVersion     = 7 // versions don't fit
	exitBug         = 70
	exitInterrupted = 130

	// run, and job wait with --exit-code, end as the job did, or with these.
	exitJobTimeout   = 124
	exitJobNoResult  = 125
	exitJobCancelled = 143
	exitSignal       = 128 // and the number of the signal
)

// exitCodes is what the help says of them.
const exitCodes = `Exit codes:
  0    done, and the answer is yes      5    refused by the state of the thing
  1    done, and the answer is no       6    no answer from the server
  2    usage or invalid input;          7    versions do not fit
       nothing was changed              70   a bug in hodei
  3    not found                        130  interrupted
  4    not signed in, or not allowed`

// jobExitCodes are those of commands that end as their job did.
const jobExitCodes = `Exit codes:
  the job's own                    125  no result: refused, unreachable, lost
  128+N  signal N ended it         130  cancelled here
  124    its time limit            143  cancelled elsewhere
  129    cancelled, as the terminal was closed
  141    cancelled, as nobody reads the output any more`

// exitError is an error that knows its exit code and what helps.
type exitError struct {
	code int
	err  error
	help string
	more []string // evidence, a line each
	also []finding
	last string // what comes at the end, such as what was changed
}

// finding is one more error of the same command, with its evidence.
type finding struct {
	text string
	more []string
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// silent ends with a code and no words: what there was to say was said.
type silent int

func (silent) Error() string { return "" }

func usage(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// report writes err as people are told of it, as JSON if that is asked for, and
// returns the exit code.
func (a *app) report(err error) int {
	var s silent
	if errors.As(err, &s) {
		return int(s)
	}
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	e := a.explain(err)
	if a.programs() && a.output != nameForm {
		if b, err := a.encoded(problemOf(e)); err == nil {
			_, _ = a.stderr.Write(b) // there is nobody else to tell
		}
		return e.code
	}
	for _, f := range append([]finding{{e.err.Error(), e.more}}, e.also...) {
		head, rest, _ := strings.Cut(f.text, "\n") // several errors at once have a line each
		fmt.Fprintf(a.stderr, "%s %s\n", a.err.Paint(term.Red, "error:"), term.Escape(head))
		for line := range strings.Lines(rest) {
			fmt.Fprintf(a.stderr, "  %s\n", term.Escape(strings.TrimRight(line, "\n")))
		}
		for _, m := range f.more {
			fmt.Fprintf(a.stderr, "  %s\n", term.Escape(m))
		}
	}
	if e.help != "" {
		fmt.Fprintf(a.stderr, "  help: %s\n", e.help)
	}
	if e.last != "" {
		fmt.Fprintln(a.stderr, e.last)
	}
	return e.code
}

// explain turns any error into one with a code and help.
func (a *app) explain(err error) *exitError {
	var e *exitError
	var u *client.UnreachableError
	var p *wire.Problem
	var file *fs.PathError
	switch {
	case a.gaveUp(err):
		return a.explainTimeout()
	case errors.As(err, &e):
		if e.code == exitUsage && e.help == "" && e.last == "" && a.command != nil {
			e.help = "all flags: " + a.command.CommandPath() + " --help"
		}
		return e
	case errors.As(err, &file) && file.Op == "write":
		return &exitError{code: exitRefused, err: fmt.Errorf("cannot write the output: %s", reason(err))}
	case errors.As(err, &u):
		return a.unreachable(u)
	case errors.As(err, &p):
		return a.explainProblem(p)
	}
	return &exitError{code: exitBug, err: err}
}

func (a *app) unreachable(u *client.UnreachableError) *exitError {
	e := &exitError{code: exitUnreachable, help: "start one: hodei dev    name another: --server URL",
		err: fmt.Errorf("cannot reach the server at %s%s: %s", u.URL, from(a.access.urlFrom), reason(u.Cause))}
	switch reason(u.Cause) {
	case noHTTP, closedOnUs:
		e.help = "is this its HTTP address? workers connect to another    name it: --server URL"
	}
	return e
}

// from says where a setting comes from, unless nobody set it.
func from(source string) string {
	if source == "" {
		return ""
	}
	return " (from " + source + ")"
}

// inBody is a place without saying that it is in the body, which people don't see.
func inBody(location string) string {
	return strings.TrimPrefix(strings.TrimPrefix(location, "body"), ".")
}

func (a *app) explainProblem(p *wire.Problem) *exitError {
	e := &exitError{code: exitBug, err: p, help: p.Help}
	if len(p.Errors) > 1 {
		for _, d := range p.Errors {
			e.more = append(e.more, fault.Field{Location: inBody(d.Location), Message: d.Message}.String())
		}
	}
	a.inFlags(e, p)
	switch p.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusMethodNotAllowed:
		e.code = exitUsage
	case http.StatusNotFound, http.StatusGone:
		e.code = exitNotFound
	case http.StatusUnauthorized:
		e.code = exitDenied
		a.explainToken(e)
	case http.StatusForbidden:
		e.code = exitDenied
	case http.StatusConflict, http.StatusPreconditionFailed:
		e.code = exitRefused
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		e.code = exitUnreachable
	}
	return e
}

// explainToken says which token was refused, without showing it.
func (a *app) explainToken(e *exitError) {
	t := a.access.token
	if t == "" {
		e.err = errors.New("the server wants a token, and none was found")
		e.more = []string{"looked at HODEI_API_TOKEN and in " + short(a.access.dir)}
	} else {
		e.more = []string{strings.TrimSuffix("token "+hint(t)+" from "+short(a.access.tokenFrom), " from ")}
	}
	if e.help == "" {
		e.help = "name another: export HODEI_API_TOKEN=…    or --token-file FILE"
	}
}

// hint is a token of which only its kind and its end can be read.
func hint(token string) string {
	const shown = 4
	prefix, rest, ok := strings.Cut(token, "_")
	if !ok || len(rest) < 4*shown {
		return "…"
	}
	return prefix + "_…" + rest[len(rest)-shown:]
}
