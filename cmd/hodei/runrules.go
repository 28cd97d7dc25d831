package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// rules refuses, before anything is submitted, flags of run that could not do what
// they are for. spec is what they and the file ask for.
func (f *runFlags) rules(c *cobra.Command, spec map[string]any) error {
	retries, _ := spec["retries"].(map[string]any)
	most := fmt.Sprint(retries["max"])
	never := most == "<nil>" || most == "0"
	err := refuse(c,
		rule{"shell", spec["argv"] != nil, "what stands behind -- is run without a shell; hodei run -- sh -c 'CMD' has one"},
		rule{"retry-on", never, "without --retries it is not tried again"},
		rule{"backoff", never, "without --retries it is not tried again"},
		rule{"idempotency-key", f.key == "", "it is empty, so that each submission would be another job"},
	)
	if err != nil {
		return err
	}
	return f.outputRules(c)
}

// outputRules refuses flags about the output and the end of a job that nothing is
// waited for of.
func (f *runFlags) outputRules(c *cobra.Command) error {
	err := refuse(c,
		rule{"result", f.detach, "with --detach the job is not waited for; hodei job wait JOB -o json gives its result"},
		rule{"raw", f.detach, "with --detach there is no output to show"},
		rule{"progress", f.detach, "with --detach nothing is waited for"},
	)
	if err != nil || f.result == "" {
		return err
	}
	if err := writable(f.result); err != nil {
		return &exitError{code: exitUsage, err: fmt.Errorf("--result: cannot write %s: %s", f.result, reason(err)), help: "name a file that can be written; nothing was submitted"}
	}
	return nil
}

// wholePath is the whole path of a program here that was named by one from here, as
// ./build.sh; else "".
func wholePath(program string) string {
	if !strings.Contains(program, "/") || filepath.IsAbs(program) {
		return ""
	}
	path, err := filepath.Abs(program)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return ""
	}
	return path
}
