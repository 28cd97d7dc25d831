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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
)

// binDir holds the binaries the tests run, built once.
var (
	binDir    string
	buildOnce sync.Once
	buildErr  error
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "hodei-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binDir = dir
		return m.Run()
	}())
}

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
		}{{"hodei", nil}, {"hodei-agent", []string{"-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w"}}} {
			cmd := exec.Command("go", append(append([]string{"build"}, b.args...), "-o", filepath.Join(binDir, b.name), "../"+b.name)...)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				buildErr = fmt.Errorf("cannot build %s: %w\n%s", b.name, err, out)
				return
			}
		}
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

func (c *cluster) env() []string {
	return append(os.Environ(), "HODEI_CONFIG_DIR="+filepath.Join(c.dir, "config"), "HODEI_API_URL=", "HODEI_API_TOKEN=", "NO_COLOR=1", "LC_ALL=C.UTF-8")
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
	c.cmd = exec.Command(filepath.Join(binDir, "hodei"), args...)
	c.cmd.Env, c.cmd.Stderr = c.env(), log
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

// agents returns the pids of the cluster's agents and guards.
func (c *cluster) agents() []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "%d", &pid); err != nil {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if bytes.Contains(cmdline, []byte(c.dir)) && bytes.Contains(cmdline, []byte("agent")) && pid != c.cmd.Process.Pid {
			pids = append(pids, pid)
		}
	}
	return pids
}

// end ends everything that was started.
func (c *cluster) end() {
	if c.t.Failed() {
		c.t.Logf("server log:\n%s", c.serverLog())
	}
	if c.cmd != nil && c.cmd.Process != nil {
		_ = c.cmd.Process.Kill()
	}
	for _, pid := range c.agents() {
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

func (c *cluster) hodeiTo(stdout, stderr io.Writer, args ...string) int {
	c.t.Helper()
	cmd := c.cli(args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// cli is a command of the CLI, not yet started.
func (c *cluster) cli(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(binDir, "hodei"), args...)
	cmd.Env = append(c.env(), "HODEI_API_URL=http://"+c.http)
	return cmd
}

// client returns the API's client with the cluster's admin token.
func (c *cluster) client() *client.Client {
	c.t.Helper()
	token, err := os.ReadFile(filepath.Join(c.dir, "config", "token"))
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
