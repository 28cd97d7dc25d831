package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// maxReleasedAgent is the size that the agent stays under.
const maxReleasedAgent = 10_000_000

// A release is one file: alone in a folder, outside of a source checkout, without
// Go, hodei dev runs a job.
func TestARelease(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a release: left out of the short run")
	}
	t.Parallel()
	const version = "7.8.9"
	out := t.TempDir()
	system := runtime.GOOS + "-" + runtime.GOARCH
	build := exec.Command("go", "run", "../../providers/process/bundle/release", "--version", version,
		"--systems", strings.ReplaceAll(system, "-", "/"), "--out", out)
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	checkRelease(t, out, "hodei-"+system, "hodei-agent-"+system)

	c := &cluster{t: t, dir: t.TempDir(), command: "dev", http: "127.0.0.1:0", grpc: "127.0.0.1:0", path: t.TempDir()}
	t.Cleanup(c.end)
	c.program = filepath.Join(t.TempDir(), "hodei")
	if err := os.Rename(filepath.Join(out, "hodei-"+system), c.program); err != nil {
		t.Fatal(err)
	}
	c.start()
	if stdout, stderr, code := c.hodei("run", "--", "/bin/echo", "hello"); stdout != "hello\n" || code != 0 {
		t.Errorf("exit code %d: %q, %s", code, stdout, stderr)
	}
	if log := c.serverLog(); strings.Contains(log, "building") {
		t.Errorf("it has built something:\n%s", log)
	}
	for _, args := range [][]string{{"version"}, {"worker", "get", "local"}} {
		if stdout, stderr, code := c.hodei(args...); !strings.Contains(stdout, version) || code != 0 {
			t.Errorf("hodei %s doesn't tell of version %s: %q, %s", strings.Join(args, " "), version, stdout, stderr)
		}
	}
}

// checkRelease checks that just these files are there, beside their digests.
func checkRelease(t *testing.T, out string, names ...string) {
	t.Helper()
	var sums strings.Builder
	for _, name := range []string{names[1], names[0]} {
		data, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, "hodei-agent") && len(data) >= maxReleasedAgent {
			t.Errorf("%s has %d bytes, and must have less than %d", name, len(data), maxReleasedAgent)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
	}
	if got, err := os.ReadFile(filepath.Join(out, "SHA256SUMS")); err != nil || string(got) != sums.String() {
		t.Errorf("digests are %q (%v), not %q", got, err, sums.String())
	}
	if files, err := os.ReadDir(out); err != nil || len(files) != 3 {
		t.Errorf("there is %v (%v)", files, err)
	}
}
