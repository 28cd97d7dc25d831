// Package spec is what a user may ask for: one job. It reads a spec strictly (an
// unknown field, a wrong type, a value beyond a limit is refused, all of them at
// once and each with its place), fills in what was left out, and has one
// canonical form, which is what the log keeps.
//
// A spec is checked when it is submitted, and never again: what was once accepted
// is read from the log whatever the limits are by then.
package spec

import (
	"github.com/hodei-jobs/hodei/aggregates/resource"
)

// Limits of a spec.
const (
	MaxSpecBytes = 256 << 10 // bytes of the text
	MaxName      = 128       // bytes of a job's or step's name
	MaxNamespace = 63        // bytes of a namespace's or pool's name
	MaxSteps     = 1000
	MaxArgv      = 1024        // arguments
	MaxArg       = 128<<10 - 1 // bytes of one argument or script, and of one NAME=value: Linux takes no longer
	MaxEnv       = 512         // variables, of the job or of a step
	MaxEnvKey    = 128         // bytes
	MaxPriority  = 100         // and -100 is the least
	MaxRetries   = 100
	MaxTimeout   = 30 * Day
	MaxBackoff   = Day
	MaxGrace     = Hour
	MinLogLimit  = resource.Bytes(4 << 10)
	MaxLogLimit  = resource.Bytes(64 << 30)
)

// What is taken where nothing is said.
const (
	DefaultNamespace = "default"
	DefaultShell     = "/bin/sh"
	DefaultCPU       = resource.CPU(100)
	DefaultSignal    = "TERM"
	DefaultGrace     = 10 * Second

	DefaultLogLimit = resource.Bytes(256 << 20)
)

// Spec is a job as its user asks for it. Exactly one of Command, Steps and Argv
// is set. It must not be changed once it is shared.
type Spec struct {
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Pool      string `json:"pool,omitempty"` // of workers it may run on; empty is any worker that is in none

	Command string   `json:"command,omitempty"` // a script for Shell
	Steps   []Step   `json:"steps,omitempty"`   // scripts for Shell, in order
	Argv    []string `json:"argv,omitempty"`    // a program and its arguments, without a shell

	Shell string            `json:"shell,omitempty"` // its words, -c and the script are executed
	TTY   *bool             `json:"tty,omitempty"`   // output through a terminal; nil is yes
	Env   map[string]string `json:"env,omitempty"`

	Secrets map[string]Secret `json:"secrets,omitempty"` // by variable

	Labels    resource.Labels `json:"labels,omitempty"`   // of the job, to find it by
	Requires  resource.Labels `json:"requires,omitempty"` // of the worker; os and arch are its own
	Resources resource.Amount `json:"resources,omitzero"`

	Priority  int32    `json:"priority,omitempty"`
	Timeout   Duration `json:"timeout,omitempty"` // of one attempt; 0 is none
	Retries   Retries  `json:"retries,omitzero"`
	Cancel    Cancel   `json:"cancel,omitzero"`
	Exclusive bool     `json:"exclusive,omitempty"` // never two attempts at once, whatever happens to a worker

	LogLimit resource.Bytes `json:"log_limit,omitzero"` // of output kept of one attempt; 0 is DefaultLogLimit
}

// Step is one script of a job.
type Step struct {
	Name            string            `json:"name,omitempty"`
	Run             string            `json:"run"`
	Env             map[string]string `json:"env,omitempty"` // over the job's
	Timeout         Duration          `json:"timeout,omitempty"`
	ContinueOnError bool              `json:"continue_on_error,omitempty"`
}

// Retries says after which ends a job is tried again.
type Retries struct {
	Max     uint32   `json:"max,omitempty"`
	On      []string `json:"on,omitempty"`      // Causes; empty is all of them
	Backoff Duration `json:"backoff,omitempty"` // before the first; doubles each time, up to MaxBackoff
}

// IsZero reports whether nothing is set.
func (r Retries) IsZero() bool { return r.Max == 0 && len(r.On) == 0 && r.Backoff == 0 }

// Cancel is how a running attempt is stopped: Signal, and after Grace KILL.
type Cancel struct {
	Signal string   `json:"signal,omitempty"` // one of Signals
	Grace  Duration `json:"grace,omitempty"`
}

// Causes are the ends after which a job can be tried again, sorted.
var Causes = []string{
	"cannot_start", "disk_full", "exit", "log_lost", "lost", "out_of_memory",
	"secret_unavailable", "signal", "stopped_by_worker", "timed_out",
}

// Signals are the signals a job can be stopped with, sorted.
var Signals = []string{"HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"}

// Exec is one program to execute: what a worker gets.
type Exec struct {
	Name            string
	Argv            []string
	Env             map[string]string // over the job's
	Timeout         Duration          // 0 is none
	ContinueOnError bool
}

// ExecSteps returns what is to be executed, in order: at least one program. A
// script becomes the words of the shell, -c and the script.
func (s Spec) ExecSteps() []Exec {
	switch {
	case len(s.Argv) > 0:
		return []Exec{{Name: s.Name, Argv: s.Argv}}
	case len(s.Steps) == 0:
		return []Exec{{Name: s.Name, Argv: s.script(s.Command)}}
	}
	steps := make([]Exec, len(s.Steps))
	for i, t := range s.Steps {
		steps[i] = Exec{
			Name: t.Name, Argv: s.script(t.Run), Env: t.Env,
			Timeout: t.Timeout, ContinueOnError: t.ContinueOnError,
		}
	}
	return steps
}

// KeptOutput is how many bytes of one attempt's output are kept.
func (s Spec) KeptOutput() uint64 {
	if s.LogLimit == 0 {
		return uint64(DefaultLogLimit)
	}
	return uint64(s.LogLimit)
}

// WantsTTY reports whether its output goes through a terminal.
func (s Spec) WantsTTY() bool { return s.TTY == nil || *s.TTY }
