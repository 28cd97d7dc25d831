package main

import (
	"errors"

	"github.com/hodei-jobs/hodei/api/wire"
)

// problem is an error as -o json and -o yaml tell it, on standard error, as JSON on
// one line: the fields of the server's, in their order. One of this program has no status.
type problem struct {
	Type   string        `json:"type"`
	Title  string        `json:"title"`
	Status int           `json:"status,omitempty"`
	Detail string        `json:"detail"`
	Kind   string        `json:"kind,omitempty"`
	Help   string        `json:"help,omitempty"`
	Errors []wire.Detail `json:"errors,omitempty"`
}

// problemOf returns what the server said, completed by what is known here, or an
// error of this program.
func problemOf(e *exitError) *problem {
	var p problem
	var served *wire.Problem
	if errors.As(e.err, &served) {
		p = problem(*served)
	} else {
		p = problem{Title: titles[e.code].title, Detail: e.err.Error(), Kind: titles[e.code].kind}
		for _, m := range e.more {
			p.Errors = append(p.Errors, wire.Detail{Message: m})
		}
	}
	for _, f := range e.also {
		p.Errors = append(p.Errors, wire.Detail{Message: f.text})
	}
	p.Type, p.Help = first(p.Type, "about:blank"), first(p.Help, e.help)
	if e.code == exitBug && e.last != "" {
		p.Errors = append(p.Errors, wire.Detail{Message: e.last})
	}
	return &p
}

// titles are the kinds of errors by exit code, as the API has them where it does.
var titles = map[int]struct{ title, kind string }{
	exitUsage: {"Invalid", "invalid"}, exitNotFound: {"Not found", "not_found"}, exitDenied: {"Not allowed", "denied"},
	exitRefused: {"Refused", "refused"}, exitUnreachable: {"Unreachable", "unreachable"}, exitVersion: {"Versions do not fit", "version"},
	exitBug: {"Internal error", "internal"}, exitJobNoResult: {"No result", "no_result"}, exitInterrupted: {"Interrupted", "interrupted"},
}
