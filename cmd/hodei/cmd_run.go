package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/cmd/hodei/jobfile"
)

// runFlags are what run can set of a job. Each is written into the spec under
// its own name, and the server checks it.
type runFlags struct {
	file                 string
	name                 string
	env, label, requires []string
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
}

func (a *app) cmdRun() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [flags] -- CMD ARG…",
		Short: "Run a job, follow its output, exit as it did",
		Long: `Run a job, follow its output, and exit with the job's exit code.

Examples:
  hodei run -- make test
  hodei run --cpu 2 --memory 2Gi --requires gpu=a10 --timeout 30m -- ./train.sh
  hodei run -f job.yaml --detach

The first Ctrl-C cancels the job and goes on following it; the second leaves.
Exit codes: the job's own; 128+N if signal N ended it; 124 its time limit;
125 no result (refused, unreachable, lost); 130 cancelled here, 143 elsewhere.`,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := f.spec(c, a.namespace, args)
			if err != nil {
				return err
			}
			return a.runJob(c.Context(), spec, f)
		},
	}
	f.register(c)
	return c
}

func (f *runFlags) register(c *cobra.Command) {
	fl := c.Flags()
	fl.SetInterspersed(false)
	fl.StringVarP(&f.file, "file", "f", "", "read the job from a YAML or JSON `file` (- is standard input); flags win over it")
	fl.StringVar(&f.name, "name", "", "`name` of the job (default: from the command)")
	fl.StringArrayVarP(&f.env, "env", "e", nil, "set a variable, `NAME=VALUE`; NAME alone takes it from here")
	fl.StringArrayVarP(&f.label, "label", "l", nil, "what the job is, `KEY=VALUE`")
	fl.StringArrayVar(&f.requires, "requires", nil, "label the worker must have, `KEY=VALUE`; also os=… and arch=…")
	fl.StringVar(&f.cpu, "cpu", "", "CPUs it needs, such as 500m or 2")
	fl.StringVar(&f.memory, "memory", "", "memory it needs, such as 512Mi or 2Gi")
	fl.StringVar(&f.disk, "disk", "", "disk it needs, such as 10Gi")
	fl.IntVar(&f.priority, "priority", 0, "-100 to 100; higher goes first")
	fl.StringVar(&f.timeout, "timeout", "", "time limit of an attempt, such as 30m")
	fl.IntVar(&f.retries, "retries", 0, "how often it may be tried again")
	fl.StringSliceVar(&f.retryOn, "retry-on", nil, "`causes` after which it is (default: all)")
	fl.StringVar(&f.backoff, "backoff", "", "wait before the first retry, such as 10s; doubles each time")
	fl.StringVar(&f.cancelSignal, "cancel-signal", "", "signal that asks it to stop (default TERM)")
	fl.StringVar(&f.grace, "grace", "", "time from that signal to KILL (default 10s)")
	fl.StringVar(&f.shell, "shell", "", "shell for command and steps of the file")
	fl.BoolVar(&f.noTTY, "no-tty", false, "pipes instead of a terminal; standard error stays apart")
	fl.BoolVar(&f.exclusive, "exclusive", false, "never two attempts at once, even if a worker is lost")
	fl.BoolVarP(&f.detach, "detach", "d", false, "only submit it and print its id")
	fl.BoolVar(&f.raw, "raw", false, "let all bytes reach the terminal")
	fl.StringVar(&f.key, "idempotency-key", "", "the same `key` again gives the same job")
	fl.StringVar(&f.result, "result", "", "keep the ended job's JSON in a `file`")
}

// spec builds the job's spec in JSON from the file and the flags.
func (f *runFlags) spec(c *cobra.Command, namespace string, args []string) ([]byte, error) {
	spec := map[string]any{}
	if f.file != "" {
		if err := f.load(spec); err != nil {
			return nil, err
		}
	}
	if len(args) > 0 {
		delete(spec, "command")
		delete(spec, "steps")
		spec["argv"] = args
	}
	if len(args) == 0 && f.file == "" {
		return nil, &exitError{code: exitUsage, err: errors.New("nothing to run"), help: "hodei run -- CMD ARG…    or: hodei run -f job.yaml"}
	}
	if namespace != "" {
		spec["namespace"] = namespace
	}
	return f.apply(c, spec)
}

func (f *runFlags) load(spec map[string]any) error {
	data, name, err := readFile(f.file)
	if err != nil {
		return usage("cannot read the job: %v", err)
	}
	parsed, err := jobfile.Parse(name, data)
	if err != nil {
		return explainFile(err)
	}
	return json.Unmarshal(parsed, &spec)
}

// apply sets what the flags say over what the file said.
func (f *runFlags) apply(c *cobra.Command, spec map[string]any) ([]byte, error) {
	set := func(flag string, value any, path ...string) {
		if c.Flags().Changed(flag) {
			put(spec, value, path...)
		}
	}
	set("name", f.name, "name")
	set("cpu", f.cpu, "resources", "cpu")
	set("memory", f.memory, "resources", "memory")
	set("disk", f.disk, "resources", "disk")
	set("priority", f.priority, "priority")
	set("timeout", f.timeout, "timeout")
	set("retries", f.retries, "retries", "max")
	set("retry-on", f.retryOn, "retries", "on")
	set("backoff", f.backoff, "retries", "backoff")
	set("cancel-signal", f.cancelSignal, "cancel", "signal")
	set("grace", f.grace, "cancel", "grace")
	set("shell", f.shell, "shell")
	set("no-tty", !f.noTTY, "tty")
	set("exclusive", f.exclusive, "exclusive")
	for _, group := range []struct {
		flag, field string
		values      []string
	}{{"env", "env", f.env}, {"label", "labels", f.label}, {"requires", "requires", f.requires}} {
		for _, v := range group.values {
			key, value, ok := strings.Cut(v, "=")
			if !ok && group.flag == "env" {
				value, ok = os.LookupEnv(key)
			}
			if !ok || key == "" {
				return nil, &exitError{code: exitUsage, err: fmt.Errorf("--%s %q has no value", group.flag, v), help: "write it as NAME=VALUE"}
			}
			put(spec, value, group.field, key)
		}
	}
	return json.Marshal(spec)
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
