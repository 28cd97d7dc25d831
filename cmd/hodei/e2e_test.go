package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
)

// testRoot holds all that the tests of this package write; binDir in it holds the
// binaries they run, built once.
var (
	testRoot, binDir string
	buildOnce        sync.Once
	buildErr         error
)

// TestMain gives the tests a folder of their own and fails if a process that has
// to do with it is left when they have ended.
func TestMain(m *testing.M) {
	time.Local = time.UTC // transcripts show times of day
	os.Exit(func() int {
		root, err := os.MkdirTemp("", "hodei-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(root) }()
		testRoot, binDir = root, filepath.Join(root, "bin")
		if err := os.Setenv("TMPDIR", root); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if left := leftBehind(root); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "processes are left behind:\n%s\n", strings.Join(left, "\n"))
			return 1
		}
		return code
	}())
}

// gone is how long processes have to end after the tests.
const gone = 10 * time.Second

// leftBehind waits until no process is left that has to do with a folder, and
// returns those that do not go. They are killed.
func leftBehind(root string) (left []string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(gone); ; {
		found := processesOf(root)
		if len(found) == 0 {
			return nil
		}
		select {
		case <-tick.C:
			continue
		case <-limit:
		}
		for pid, what := range found {
			left = append(left, fmt.Sprintf("%d %s", pid, what))
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return left
	}
}

// processesOf are the processes, but this one, whose command line, environment or
// working folder names a folder.
func processesOf(folder string) map[int]string {
	found := map[int]string{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")) // empty if it has just ended
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		cwd, _ := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		if strings.Contains(string(cmdline)+string(environ)+cwd, folder) {
			found[pid] = strings.ReplaceAll(string(cmdline), "\x00", " ")
		}
	}
	return found
}

// requires skips a test on a machine without a program that it uses.
func requires(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skipf("no %s on this machine", p)
		}
		t.Fatalf("no %s on this machine", p)
	}
}

// pretend is an agent that offers eight CPUs wherever it runs: what others do on
// this machine counts as used, and must not keep the jobs of tests waiting.
const pretend = "#!/bin/sh\nexec %q \"$@\" --cpu 8\n"

// binaries builds hodei and hodei-agent beside each other, once a test run.
func binaries(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the real binaries: left out of the short run")
	}
	buildOnce.Do(func() {
		for _, b := range []struct {
			name string
			args []string
		}{{"hodei", nil}, {"real/hodei-agent", []string{"-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w"}}} {
			cmd := exec.Command("go", append(append([]string{"build"}, b.args...), "-o", filepath.Join(binDir, b.name), "../"+filepath.Base(b.name))...)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				buildErr = fmt.Errorf("cannot build %s: %w\n%s", b.name, err, out)
				return
			}
		}
		agent := fmt.Sprintf(pretend, filepath.Join(binDir, "real", "hodei-agent"))
		buildErr = os.WriteFile(filepath.Join(binDir, "hodei-agent"), []byte(agent), 0o700)
	})
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return binDir
}

// cluster is a server (and the local agent of hodei dev) in a folder of its own.
type cluster struct {
	t       *testing.T
	dir     string
	command string // dev or server
	args    []string
	program string   // another than the one that was built for all tests
	path    string   // PATH of its server, unless it is this process's
	vars    []string // variables of its own, NAME=VALUE
	cmd     *exec.Cmd
	log     *os.File
	http    string
	grpc    string
	exited  chan error
}

// startCluster runs hodei dev until the test ends; then agents and jobs are
// ended too.
func startCluster(t *testing.T, args ...string) *cluster {
	t.Helper()
	binaries(t)
	c := &cluster{t: t, dir: t.TempDir(), command: "dev", args: args, http: "127.0.0.1:0", grpc: "127.0.0.1:0"}
	t.Cleanup(c.end)
	c.start()
	return c
}

func (c *cluster) binary() string { return first(c.program, filepath.Join(binDir, "hodei")) }

func (c *cluster) env() []string {
	env := append(os.Environ(), "HODEI_CONFIG_DIR="+filepath.Join(c.dir, "config"), "HODEI_API_URL=", "HODEI_API_TOKEN=", "NO_COLOR=1", "LC_ALL=C.UTF-8")
	return append(env, c.vars...)
}

// start starts the server and waits until it listens.
func (c *cluster) start() {
	c.t.Helper()
	log, err := os.OpenFile(filepath.Join(c.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	c.log = log
	args := append([]string{c.command, "--data", filepath.Join(c.dir, "data"), "--http", c.http, "--grpc", c.grpc}, c.args...)
	c.cmd = exec.Command(c.binary(), args...)
	c.cmd.Env, c.cmd.Stderr = c.env(), log
	if c.path != "" {
		c.cmd.Env = append(c.cmd.Env, "PATH="+c.path)
	}
	c.cmd.Dir = c.dir // not the source checkout, where an agent would be built
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	lines := make(chan string, 1)
	go func() {
		r := bufio.NewReader(out)
		line, _ := r.ReadString('\n')
		lines <- line
		_, _ = io.Copy(io.Discard, r)
	}()
	c.exited = make(chan error, 1)
	select {
	case line := <-lines:
		if _, err := fmt.Sscanf(line, "ready http=http://%s grpc=grpcs://%s", &c.http, &c.grpc); err != nil {
			c.t.Fatalf("the server said %q: %v\n%s", line, err, c.serverLog())
		}
	case <-time.After(60 * time.Second):
		c.t.Fatalf("the server is not ready after 60s\n%s", c.serverLog())
	}
	go func(cmd *exec.Cmd) { c.exited <- cmd.Wait() }(c.cmd)
}

func (c *cluster) serverLog() string {
	b, _ := os.ReadFile(filepath.Join(c.dir, "server.log"))
	return string(b)
}

// kill ends the server with -9 and waits until it is gone.
func (c *cluster) kill() {
	c.t.Helper()
	_ = c.cmd.Process.Kill()
	<-c.exited
	_ = c.log.Close()
}

// agents returns the pids of the cluster's agents and of their guards.
func (c *cluster) agents() []int {
	var pids []int
	for pid, cmdline := range processesOf(c.dir) {
		if strings.Contains(cmdline, "hodei-agent") && strings.Contains(cmdline, "--state-dir "+c.dir) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// stop asks the server to end and returns its exit code.
func (c *cluster) stop(sig os.Signal) int {
	c.t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.t.Fatal(err)
	}
	select {
	case <-c.exited:
	case <-time.After(stopLimit):
		c.t.Fatalf("the server has not ended %s after %s\n%s", stopLimit, sig, c.serverLog())
	}
	_ = c.log.Close()
	return c.cmd.ProcessState.ExitCode()
}

// stopLimit is how long a server may take to end in order on a loaded machine.
const stopLimit = 60 * time.Second

// end ends everything that was started.
func (c *cluster) end() {
	if c.t.Failed() {
		c.t.Logf("server log:\n%s", c.serverLog())
	}
	if c.cmd != nil && c.cmd.Process != nil {
		_ = c.cmd.Process.Kill()
	}
	for _, pid := range c.agents() { // guards end jobs whose agent is gone
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for pid := range processesOf(c.dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// hodei runs a command of the CLI and returns what it wrote and its exit code.
func (c *cluster) hodei(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	var out, errs bytes.Buffer
	code = c.hodeiTo(&out, &errs, args...)
	return out.String(), errs.String(), code
}

// commandLimit is how long a command may take on a loaded machine.
const commandLimit = 2 * time.Minute

func (c *cluster) hodeiTo(stdout, stderr io.Writer, args ...string) int {
	c.t.Helper()
	cmd := c.cli(args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	watch := time.AfterFunc(commandLimit, func() { _ = cmd.Process.Kill() })
	defer watch.Stop()
	_ = cmd.Wait() // the exit code says it
	if !watch.Stop() {
		c.t.Errorf("hodei %s has not ended after %s", strings.Join(args, " "), commandLimit)
	}
	return cmd.ProcessState.ExitCode()
}

// cli is a command of the CLI, not yet started.
func (c *cluster) cli(args ...string) *exec.Cmd {
	cmd := exec.Command(c.binary(), args...)
	cmd.Env = append(c.env(), "HODEI_API_URL=http://"+c.http)
	return cmd
}

// client returns the API's client with the cluster's admin token.
func (c *cluster) client() *client.Client {
	c.t.Helper()
	token, err := os.ReadFile(filepath.Join(c.dir, "data.token"))
	if err != nil {
		c.t.Fatal(err)
	}
	cl, err := client.New(client.Config{URL: "http://" + c.http, Token: strings.TrimSpace(string(token))})
	if err != nil {
		c.t.Fatal(err)
	}
	return cl
}

// eventually waits until check returns nil; it looks often, and fails the test
// with the last error after the limit.
func eventually(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after %s: %v", limit, err)
		case <-tick.C:
		}
	}
}
