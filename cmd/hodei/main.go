// Command hodei is the job server and its command line in one binary.
//
//	                       ┌── api (HTTP, SSE) ◀── hodei run, job, logs, …
//	eventstore ── World ───┤
//	    ▲                  ├── scheduler, deadlines ──▶ commands ─┐
//	    │                  └── gateway (gRPC) ◀──▶ hodei-agent    │
//	    └───────────────────────────────────────────────────────┘
//
// Parts are wired in serve.go and nowhere else; a file cmd_NAME.go holds one command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

func main() {
	a := &app{stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(a.run(context.Background(), os.Args[1:]))
}

// app is what all commands share: where they write and the flags of all.
type app struct {
	stdout, stderr io.Writer
	out, err       term.Style

	server    string
	tokenFile string
	namespace string
	output    string
	color     string
	utc       bool
	quiet     bool
}

// run executes the command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	return a.report(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "hodei",
		Short: "A job server that can tell you why",
		Long: `A job server whose every fact is in one log.

Examples:
  hodei dev                          start a server and a worker here
  hodei run -- make test             run a job, see its output, exit as it did

  hodei job list                     what waits, runs, ended
  hodei events -f                    everything that happens, as it happens`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		Args:              cobra.NoArgs,
		PersistentPreRunE: a.begin,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	f := root.PersistentFlags()
	f.StringVar(&a.server, "server", "", "server's `URL` (HODEI_API_URL; default http://127.0.0.1:8080)")
	f.StringVar(&a.tokenFile, "token-file", "", "`file` with the API token (HODEI_API_TOKEN holds a token itself)")
	f.StringVarP(&a.namespace, "namespace", "n", "", "`namespace` (HODEI_NAMESPACE; default: what the token allows)")
	f.StringVarP(&a.output, "output", "o", "table", "`form`: table or json")
	f.StringVar(&a.color, "color", "auto", "colours: auto, always or never (NO_COLOR is obeyed)")
	f.BoolVar(&a.utc, "utc", false, "show times in UTC")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "only the answer, no hints")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(a.cmdDev(), a.cmdServer(), a.cmdRun(), a.cmdJob(), a.cmdLogs(), a.cmdWorker(),
		a.cmdQueue(), a.cmdEvents(), a.cmdBench(), a.cmdVersion())
	return root
}

// begin checks the flags of all commands.
func (a *app) begin(c *cobra.Command, _ []string) error {
	switch a.color {
	case "auto", "always", "never":
	default:
		return usage("--color is %q; it may be auto, always or never", a.color)
	}
	if f := c.Flags().Lookup("output"); f != nil && a.output != "table" && a.output != "json" {
		return usage("--output is %q; it may be table or json", a.output)
	}
	a.out, a.err = a.style(a.stdout), a.style(a.stderr)
	return nil
}

func (a *app) style(w io.Writer) term.Style {
	if f, ok := w.(*os.File); ok {
		return term.Detect(f, a.color)
	}
	return term.Style{Unicode: true, Colours: a.color == "always"}
}

// note writes a line for people, which is not part of the answer.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// client returns the API's client, from flags, environment and files.
func (a *app) client() (*client.Client, error) {
	c, err := loadAccess(a.server, a.tokenFile)
	if err != nil {
		return nil, err
	}
	cl, err := client.New(client.Config{URL: c.url, Token: c.token})
	if err != nil {
		return nil, usage("%v", err)
	}
	return cl, nil
}

func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return &exitError{code: exitUsage, err: err, help: "all flags: " + c.CommandPath() + " --help"}
	}
	name := unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		return &exitError{code: exitUsage, err: fmt.Errorf("unknown flag -%s", name), help: "all flags: " + c.CommandPath() + " --help"}
	}
	help := "all flags: " + c.CommandPath() + " --help"
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := nearest(name, names); near != "" {
		help = "did you mean --" + near + "? " + help
	}
	return &exitError{code: exitUsage, err: fmt.Errorf("unknown flag --%s", name), help: help}
}

// nearest returns the name that is at most two edits away from word, or "".
func nearest(word string, names []string) string {
	best, at := "", 3
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

// noArgs and oneArg check a command's arguments and say what is expected.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &exitError{code: exitUsage, err: fmt.Errorf("%s takes no argument, got %q", c.CommandPath(), args[0]), help: c.CommandPath() + " --help"}
	}
	return nil
}

func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return &exitError{code: exitUsage, err: fmt.Errorf("%s takes one %s, got %d", c.CommandPath(), what, len(args)), help: c.CommandPath() + " --help"}
		}
		return nil
	}
}

// parent is a command that only has others below it.
func parent(use, short, examples string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: short + ".\n\nExamples:\n" + examples}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		var names []string
		for _, ch := range children {
			names = append(names, ch.Name())
		}
		help := "one of: " + strings.Join(names, ", ")
		if near := nearest(args[0], names); near != "" {
			help = "did you mean " + c.CommandPath() + " " + near + "?"
		}
		return &exitError{code: exitUsage, err: fmt.Errorf("unknown command %q for %s", args[0], c.CommandPath()), help: help}
	}
	c.AddCommand(children...)
	return c
}
