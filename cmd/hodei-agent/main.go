// Command hodei-agent runs jobs on this machine for a Hodei server.
//
// It is two processes of one binary. The first is the guard: it starts the
// second, the agent, and waits. When the agent dies, the guard kills the jobs it
// leaves behind. Lists of processes show it as "hodei-agent guard".
//
//	hodei-agent (guard) ── hodei-agent (agent) ── job ── …
//	                                           └─ job
//
// Within a job it is also a tool for the job's steps: hodei-agent mask. And it
// measures its own masking, for hodei bench: hodei-agent bench.
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
	"strconv"
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
	gateVariable    = "HODEI_GATE"    // set in the guard: the descriptor of its gate
	tokenDescriptor = 3               // where the agent reads its token
	memoryLimit     = 32 << 20        // beyond which the garbage collector works harder
	guardMemory     = 4 << 20
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case maskCommand:
			os.Exit(maskSecret(os.Args[2:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
		case benchCommand:
			os.Exit(bench(os.Args[2:], os.Stdout, os.Stderr))
		}
	}
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

// passGate waits until whoever started this agent has noted that it runs. One
// that died before that would never find it again.
func passGate() error {
	number := os.Getenv(gateVariable)
	if number == "" {
		return nil
	}
	fd, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("%s=%s is no descriptor", gateVariable, number)
	}
	gate := os.NewFile(uintptr(fd), "gate")
	defer gate.Close()
	if _, err := io.ReadFull(gate, make([]byte, 1)); err != nil {
		return fmt.Errorf("whoever started this agent ended before it had noted that: %w", err)
	}
	return nil
}

// guard takes the token out of the environment and watches over the agent.
func guard(o options) int {
	debug.SetMemoryLimit(guardMemory)
	if err := passGate(); err != nil {
		return complain(err, exitFailed)
	}
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
		Env:   append(without(os.Environ(), tokenVariable, tokenFileVariable, guardedVariable, gateVariable), guardedVariable+"=true"),
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
	program, err := os.Executable()
	if err != nil {
		return complain(err, exitFailed)
	}
	a, err := agent.Open(agent.Config{
		Server:      o.server,
		Token:       string(token),
		StateDir:    o.stateDir,
		Facts:       o.facts,
		Environment: os.Environ(),
		Program:     program,
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
