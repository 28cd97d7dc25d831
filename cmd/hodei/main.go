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
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

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
	timeout   time.Duration // 0 is none

	// Flags of some commands, see flags.go and ask.go.
	progress      string
	chosen        []string // columns
	allNamespaces bool
	watch         bool
	yes, noInput  bool

	command *cobra.Command  // that runs
	access  access          // found by client
	emitted bool            // a value was written
	limited context.Context // of the command, if it has a timeout
	release func()          // ends limited

	// Tests set these; else they are what the operating system says.
	now      func() time.Time
	detected func(w io.Writer) term.Style
	browser  func(address string) error
}

// run executes the command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) (code int) {
	if a.now == nil {
		a.now = time.Now
	}
	defer func() {
		if p := recover(); p != nil {
			code = a.report(&exitError{code: exitBug, err: fmt.Errorf("a bug in hodei: %v", p), help: "please report it with what follows", last: string(debug.Stack())})
		}
	}()
	a.begin() // so that an error in the flags is told in style
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if a.release != nil {
		defer a.release()
	}
	if err != nil {
		if a.command == nil { // it failed before all flags were read
			a.output = first(wantedForm(args), a.output)
		}
		return a.report(err)
	}
	return exitOK
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "hodei",
		Short: "A job server that can tell you why",
		Example: `  hodei dev                   start a server and a worker here
  hodei run -- echo hello     run a job, see its output, exit as it did
  hodei job list              what runs, what waits and why, what ended and how`,
		Annotations:   map[string]string{footer: exitCodes},
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          unknownCommand,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			a.command = c
			a.begin()
			return a.checkFlags(c)
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(helpTemplate)
	root.SetHelpCommand(a.cmdHelp())
	root.Version = version
	root.SetVersionTemplate(versionLine() + "\n")
	root.Flags().BoolP("version", "v", false, "show the version of this binary")
	root.CompletionOptions.DisableDefaultCmd = true
	f := root.PersistentFlags()
	f.StringVar(&a.server, "server", "", "`URL` of the server (HODEI_API_URL; default: the hodei dev started last, else "+defaultURL+")")
	f.StringVar(&a.tokenFile, "token-file", "", "`FILE` with the API token (HODEI_TOKEN_FILE; HODEI_API_TOKEN holds a token itself)")
	f.StringVarP(&a.namespace, "namespace", "n", "", "`NAME` of the namespace (HODEI_NAMESPACE; default: what the token allows)")
	f.StringVarP(&a.output, "output", "o", "table", "`FORM` of answers and errors: table, json, yaml, or name: ids alone")
	f.StringVar(&a.color, "color", "auto", "`WHEN` there are colours: auto, always or never (NO_COLOR is obeyed)")
	f.BoolVar(&a.utc, "utc", false, "show times in UTC")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "only the answer: no hints, no progress")
	f.DurationVar(&a.timeout, "timeout", 0, "give up after `TIME`, such as 30s (that of run and rerun is the job's)")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(ignoring(a.cmdDev(), noServer+" output utc"), a.cmdRun(), a.cmdLogs(), a.cmdStatus(), a.cmdOpen(), a.cmdJob(), a.cmdQueue(), ignoring(a.cmdWorker(), noNamespace),
		a.cmdSecret(), ignoring(a.cmdLogin(), "token-file namespace timeout"), ignoring(a.cmdLogout(), "token-file namespace"), a.cmdToken(), ignoring(a.cmdNamespace(), noNamespace), ignoring(a.cmdEvents(), noNamespace), ignoring(a.cmdSettings(), noNamespace), ignoring(a.cmdServer(), noServer+" output utc"), ignoring(a.cmdDoctor(), noNamespace), ignoring(a.cmdBench(), noServer+" utc"), ignoring(a.cmdCompletion(), noServer+" output utc"), ignoring(a.cmdVersion(), noServer+" utc"))
	helpFlags(root)
	a.completions(root)
	return root
}

// begin finds out how the two outputs are spoken to.
func (a *app) begin() { a.out, a.err = a.style(a.stdout), a.progressive(a.style(a.stderr)) }

// maxPage is how many items the server puts on a page at most.
const maxPage = 1000

// checkFlags checks the flags of all commands.
func (a *app) checkFlags(c *cobra.Command) error {
	switch a.color {
	case "auto", "always", "never":
	default:
		return usage("--color is %q; it may be auto, always or never", a.color)
	}
	if !slices.Contains(forms, a.output) {
		err := usage("--output is %q; it may be table, json, yaml or name", a.output)
		a.output = "table"
		return err
	}
	if limit, err := c.Flags().GetInt("limit"); err == nil && (limit < 1 || limit > maxPage) {
		return usage("--limit is %d; it may be 1 to %d", limit, maxPage)
	}
	for _, check := range []func(*cobra.Command) error{a.refuseNames, refuseIgnored, refuseNoText, a.checkProgress, a.checkNamespaces, a.within} {
		if err := check(c); err != nil {
			return err
		}
	}
	return nil
}

var (
	longOut  = regexp.MustCompile(`^--output=(json|yaml)$`)
	formOut  = regexp.MustCompile(`^-[a-zA-Z]*o=?(json|yaml)$`)
	shortOut = regexp.MustCompile(`^(--output|-[a-zA-Z]*o)$`)
)

// wantedForm returns the form for programs that the arguments ask for, before they
// are understood, or "".
func wantedForm(args []string) string {
	for i, text := range args {
		if text == "--" {
			return ""
		}
		for _, pattern := range []*regexp.Regexp{longOut, formOut} {
			if m := pattern.FindStringSubmatch(text); m != nil {
				return m[1]
			}
		}
		if (text == "json" || text == "yaml") && i > 0 && shortOut.MatchString(args[i-1]) {
			return text
		}
	}
	return ""
}

func (a *app) style(w io.Writer) term.Style {
	if a.detected != nil {
		return a.detected(w)
	}
	if f, ok := w.(*os.File); ok {
		return term.Detect(f, a.color)
	}
	return term.Style{Unicode: true, Colours: a.color == "always"}
}

// note writes a line for people, which is not part of the answer. With -o json
// and -o yaml programs read, and errors alone are told.
func (a *app) note(format string, args ...any) {
	if !a.programs() {
		a.tell(format, args...)
	}
}

// tell writes a line for people of what takes long, whatever form the answer has.
func (a *app) tell(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// untilInterrupted returns a context that ends at the first SIGINT or SIGTERM.
// The second ends the process at once: a server loses nothing by that.
func untilInterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
