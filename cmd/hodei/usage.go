package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// footer is the annotation with what a command's help says after its flags.
const footer = "footer"

// helpTemplate shows examples first: they are what most people look for. All up
// to the flags fits a screen of 24 lines.
const helpTemplate = `{{.Short}}.

Examples:
{{.Example}}
{{with .Long}}
{{.}}
{{end}}{{if not .HasAvailableSubCommands}}
Usage:
  {{.UseLine}}
{{else}}
Commands, more of each by {{.CommandPath}} COMMAND --help:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}
{{end}}{{with taken .}}{{if .HasAvailableFlags}}
Global Flags:
{{.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}
{{end}}{{end}}{{with index .Annotations "footer"}}
{{.}}
{{end}}`

func init() {
	cobra.AddTemplateFunc("taken", taken)
	cobra.EnableCommandSorting = false // they are listed as they are needed
}

// helpFlags gives every command its flag for help, in the words of this program.
func helpFlags(c *cobra.Command) {
	c.Flags().BoolP("help", "h", false, "show this")
	for _, child := range c.Commands() {
		helpFlags(child)
	}
}

// parent is a command that only has others below it.
func parent(use, short, examples string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: examples, Args: unknownCommand}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(children...)
	return c
}

// unknownCommand refuses words that are no command, and names the nearest.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := &exitError{code: exitUsage, err: fmt.Errorf("unknown command %q for %s", args[0], c.CommandPath()), help: "all commands: " + c.CommandPath() + " --help"}
	if near := meantCommand(c, args[0]); near != "" {
		e.help = "did you mean " + c.CommandPath() + " " + near + "? " + e.help
	}
	return e
}

// namesBelow are the commands below one.
func namesBelow(c *cobra.Command) (names []string) {
	for _, child := range c.Commands() {
		if child.IsAvailableCommand() {
			names = append(names, child.Name())
		}
	}
	return names
}

func (a *app) cmdHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Show the help of a command", Hidden: true,
		Example: "  hodei help run\n  hodei run --help",
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(found, args[len(args)-len(rest):])
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			found, _, err := c.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return beginning(begun, namesBelow(found)...), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// noArgs, oneArg and someArgs check a command's arguments and say what is expected.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &exitError{code: exitUsage, err: fmt.Errorf("%s takes no argument, got %q", c.CommandPath(), args[0]), help: c.CommandPath() + " --help"}
}

func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return &exitError{code: exitUsage, err: fmt.Errorf("%s takes one %s, got %d", c.CommandPath(), what, len(args)), help: c.CommandPath() + " --help"}
	}
}

func someArgs(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return nil
		}
		return &exitError{code: exitUsage, err: fmt.Errorf("%s takes one %s or more, got none", c.CommandPath(), what), help: c.CommandPath() + " --help"}
	}
}

// ofOthers are flags that many commands have, for those that have no use for them:
// names and letters.
var ofOthers = map[string]string{"all-namespaces": "all-namespaces", "A": "all-namespaces", "columns": "columns", "progress": "progress",
	"yes": "yes", "y": "yes", "no-input": "no-input"}

// flagError tells of a flag that can't be read in the words of this program.
func flagError(c *cobra.Command, err error) error {
	e := &exitError{code: exitUsage, err: err, help: "all flags: " + c.CommandPath() + " --help"}
	var unknown *pflag.NotExistError
	var without *pflag.ValueRequiredError
	var wrong *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && ofOthers[unknown.GetSpecifiedName()] != "":
		e.err = fmt.Errorf("%s has no use for --%s", c.CommandPath(), ofOthers[unknown.GetSpecifiedName()])
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		e.err = fmt.Errorf("unknown flag -%s", unknown.GetSpecifiedName())
	case errors.As(err, &unknown):
		e.err = fmt.Errorf("unknown flag --%s", unknown.GetSpecifiedName())
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := nearest(unknown.GetSpecifiedName(), names); near != "" {
			e.help = "did you mean --" + near + "? " + e.help
		}
	case errors.As(err, &without):
		e.err = fmt.Errorf("--%s needs a value", without.GetFlag().Name)
	case errors.As(err, &wrong):
		e.err = fmt.Errorf("--%s is %q; it must be %s", wrong.GetFlag().Name, wrong.GetValue(), kindOf(wrong.GetFlag()))
	}
	return e
}

// kindOf says in words what a flag takes.
func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int":
		return "a whole number"
	case "uint32":
		return "a whole number, not negative"
	case "float64":
		return "a number"
	case "duration":
		return "a time such as 30s or 5m"
	case "bool":
		return "true or false"
	}
	return "text"
}

// nearest returns the name that word was most likely meant to be, or "": at most
// two edits away, and at most half of the word.
func nearest(word string, names []string) string {
	best, at := "", min(2, len(word)/2)+1
	for _, n := range names {
		if d := distance(word, n); d < at {
			best, at = n, d
		}
	}
	return best
}

// distance is the optimal string alignment distance: insertions, deletions,
// substitutions and swaps of neighbours.
func distance(a, b string) int {
	var before []int
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev = prev, row
	}
	return prev[len(b)]
}
