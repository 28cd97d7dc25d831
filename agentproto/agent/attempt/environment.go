package attempt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask/socket"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

const (
	ownPrefix    = "HODEI_" // the agent's, and what it tells jobs; a job can't set these
	loaderPrefix = "LD_"    // what is loaded into programs; a job can't set these

	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// WorkspaceVariable names a job's workspace in the environment of its processes.
const WorkspaceVariable = ownPrefix + "WORKSPACE"

// Inherited is what jobs get of the agent's environment: all but what is the
// agent's own.
func Inherited(environment []string) []string {
	kept := []string{"PATH=" + defaultPath}
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, ownPrefix) || name == "PWD" || name == "OLDPWD" || name == "_" {
			continue
		}
		kept = append(kept, variable)
	}
	return kept
}

// defaults are what a job may set otherwise. They keep tools from waiting for a
// person: pagers that page, git asking for a password.
func defaults(tty bool) []string {
	terminal := "TERM=dumb"
	if tty {
		terminal = "TERM=xterm-256color"
	}
	return []string{
		"CI=true", terminal,
		"PAGER=cat", "GIT_PAGER=cat", "MANPAGER=cat", "SYSTEMD_PAGER=cat",
		"GIT_TERMINAL_PROMPT=0",
	}
}

// environment is all that a step gets. Of a name that comes twice the last
// counts, so what a job can't set is at the end.
func (a *Attempt) environment(step int, folder string) []string {
	env := slices.Concat(a.parts.Inherited, defaults(a.assign.GetTty()))
	for _, pair := range slices.Concat(a.assign.GetEnv(), a.assign.GetSteps()[step].GetEnv()) {
		env = append(env, pair.GetKey()+"="+pair.GetValue())
	}
	for _, secret := range a.secrets {
		env = append(env, secret.GetName()+"="+string(secret.GetValue()))
	}
	if trace := a.assign.GetTraceparent(); trace != "" {
		env = append(env, "TRACEPARENT="+trace)
	}
	return dedupe(append(env,
		"PWD="+folder,
		"HODEI=true",
		"HODEI_JOB_ID="+a.key.Job,
		"HODEI_JOB_NAME="+a.assign.GetName(),
		"HODEI_NAMESPACE="+a.assign.GetNamespace(),
		"HODEI_ATTEMPT="+strconv.FormatUint(uint64(a.key.Attempt), 10),
		"HODEI_STEP="+strconv.Itoa(step+1),
		WorkspaceVariable+"="+folder,
		"HODEI_AGENT="+a.parts.Program,
		socket.Variable+"="+a.socket,
	))
}

// dedupe keeps the last value of each name: programs disagree on which of two
// they see.
func dedupe(env []string) []string {
	seen := make(map[string]bool, len(env))
	kept := make([]string, 0, len(env))
	for _, variable := range slices.Backward(env) {
		name, _, _ := strings.Cut(variable, "=")
		if !seen[name] {
			seen[name] = true
			kept = append(kept, variable)
		}
	}
	slices.Reverse(kept)
	return kept
}

// check refuses an assignment that can't be run as it stands.
func check(a *agentprotov1.Assign) error {
	if len(a.GetSteps()) == 0 {
		return fmt.Errorf("it has no steps")
	}
	pairs := slices.Clone(a.GetEnv())
	for i, step := range a.GetSteps() {
		if len(step.GetArgv()) == 0 {
			return fmt.Errorf("step %d has no command", i+1)
		}
		pairs = append(pairs, step.GetEnv()...)
	}
	for _, pair := range pairs {
		if err := checkVariable(pair.GetKey(), pair.GetValue()); err != nil {
			return err
		}
	}
	for _, secret := range a.GetSecrets() {
		if err := checkVariable(secret.GetName(), string(secret.GetValue())); err != nil {
			return err
		}
	}
	return nil
}

// checkVariable says why a variable can't be set, without its value.
func checkVariable(name, value string) error {
	switch {
	case name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00"):
		return fmt.Errorf("%q can't be an environment variable", name)
	case strings.HasPrefix(name, ownPrefix) || strings.HasPrefix(name, loaderPrefix):
		return fmt.Errorf("a job can't set the environment variable %s", name)
	}
	return nil
}
