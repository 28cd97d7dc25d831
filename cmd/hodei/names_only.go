package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// nameForm is the form of an answer that is ids alone, for other commands to read.
const nameForm = "name"

// named are the commands whose answers have ids.
var named = map[string]bool{
	"hodei run": true, "hodei job list": true, "hodei job get": true, "hodei job wait": true, "hodei job cancel": true, "hodei job rerun": true,
	"hodei worker list": true, "hodei worker get": true, "hodei worker cordon": true, "hodei worker uncordon": true, "hodei worker drain": true,
	"hodei secret list": true, "hodei secret set": true,
}

// outputs completes the form of a command's answers.
func outputs(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	may := forms
	if !named[c.CommandPath()] {
		may = slices.DeleteFunc(slices.Clone(forms), func(form string) bool { return form == nameForm })
	}
	return oneOf(may...)(c, args, begun)
}

// refuseNames refuses -o name where there are none.
func (a *app) refuseNames(c *cobra.Command) error {
	if a.output != nameForm || named[c.CommandPath()] {
		return nil
	}
	a.output = "table"
	return usage("--output name does not fit: %s answers with nothing that other commands could be given", c.CommandPath())
}

// onlyNames are the ids in an answer of the API, a line each; the name of what has no
// id. A worker that a command is given is found by either.
func onlyNames(raw []byte) ([]byte, error) {
	type thing struct{ ID, Name string }
	var answer struct {
		thing
		Items []thing
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("cannot read the answer: %w", err)
	}
	if answer.Items == nil {
		answer.Items = []thing{answer.thing}
	}
	var b strings.Builder
	for _, t := range answer.Items {
		if id := first(t.ID, t.Name); id != "" {
			b.WriteString(term.Escape(id) + "\n")
		}
	}
	return []byte(b.String()), nil
}
