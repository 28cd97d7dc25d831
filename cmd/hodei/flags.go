package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// forms are those an answer may have.
var forms = []string{"table", "json", "yaml", nameForm}

// Ways in which progress is shown. On its own it depends on where it goes.
const (
	progressAuto  = "auto"
	progressTTY   = "tty"   // a line is written again in its place
	progressPlain = "plain" // a line a change
	progressNone  = "none"
)

// redrawnWidth is how wide lines are that are redrawn where no terminal says how
// wide it is, in columns.
const redrawnWidth = 80

// withProgress gives a command its flag for how progress is shown.
func (a *app) withProgress(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&a.progress, "progress", progressAuto, "`HOW` progress is shown: auto, tty (redrawn), plain (lines) or none")
	return c
}

func (a *app) checkProgress(c *cobra.Command) error {
	switch a.progress {
	case "", progressAuto, progressTTY, progressPlain, progressNone:
	default:
		return usage("--progress is %q; it may be auto, tty, plain or none", a.progress)
	}
	return refuse(c, rule{"progress", a.quiet && a.progress != progressNone, "-q shows none"},
		rule{"progress", a.programs() && a.progress != progressNone, "with -o " + a.output + " programs read, and none is shown"})
}

// progressive is the style of what is told beside the answer, as --progress wants it.
func (a *app) progressive(s term.Style) term.Style {
	switch a.progress {
	case progressTTY:
		s.Redraws = true
		if s.Width == 0 { // a line that wraps could not be replaced
			s.Width = redrawnWidth
		}
	case progressPlain:
		s.Redraws = false
	}
	return s
}

// withColumns gives a command that writes a table its flag for which columns that
// has.
func (a *app) withColumns(c *cobra.Command, columns []table.Column) *cobra.Command {
	names := table.Names(columns)
	c.Flags().StringSliceVar(&a.chosen, "columns", nil, "only these `COLUMNS`, in this order: "+strings.Join(names, ", "))
	_ = c.RegisterFlagCompletionFunc("columns", listOf(names...)) // fails for none: the flag is there, once
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		for _, name := range a.chosen {
			if slices.Contains(names, strings.ToLower(name)) {
				continue
			}
			e := &exitError{code: exitUsage, err: fmt.Errorf("--columns: there is no column %q", name), help: "the columns: " + strings.Join(names, ", ")}
			if near := nearest(strings.ToLower(name), names); near != "" {
				e.help = "did you mean " + near + "? " + e.help
			}
			return e
		}
		return refuse(c, rule{"columns", len(a.chosen) == 0, "it is empty, and would leave none"},
			rule{"columns", a.programs(), "with -o " + a.output + " the answer is the API's, whole"})
	}
	return c
}

// table returns a table of the columns that were asked for.
func (a *app) table(columns []table.Column) *table.Table { return table.New(columns, a.chosen) }

// withAllNamespaces gives a command that lists what is in namespaces its flag for
// all of them.
func (a *app) withAllNamespaces(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVarP(&a.allNamespaces, "all-namespaces", "A", false, "of all namespaces that the token may see, also where HODEI_NAMESPACE or config.yaml names one")
	return c
}

func (a *app) checkNamespaces(c *cobra.Command) error {
	return refuse(c, rule{"all-namespaces", c.Flags().Changed("namespace"), "--namespace names one"})
}

// changing are the commands that change something: one that is given up may have
// done so.
var changing = map[string]bool{"hodei job cancel": true, "hodei job rerun": true, "hodei secret set": true, "hodei secret delete": true, "hodei worker token": true,
	"hodei token create": true, "hodei token revoke": true, "hodei namespace create": true, "hodei namespace pause": true, "hodei namespace resume": true,
	"hodei worker cordon": true, "hodei worker uncordon": true, "hodei worker drain": true}

// within gives a command the time that --timeout says, all it asks the server
// together.
func (a *app) within(c *cobra.Command) error {
	if a.timeout < 0 {
		return usage("--timeout is %s; it must not be negative", a.timeout)
	}
	if a.timeout == 0 {
		return nil
	}
	var ctx context.Context
	ctx, a.release = context.WithTimeout(c.Context(), a.timeout)
	a.limited = ctx
	c.SetContext(ctx)
	return nil
}

// gaveUp says whether an error is of the time that --timeout says.
func (a *app) gaveUp(err error) bool {
	if a.limited == nil || a.limited.Err() == nil {
		return false
	}
	var u *client.UnreachableError
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &u)
}

// explainTimeout tells that a command was given up, and what that means.
func (a *app) explainTimeout() *exitError {
	e := &exitError{code: exitUnreachable, err: fmt.Errorf("%s did not end within %s, which is its --timeout", a.command.CommandPath(), shortly(a.timeout))}
	if changing[a.command.CommandPath()] {
		e.help = "what was asked for may have been done: look before you try again"
	}
	return e
}

// shortly writes a duration as people write it: 5m, not 5m0s.
func shortly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
