package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/cmd/hodei/jobfile"
)

// runFlags are what run can set of a job. Each is written into the spec under
// its own name, and the server checks it.
type runFlags struct {
	file                 string
	name                 string
	env, label, requires []string
	secret, secretFrom   []string
	cpu, memory, disk    string
	priority             int
	timeout              string
	retries              int
	retryOn              []string
	backoff              string
	cancelSignal, grace  string
	shell                string
	noTTY, exclusive     bool
	detach, raw          bool
	key, result          string
	word                 string // the command line, if it is one word that looks like several
	logLimit             string
	relative             string // the program's whole path, if it was named from here
}

func (a *app) cmdRun() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use: "run [flags] -- CMD ARG…", Short: "Run a job, follow its output, exit as it did",
		Example: `  hodei run -- sh -c 'cd ~/shop && make test'
  hodei run --cpu 2 --memory 2Gi --requires gpu=a10 -- /srv/ml/train.sh
  hodei run --secret-from DB_PASSWORD=db-password -- /srv/deploy.sh
  hodei run -f job.yaml --detach`,
		Long: `A job runs in an empty folder of its own, and reads no input: name programs that
PATH does not find by their whole path; cd to what they work on, or fetch it.

The job's output is on standard output, byte by byte in a pipe; what becomes of
the job is told on standard error. The first Ctrl-C cancels the job and goes on
following it; the second leaves. It is cancelled too if whoever reads the output
goes away, as in run … | head, or the terminal is closed; --detach is for jobs
that are to go on. With -o json errors are JSON and nothing else is told beside
the output; --result keeps the job's. Job files: docs/job-file.md.`,
		Annotations: map[string]string{footer: jobExitCodes},
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := f.spec(c, args)
			if err == nil {
				err = f.rules(c, spec)
			}
			if err != nil {
				return err
			}
			return a.runJob(c.Context(), &f, spec)
		},
	}
	c.Flags().SetInterspersed(false)
	c.Flags().StringVarP(&f.file, "file", "f", "", "read the job from a YAML or JSON `FILE` (- is standard input); flags win over it, -- CMD over its command")
	f.register(c)
	return a.withProgress(c)
}

// register gives a command the flags of a job but for its file.
func (f *runFlags) register(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.name, "name", "", "`NAME` of the job (default: from the command)")
	fl.StringArrayVarP(&f.env, "env", "e", nil, "set a variable, `NAME=VALUE`; NAME alone takes it from here")
	fl.StringArrayVar(&f.secret, "secret", nil, "a variable whose value is not shown, `NAME=VALUE`; NAME alone takes it from here, where nobody sees it")
	fl.StringArrayVar(&f.secretFrom, "secret-from", nil, "likewise, from a stored secret, `NAME=SECRET` or NAME=SECRET:VERSION")
	fl.StringArrayVarP(&f.label, "label", "l", nil, "what the job is, `KEY=VALUE`")
	fl.StringArrayVar(&f.requires, "requires", nil, "label the worker must have, `KEY=VALUE`; also os=… and arch=…")
	fl.StringVar(&f.cpu, "cpu", "", "`CPUS` it needs, such as 500m or 2")
	fl.StringVar(&f.memory, "memory", "", "`SIZE` of memory it needs, such as 512Mi or 2Gi")
	fl.StringVar(&f.disk, "disk", "", "`SIZE` of disk it needs, such as 10Gi")
	fl.IntVar(&f.priority, "priority", 0, "`N` from -100 to 100; higher goes first")
	fl.StringVar(&f.timeout, "timeout", "", "`TIME` an attempt may take, such as 30m (default: no limit)")
	fl.IntVar(&f.retries, "retries", 0, "it may be tried again `N` times (default: never)")
	fl.StringSliceVar(&f.retryOn, "retry-on", nil, "`CAUSES` after which it is, such as exit,lost,timed_out (default: all)")
	fl.StringVar(&f.backoff, "backoff", "", "`TIME` to wait before the first retry, such as 10s; doubles each time")
	fl.StringVar(&f.cancelSignal, "cancel-signal", "", "`SIGNAL` that asks it to stop (default TERM)")
	fl.StringVar(&f.grace, "grace", "", "`TIME` from that signal to KILL (default 10s)")
	fl.StringVar(&f.shell, "shell", "", "`SHELL` for command and steps of the file (default /bin/sh)")
	fl.BoolVar(&f.noTTY, "no-tty", false, "pipes instead of a terminal; standard error stays apart")
	fl.StringVar(&f.logLimit, "log-limit", "", "`SIZE` of the output that is kept, such as 1Gi (default 256Mi)")
	fl.BoolVar(&f.exclusive, "exclusive", false, "never two attempts at once, even if a worker is lost")
	fl.BoolVarP(&f.detach, "detach", "d", false, "only submit it and print its id")
	fl.BoolVar(&f.raw, "raw", false, "let all bytes reach the terminal, harmful ones too")
	fl.StringVar(&f.key, "idempotency-key", "", "the same `KEY` again gives the same job, for a week")
	fl.StringVar(&f.result, "result", "", "keep the ended job's JSON in a `FILE`")
}

// spec builds the job's spec from the file and the flags, and checks it as the
// server will.
func (f *runFlags) spec(c *cobra.Command, args []string) (map[string]any, error) {
	if len(args) == 0 && f.file == "" {
		return nil, &exitError{code: exitUsage, err: errors.New("nothing to run"), help: "hodei run -- CMD ARG…    or: hodei run -f job.yaml"}
	}
	built := map[string]any{}
	if f.file != "" {
		if err := f.load(&built); err != nil {
			return nil, err
		}
	}
	if len(args) > 0 {
		if _, ok := built["steps"]; ok {
			return nil, &exitError{code: exitUsage, err: fmt.Errorf("%s has steps, and -- names another command", f.file), help: "leave one of them out"}
		}
		delete(built, "command")
		built["argv"] = args
		if len(args) == 1 && strings.ContainsAny(args[0], " |&;<>$*") { // a shell would do that
			f.word = args[0]
		}
		f.relative = wholePath(args[0])
	}
	if err := f.apply(c, built); err != nil {
		return nil, err
	}
	b, err := json.Marshal(built)
	if err != nil {
		return nil, err
	}
	if _, err = spec.Parse(b); err != nil {
		return nil, f.explain(c, err)
	}
	return built, nil
}

func (f *runFlags) load(into *map[string]any) error {
	data, name, err := readFile(f.file)
	if err != nil {
		return &exitError{code: exitUsage, err: fmt.Errorf("cannot read the job from %s: %s", name, reason(err)), help: "name a file that can be read, or - for standard input"}
	}
	parsed, err := jobfile.Parse(name, data)
	if err != nil {
		return explainFile(err)
	}
	return json.Unmarshal(parsed, into)
}

// explain tells of a spec's faults in the words of the flags that set them.
func (f *runFlags) explain(c *cobra.Command, err error) error {
	var fe *fault.Error
	if !errors.As(err, &fe) || len(fe.Fields) == 0 {
		return &exitError{code: exitUsage, err: err, help: "all flags: " + c.CommandPath() + " --help"}
	}
	e := &exitError{code: exitUsage, help: "all flags: " + c.CommandPath() + " --help"}
	for i, d := range fe.Fields {
		text := f.nameOf(c, d.Location) + ": " + d.Message
		if i == 0 {
			e.err = errors.New(text)
			continue
		}
		e.also = append(e.also, finding{text: text})
	}
	return e
}

// nameOf is the flag that set what stands at a location, or the location.
func (f *runFlags) nameOf(c *cobra.Command, location string) string {
	if flag := f.secretFlag(location); flag != "" {
		return flag
	}
	for _, s := range f.settings() {
		if c.Flags().Changed(s.flag) && strings.HasPrefix(location, strings.Join(s.path, ".")) {
			return "--" + s.flag
		}
	}
	return location
}

// specSetting is a flag with the field of the spec that it sets.
type specSetting struct {
	flag  string
	value any
	path  []string
}

func (f *runFlags) settings() []specSetting {
	return []specSetting{
		{"name", f.name, []string{"name"}},
		{"env", f.env, []string{"env"}},
		{"label", f.label, []string{"labels"}},
		{"requires", f.requires, []string{"requires"}},
		{"cpu", f.cpu, []string{"resources", "cpu"}},
		{"memory", f.memory, []string{"resources", "memory"}},
		{"disk", f.disk, []string{"resources", "disk"}},
		{"priority", f.priority, []string{"priority"}},
		{"timeout", f.timeout, []string{"timeout"}},
		{"retries", f.retries, []string{"retries", "max"}},
		{"retry-on", f.retryOn, []string{"retries", "on"}},
		{"backoff", f.backoff, []string{"retries", "backoff"}},
		{"cancel-signal", f.cancelSignal, []string{"cancel", "signal"}},
		{"grace", f.grace, []string{"cancel", "grace"}},
		{"shell", f.shell, []string{"shell"}},
		{"no-tty", !f.noTTY, []string{"tty"}},
		{"exclusive", f.exclusive, []string{"exclusive"}},
		{"log-limit", f.logLimit, []string{"log_limit"}},
	}
}

// apply sets what the flags say over what the file said.
func (f *runFlags) apply(c *cobra.Command, built map[string]any) error {
	if err := f.applySecrets(built); err != nil {
		return err
	}
	for _, s := range f.settings() {
		if !c.Flags().Changed(s.flag) {
			continue
		}
		pairs, ok := s.value.([]string)
		if !ok || s.flag == "retry-on" {
			put(built, s.value, s.path...)
			continue
		}
		for _, text := range pairs {
			key, value, err := pair(s.flag, text)
			if err != nil {
				return err
			}
			put(built, value, append(s.path, key)...)
		}
	}
	return nil
}

// pair splits NAME=VALUE; --env takes the value of a NAME alone from here.
func pair(flag, text string) (key, value string, err error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok && flag == "env" {
		if value, ok = os.LookupEnv(key); ok && !utf8.ValidString(value) {
			return "", "", usage("--env %s is not UTF-8: the variable here is %s", key, value)
		}
	}
	if !ok || key == "" {
		form := map[bool]string{true: "NAME=VALUE", false: "KEY=VALUE"}[flag == "env"]
		return "", "", &exitError{code: exitUsage, err: fmt.Errorf("--%s %q has no value", flag, text), help: "write it as " + form}
	}
	return key, value, nil
}

// put sets a value in nested objects.
func put(m map[string]any, value any, path ...string) {
	for _, p := range path[:len(path)-1] {
		next, ok := m[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[p] = next
		}
		m = next
	}
	m[path[len(path)-1]] = value
}
