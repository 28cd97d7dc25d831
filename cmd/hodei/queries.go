package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/api/wire"
)

// states are those of jobs, in the order of a life.
func states() (names []string) {
	for s := job.Pending; s <= job.Lost; s++ {
		names = append(names, s.String())
	}
	return names
}

// words are what a flag that takes a list of words may hold, as far as this
// program knows.
var words = map[string]func() []string{"state": states, "type": event.Types}

// inFlags tells of a fault in a query or a body in the words of the flag that set it.
func (a *app) inFlags(e *exitError, p *wire.Problem) {
	if a.command == nil || a.programs() || len(p.Errors) != 1 {
		return
	}
	name, inQuery := strings.CutPrefix(p.Errors[0].Location, "query.")
	name, inBody := strings.CutPrefix(name, "body.")
	if !inQuery && !inBody {
		return
	}
	if name == "cursor" && a.command.Flag("after") != nil {
		name = "after"
	}
	f := a.command.Flag(name)
	if f == nil || inBody && !f.Changed {
		return
	}
	if p.Status != 404 {
		e.err = errors.New("--" + name + ": " + p.Errors[0].Message)
	}
	if e.help == "" {
		e.help = meant(f) + "all flags: " + a.command.CommandPath() + " --help"
	}
}

// meant names the known word that is nearest to one of a flag that is not known.
func meant(f *pflag.Flag) string {
	list, ok := f.Value.(pflag.SliceValue)
	if !ok || words[f.Name] == nil {
		return ""
	}
	known := words[f.Name]()
	for _, word := range list.GetSlice() {
		if near := nearest(word, known); near != "" && !slices.Contains(known, word) {
			return "did you mean " + near + "? "
		}
	}
	return ""
}
