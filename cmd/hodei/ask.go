package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// askedShown is how many of the things a question is about are named in it.
const askedShown = 5

// withYes gives a command that asks its flags for not being asked.
func (a *app) withYes(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do it without asking, also to many")
	return a.withNoInput(c)
}

// withNoInput gives a command that reads the keyboard its flag for not doing so.
func (a *app) withNoInput(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&a.noInput, "no-input", false, "ask nothing: what would need an answer is an error")
	return c
}

// agreed asks before what can't be undone is done to many things, with their
// number. Where nobody can be asked it takes --yes.
func (a *app) agreed(ctx context.Context, verb, done, noun string, things []string) error {
	if len(things) < 2 || a.yes {
		return nil
	}
	what := verb + " " + count(len(things), noun)
	why := "there is no terminal to ask on"
	if a.noInput {
		why = "--no-input keeps it from asking"
	}
	var line []byte
	asked, err := false, error(nil)
	if a.err.Terminal && !a.noInput {
		shown := strings.Join(things[:min(len(things), askedShown)], ", ")
		if more := len(things) - askedShown; more > 0 {
			shown += fmt.Sprintf(" and %d more", more)
		}
		ctx, stop := untilInterrupted(ctx)
		defer stop()
		line, asked, err = term.ReadLine(ctx, os.Stdin, func() {
			fmt.Fprintf(a.stderr, "%s: %s? [y/N] ", what, term.Escape(shown))
		})
		if ctx.Err() != nil {
			fmt.Fprintln(a.stderr)
			return ctx.Err()
		}
	}
	if !asked {
		return &exitError{code: exitUsage, err: fmt.Errorf("cannot %s: %s", what, why), help: "do it without being asked: " + a.command.CommandPath() + " --yes …"}
	}
	if answer := strings.ToLower(strings.TrimSpace(string(line))); err == nil && (answer == "y" || answer == "yes") {
		return nil
	}
	a.tell("nothing was %s", done)
	return silent(exitNo)
}
