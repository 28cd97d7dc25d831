package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
)

const (
	readyWait = 2 * time.Minute // a source checkout builds the agent first
	stopWait  = 30 * time.Second
)

// child is a server in a process of its own.
type child struct {
	cmd    *exec.Cmd
	said   *bytes.Buffer
	data   string // folder
	http   string
	token  string
	client *client.Client
}

// withServer runs fn with a server of its own; command is server or dev.
func (r *Run) withServer(ctx context.Context, command string, fn func(*child) error) (err error) {
	dir, done, err := folder()
	if err != nil {
		return err
	}
	defer done()
	c := &child{said: &bytes.Buffer{}, data: filepath.Join(dir, "data")}
	c.cmd = exec.CommandContext(ctx, r.Binary, command, "--data", c.data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--log-level", "error")
	c.cmd.Env = append(os.Environ(), "HODEI_CONFIG_DIR="+filepath.Join(dir, "config"))
	c.cmd.Stderr = c.said
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	c.cmd.WaitDelay = stopWait
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		if werr := c.cmd.Wait(); werr != nil && err == nil && ctx.Err() == nil {
			err = fmt.Errorf("the server ended with %w: %s", werr, c.said)
		}
	}()
	if err := c.awaitReady(ctx, out); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, "data.token"))
	if err != nil {
		return err
	}
	c.token = strings.TrimSpace(string(text))
	if c.client, err = client.New(client.Config{URL: "http://" + c.http, Token: c.token}); err != nil {
		return err
	}
	return fn(c)
}

func (c *child) awaitReady(ctx context.Context, out io.Reader) error {
	lines := make(chan string, 1)
	go func() {
		b := bufio.NewReader(out)
		line, _ := b.ReadString('\n')
		lines <- line
		_, _ = io.Copy(io.Discard, b)
	}()
	select {
	case line := <-lines:
		var grpc string
		if _, err := fmt.Sscanf(line, "ready http=http://%s grpc=grpcs://%s", &c.http, &grpc); err != nil {
			return fmt.Errorf("the server did not start: %s", c.said)
		}
		return nil
	case <-time.After(readyWait):
		return errors.New("the server did not start in time")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resident returns the server's memory in MB: its proportional set size.
func (c *child) resident() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kb / 1024, err
		}
	}
	return 0, errors.New("the kernel does not tell a process's memory")
}

const (
	settleLook  = time.Second
	settleSteps = 15 // the server gives memory back some seconds after a burst
)

// settled returns the server's memory once a burst's garbage has been given back
// to the system: the least of some seconds.
func (c *child) settled(ctx context.Context) (least float64, err error) {
	tick := time.NewTicker(settleLook)
	defer tick.Stop()
	for step := range settleSteps {
		now, err := c.resident()
		if err != nil {
			return 0, err
		}
		if step == 0 || now < least {
			least = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return least, nil
}
