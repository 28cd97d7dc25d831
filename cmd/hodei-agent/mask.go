package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
	"github.com/hodei-jobs/hodei/agentproto/agent/mask/socket"
)

const (
	maskCommand = "mask"
	// exitNotMasked is exitRefused as steps see it.
	exitNotMasked = exitRefused
)

const maskUsage = `hodei-agent mask hides a secret in what this job prints from now on.

  some-command | hodei-agent mask
  hodei-agent mask - < FILE
  hodei-agent mask [--] VALUE

It is for the steps of a job. Give the secret on standard input: other users of
this machine can see what stands on a command line. It may be any bytes, several
lines among them, up to 65,536; white space around it is left out. What is given
is one secret as a whole; of several lines, those that tell something are hidden
when they are printed alone, too.

When it returns, the secret is shown as *** wherever the job prints it, also in
base64, in hex, and quoted for URLs, JSON, XML, shells and Go. What was printed
before stays. It guards against accidents, not against a job that means to give
its secrets away.

Environment:
  HODEI_AGENT_SOCKET  where the agent listens; every step has it

Exit status: 0 masked, 1 the agent can't be reached, 2 wrong usage, 3 not masked,
because it is too short or too long or there are too many.
`

// maskSecret is what a step runs. It says nothing of the secret itself.
func maskSecret(args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	refuse := func(err error, status int) int {
		fmt.Fprintf(stderr, "hodei-agent mask: %v\n", err)
		return status
	}
	secret, err := secretOf(args, stdin)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, maskUsage)
		return exitDone
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "hodei-agent mask: %v\nhodei-agent mask --help tells more.\n", err)
		return exitUsage
	case err != nil:
		return refuse(err, exitFailed)
	}
	path := getenv(socket.Variable)
	if path == "" {
		return refuse(fmt.Errorf("%s is not set; only a step of a job can do this", socket.Variable), exitUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	unused, err := socket.Mask(ctx, path, secret)
	var refused *socket.NotMaskedError
	switch {
	case errors.As(err, &refused):
		return refuse(err, exitNotMasked)
	case err != nil:
		return refuse(err, exitFailed)
	case len(unused) > 0:
		fmt.Fprintf(stderr, "hodei-agent mask: masked, but it is so short that some of these forms are not: %s\n", strings.Join(unused, ", "))
	}
	return exitDone
}

var errUsage = errors.New("wrong usage")

// secretOf is the value on the command line, or what standard input has. No error
// repeats any of it.
func secretOf(args []string, stdin io.Reader) ([]byte, error) {
	flags := flag.NewFlagSet(maskCommand, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, errHelp
	case err != nil:
		return nil, fmt.Errorf("%w: a value that begins with - comes after --, or on standard input", errUsage)
	case flags.NArg() > 1:
		return nil, fmt.Errorf("%w: %d values, at most one", errUsage, flags.NArg())
	}
	if value := flags.Arg(0); flags.NArg() == 1 && (value != "-" || args[0] == "--") {
		return []byte(value), nil
	}
	// One byte more than may be masked tells that it is too long.
	secret, err := io.ReadAll(io.LimitReader(stdin, mask.MaxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read standard input: %w", err)
	}
	return secret, nil
}
