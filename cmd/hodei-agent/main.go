// Command hodei-agent runs jobs on this machine for a Hodei server.
//
// It is two processes of one binary. The first is the guard: it starts the
// second, the agent, and waits. When the agent dies, the guard kills the jobs it
// leaves behind. Lists of processes show it as "hodei-agent guard".
//
//	hodei-agent (guard) ── hodei-agent (agent) ── job ── …
//	                                           └─ job
//
// The token reaches the agent through a pipe, so that it is in no environment
// and on no command line that a job could read.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/hodei-jobs/hodei/agentproto/agent"
	"github.com/hodei-jobs/hodei/agentproto/agent/cgroup"
	"github.com/hodei-jobs/hodei/agentproto/agent/credential"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/build"
)

// Exit statuses; see usage.
const (
	exitDone       = 0
	exitFailed     = 1
	exitUsage      = 2
	exitRefused    = 3
	exitSuperseded = 4
	exitInUse      = 5
)

const (
	guardedVariable = "HODEI_GUARDED" // set in the agent, not in the guard
	tokenDescriptor = 3               // where the agent reads its token
	memoryLimit     = 32 << 20        // beyond which the garbage collector works harder
	guardMemory     = 4 << 20
)

func main() {
	options, err := parse(os.Args[1:], os.Getenv)
	switch {
	case errors.Is(err, errHelp):
		fmt.Print(usage)
		os.Exit(exitDone)
	case err != nil:
		fmt.Fprintf(os.Stderr, "hodei-agent: %v\nhodei-agent --help tells more.\n", err)
		os.Exit(exitUsage)
	case options.version:
		fmt.Println("hodei-agent " + build.Name() + ", " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH)
		os.Exit(exitDone)
	}
	if os.Getenv(guardedVariable) == "" {
		os.Exit(guard(options))
	}
	os.Exit(run(options))
}

// guard takes the token out of the environment and watches over the agent.
func guard(o options) int {
	debug.SetMemoryLimit(guardMemory)
	token, err := takeToken()
	if err != nil {
		return complain(err, exitUsage)
	}
	os.Args = copied(os.Args)
	entitle() // while its memory may still be written
	if err := process.Harden(); err != nil {
		return complain(err, exitFailed)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return complain(err, exitFailed)
	}
	// A token is far smaller than a pipe holds, so this doesn't wait.
	_, err = io.WriteString(write, token)
	write.Close()
	if err != nil {
		return complain(err, exitFailed)
	}
	status, err := process.Guard(process.Guarded{
		Argv:  os.Args,
		Env:   append(without(os.Environ(), tokenVariable, tokenFileVariable, guardedVariable), guardedVariable+"=true"),
		Files: []*os.File{read},
	})
	if err != nil {
		return complain(err, exitFailed)
	}
	return status
}

// run is the agent.
func run(o options) int {
	_ = os.WriteFile("/proc/self/comm", []byte("hodei-agent"), 0) // it was started as /proc/self/exe
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	debug.SetMemoryLimit(memoryLimit)
	if err := process.Harden(); err != nil {
		return complain(err, exitFailed)
	}
	pipe := os.NewFile(tokenDescriptor, "token")
	token, err := io.ReadAll(pipe)
	pipe.Close()
	if err != nil {
		return complain(fmt.Errorf("cannot read the token from the guard: %w", err), exitFailed)
	}
	host, err := process.NewHost(cgroup.Self().OOMKills)
	if err != nil {
		return complain(err, exitFailed)
	}
	a, err := agent.Open(agent.Config{
		Server:      o.server,
		Token:       string(token),
		StateDir:    o.stateDir,
		Facts:       o.facts,
		Environment: os.Environ(),
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}, host)
	if err != nil {
		return complain(err, statusOf(err, exitUsage))
	}
	if err := a.Run(ctx); err != nil {
		return complain(err, statusOf(err, exitFailed))
	}
	return exitDone
}

func statusOf(err error, otherwise int) int {
	var refused *agent.RefusedError
	switch {
	case errors.As(err, &refused):
		return exitRefused
	case errors.Is(err, agent.ErrSuperseded):
		return exitSuperseded
	case errors.Is(err, credential.ErrInUse):
		return exitInUse
	}
	return otherwise
}

func complain(err error, status int) int {
	fmt.Fprintf(os.Stderr, "hodei-agent: %v\n", err)
	return status
}

func without(environment []string, names ...string) []string {
	var kept []string
next:
	for _, variable := range environment {
		for _, name := range names {
			if strings.HasPrefix(variable, name+"=") {
				continue next
			}
		}
		kept = append(kept, variable)
	}
	return kept
}
