package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// Exit codes of all commands. run ends with its job's own code, 128+N for signal
// N, 124 at its time limit, 125 without a result, 130 cancelled here, 143
// cancelled elsewhere.
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

	exitJobTimeout   = 124
	exitJobNoResult  = 125
	exitJobCancelled = 143
)

// exitError is an error that knows its exit code and what helps.
type exitError struct {
	code int
	err  error
	help string
	more []string // evidence, a line each
	also []finding
	last string // a line at the end, such as what was changed
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

// report writes err as people are told of it and returns the exit code.
func (a *app) report(err error) int {
	var s silent
	if errors.As(err, &s) {
		return int(s)
	}
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	e := a.explain(err)
	var p *wire.Problem
	if a.output == "json" && errors.As(err, &p) {
		if line, jerr := json.Marshal(p); jerr == nil {
			fmt.Fprintf(a.stderr, "%s\n", line)
			return e.code
		}
	}
	for _, f := range append([]finding{{e.err.Error(), e.more}}, e.also...) {
		fmt.Fprintf(a.stderr, "%s %s\n", a.err.Paint(term.Red, "error:"), term.Escape(f.text))
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
	if errors.As(err, &e) {
		return e
	}
	var u *client.UnreachableError
	if errors.As(err, &u) {
		return &exitError{code: exitUnreachable, err: u, help: "start one: hodei dev    name another: --server URL"}
	}
	var p *wire.Problem
	if errors.As(err, &p) {
		return explainProblem(p)
	}
	if strings.HasPrefix(err.Error(), "unknown command") {
		return &exitError{code: exitUsage, err: errors.New(strings.SplitN(err.Error(), "\n", 2)[0]), help: "all commands: hodei --help"}
	}
	return &exitError{code: exitBug, err: err}
}

func explainProblem(p *wire.Problem) *exitError {
	e := &exitError{code: exitBug, err: p, help: p.Help}
	if len(p.Errors) > 1 {
		for _, d := range p.Errors {
			e.more = append(e.more, strings.TrimPrefix(d.Location+": "+d.Message, ": "))
		}
	}
	switch p.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusMethodNotAllowed:
		e.code = exitUsage
	case http.StatusNotFound, http.StatusGone:
		e.code = exitNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		e.code = exitDenied
		if e.help == "" {
			e.help = "name a token: export HODEI_API_TOKEN=…    or --token-file FILE"
		}
	case http.StatusConflict, http.StatusPreconditionFailed:
		e.code = exitRefused
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		e.code = exitUnreachable
	}
	return e
}
