package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hodei-jobs/hodei/agentproto/agent"
	"github.com/hodei-jobs/hodei/agentproto/build"
)

const usage = `hodei-agent runs jobs on this machine for a Hodei server.

Examples:
  export HODEI_SERVER_URL=grpcs://host:9090
  HODEI_WORKER_TOKEN_FILE=worker.token hodei-agent
  hodei-agent --label disk=ssd --cpu 4

The first time it needs a token, which hodei worker token > worker.token makes
where you use the command line. From then on it proves its key and needs none.

In a step of a job, "hodei-agent mask" hides a secret; hodei-agent mask --help
tells more.

Environment:
  HODEI_SERVER_URL         where the server is
  HODEI_WORKER_TOKEN       registers this machine; needed only the first time
  HODEI_WORKER_TOKEN_FILE  a file that holds it instead

Flags:
  --state-dir DIR    keeps the agent's key and its jobs' workspaces
                     (default: /var/lib/hodei-agent for root, else
                     ~/.local/state/hodei-agent)
  --name NAME        of this worker (default: the host's name)
  --label KEY=VALUE  what jobs may require; may be given again
  --cpu CPU          what jobs may use, such as 4 or 1500m (default: all)
  --memory BYTES     what jobs may use, such as 8Gi (default: all)
  -v, --version      print the version
  -h, --help         print this

TERM or INT stops the agent: it takes no more jobs, and those it has are
cancelled with their grace.

Exit status: 0 stopped or drained, 1 failed, 2 wrong usage, 3 refused by the
server for good, 4 another agent took its place, 5 the state folder is in use.
`

var errHelp = errors.New("help")

// options are what flags and environment say, without the token.
type options struct {
	server   string
	stateDir string
	facts    agent.Facts
	version  bool
}

func parse(args []string, getenv func(string) string) (options, error) {
	o := options{server: getenv("HODEI_SERVER_URL"), facts: agent.Facts{Labels: map[string]string{}, Version: build.Name()}}
	flags := flag.NewFlagSet("hodei-agent", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.stateDir, "state-dir", defaultStateDir(getenv), "")
	flags.StringVar(&o.facts.Name, "name", "", "")
	flags.BoolVar(&o.version, "version", false, "")
	flags.BoolVar(&o.version, "v", false, "")
	flags.Func("label", "", func(s string) error { return parseLabel(o.facts.Labels, s) })
	flags.Func("cpu", "", func(s string) (err error) {
		o.facts.CPUMilli, err = parseCPU(s)
		return err
	})
	flags.Func("memory", "", func(s string) (err error) {
		o.facts.Memory, err = parseBytes(s)
		return err
	})
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return o, errHelp
	case err != nil:
		return o, err
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.server == "" && !o.version:
		return o, errors.New("HODEI_SERVER_URL is not set; it must look like grpcs://host:port")
	}
	o.stateDir, err = filepath.Abs(o.stateDir)
	return o, err
}

func defaultStateDir(getenv func(string) string) string {
	if os.Getuid() == 0 {
		return "/var/lib/hodei-agent"
	}
	state := cmp.Or(getenv("XDG_STATE_HOME"), filepath.Join(getenv("HOME"), ".local", "state"))
	return filepath.Join(state, "hodei-agent")
}

func parseLabel(labels map[string]string, s string) error {
	key, value, found := strings.Cut(s, "=")
	if !found || key == "" {
		return errors.New("a label looks like key=value")
	}
	labels[key] = value
	return nil
}

// parseCPU reads CPUs, such as 2 or 0.5, or thousandths, such as 500m.
func parseCPU(s string) (milli uint64, err error) {
	digits, thousandths := strings.CutSuffix(s, "m")
	if thousandths {
		milli, err = strconv.ParseUint(digits, 10, 32)
	} else {
		var cpus float64
		cpus, err = strconv.ParseFloat(digits, 64)
		if cpus > 0 { // which NaN is not
			milli = uint64(min(cpus, math.MaxUint32) * 1000)
		}
	}
	if err != nil || milli == 0 {
		return 0, errors.New("a number of CPUs looks like 2, 0.5 or 500m")
	}
	return milli, nil
}

// parseBytes reads bytes, such as 1073741824, 512Mi or 8G.
func parseBytes(s string) (uint64, error) {
	units := []struct {
		suffix string
		size   uint64
	}{
		{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40},
		{"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"", 1},
	}
	for _, unit := range units {
		digits, found := strings.CutSuffix(s, unit.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || n == 0 || n > math.MaxInt64/unit.size {
			break
		}
		return n * unit.size, nil
	}
	return 0, errors.New("an amount of memory looks like 512Mi, 8Gi or 1073741824")
}
