package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal is a command on a terminal of its own, of 24 lines and 80 columns.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	done   chan struct{} // closed when all of the screen was read

	mu     sync.Mutex
	screen bytes.Buffer
}

// onTerminal starts a command of the CLI on a terminal; variables are NAME=VALUE.
func (c *cluster) onTerminal(variables []string, args ...string) *terminal {
	c.t.Helper()
	x := &terminal{t: c.t, cmd: c.cli(args...), done: make(chan struct{})}
	x.cmd.Env = append(append(x.cmd.Env, "TERM=xterm", "CI=", "NO_COLOR="), variables...)
	master, err := pty.StartWithSize(x.cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		c.t.Fatal(err)
	}
	x.master = master
	go x.read()
	c.t.Cleanup(func() { _ = master.Close() })
	return x
}

func (x *terminal) read() {
	defer close(x.done)
	b := make([]byte, 4<<10)
	for {
		n, err := x.master.Read(b)
		x.mu.Lock()
		x.screen.Write(b[:n])
		x.mu.Unlock()
		if err != nil { // EIO when the other end is closed
			return
		}
	}
}

func (x *terminal) shown() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String()
}

// until waits until the text was shown.
func (x *terminal) until(text string) {
	x.t.Helper()
	eventually(x.t, commandLimit, func() error {
		if !strings.Contains(x.shown(), text) {
			return fmt.Errorf("%q is not shown:\n%s", text, x.shown())
		}
		return nil
	})
}

// interruptAgain is Ctrl-C a second time, as people do it: not at once.
func (x *terminal) interruptAgain() {
	x.t.Helper()
	wait(x.t, 2*together)
	x.interrupt()
}

// interrupt is Ctrl-C: the terminal makes a signal of it.
func (x *terminal) interrupt() {
	x.t.Helper()
	if _, err := x.master.WriteString("\x03"); err != nil {
		x.t.Fatal(err)
	}
}

// end waits for the command's end and returns its exit code.
func (x *terminal) end() int {
	x.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- x.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(commandLimit):
		_ = x.cmd.Process.Kill()
		x.t.Fatalf("it has not ended after %s:\n%s", commandLimit, x.shown())
	}
	<-x.done
	return x.cmd.ProcessState.ExitCode()
}

// What a person at a terminal sees and does. The rows share a cluster.
func TestTerminal(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	t.Run("group", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *cluster){
			"Ctrl-C cancels the job and goes on following it": interruptOnce,
			"Ctrl-C again leaves":                             interruptTwice,
			"Ctrl-C in a line that is redrawn":                interruptWaiting,
			"Ctrl-C while nothing answers":                    interruptUnreachable,
			"Ctrl-C of those who only look":                   interruptLooking,
			"a job can't harm the terminal":                   hostileOutput,
			"no colour where none is wanted":                  noColour,
			"a reader that has seen enough":                   brokenPipe,
			"a listing fits the terminal":                     listingFits,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				cc := *c
				cc.t = t
				test(t, &cc)
			})
		}
	})
}

func interruptOnce(t *testing.T, c *cluster) {
	x := c.onTerminal(nil, "run", "--name", "once", "--", "sh", "-c", "trap 'echo stopping; exit 3' TERM; echo started; while :; do sleep 0.1; done")
	x.until("started")
	x.interrupt()
	if code := x.end(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	shown := x.shown()
	for _, text := range []string{"; Ctrl-C again leaves, the cancellation goes on\r\n", "stopping\r\n", "cancelled\x1b[0m after ", ": interrupted\r\n"} {
		if text = strings.Replace(text, "\x1b[0m", "", 1); !strings.Contains(strings.ReplaceAll(shown, "\x1b[0m", ""), text) {
			t.Errorf("%q is not shown:\n%q", text, shown)
		}
	}
}

func interruptTwice(t *testing.T, c *cluster) {
	x := c.onTerminal(nil, "run", "--name", "twice", "--grace", "2s", "--", "sh", "-c", "trap '' TERM; echo started; while :; do sleep 0.1; done")
	x.until("started")
	x.interrupt()
	x.until("cancelling")
	eventually(t, commandLimit, func() error { // else the second could come before the server has heard of the first
		if out, _, _ := c.hodei("job", "get", "twice"); !strings.Contains(out, "being cancelled") {
			return fmt.Errorf("it is not being cancelled: %s", out)
		}
		return nil
	})
	x.interruptAgain()
	if code := x.end(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	if !strings.Contains(x.shown(), "it is being cancelled    look: hodei job get ") {
		t.Errorf("it does not say that it left: %q", x.shown())
	}
	if out, stderr, code := c.hodei("job", "wait", "twice"); code != exitNo && code != exitNotFound {
		t.Errorf("the cancellation does not go on: exit code %d, %s%s", code, out, stderr)
	}
}

func interruptWaiting(t *testing.T, c *cluster) {
	x := c.onTerminal(nil, "run", "--name", "waiting", "--cpu", "1000", "--", "true")
	x.until("too_large")
	x.interrupt()
	if code := x.end(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	// The terminal writes ^C where the cursor is, in the line that then goes.
	if shown := x.shown(); !strings.Contains(shown, "\r\x1b[Kcancelling ") || !strings.HasSuffix(shown, ": interrupted\r\n") || strings.Contains(shown, "\x1b[?") {
		t.Errorf("shown %q", shown)
	}
}

func interruptUnreachable(t *testing.T, c *cluster) {
	proxy := newSilentProxy(t, c.http)
	x := c.onTerminal([]string{"HODEI_API_URL=http://" + proxy.Addr().String()}, "run", "--name", "away", "--grace", "1s", "--", "sh", "-c", "echo started; sleep 300")
	x.until("started")
	proxy.refuse()
	x.until("connection to the server lost, trying again: ")
	x.interrupt()
	x.until("the cancellation did not reach the server, it is sent again")
	x.interruptAgain()
	if code := x.end(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	if shown := x.shown(); strings.Count(shown, "connection to the server lost") != 1 || !strings.Contains(shown, "the cancellation did not reach the server and the job goes on    cancel it: hodei job cancel ") {
		t.Errorf("shown %q", shown)
	}
	if out, stderr, code := c.hodei("job", "cancel", "away"); code != exitOK {
		t.Errorf("exit code %d: %s%s", code, out, stderr)
	}
}

// Who waits for a job or follows its output leaves it alone, and the terminal as it
// was.
func interruptLooking(t *testing.T, c *cluster) {
	if out, stderr, code := c.hodei("run", "--detach", "--name", "coloured", "--", "sh", "-c", `printf '\033[31mred'; sleep 300`); code != exitOK {
		t.Fatalf("exit code %d: %s%s", code, out, stderr)
	}
	for _, row := range []struct {
		until string
		args  []string
		want  string
	}{
		{"red", []string{"logs", "-f", "coloured"}, "red^C\x1b[0m\r\nleft "},
		{"▶ ", []string{"job", "wait", "coloured"}, " coloured on local^C\r\x1b[Kleft "},
	} {
		x := c.onTerminal([]string{"LC_ALL=C.UTF-8", "NO_COLOR=1"}, row.args...)
		x.until(row.until)
		x.interrupt()
		if code := x.end(); code != exitInterrupted {
			t.Errorf("%v: exit code %d, want %d", row.args, code, exitInterrupted)
		}
		if shown := x.shown(); !strings.Contains(shown, row.want) || !strings.HasSuffix(shown, "; it goes on\r\n") {
			t.Errorf("%v: shown %q", row.args, shown)
		}
	}
	if out, stderr, code := c.hodei("job", "cancel", "coloured"); code != exitOK {
		t.Errorf("it does not go on: exit code %d: %s%s", code, out, stderr)
	}
}

func hostileOutput(t *testing.T, c *cluster) {
	script := `printf '\033]0;title\007\033]52;c;ZXZpbA==\007\033[6n\033[2J\033[10;10H\033P1$r\033\\\2331m\033[1;35mcolour\033[K\n'`
	for name, args := range map[string][]string{"run": {"run", "--name", "hostile", "--", "sh", "-c", script}, "logs": {"logs", "hostile"}} {
		if name == "logs" {
			continue
		}
		x := c.onTerminal(nil, args...)
		if code := x.end(); code != 0 {
			t.Errorf("%s: exit code %d: %q", name, code, x.shown())
		}
		checkHarmless(t, name, x.shown())
	}
	page, err := c.client().Jobs(t.Context(), jobsQuery("succeeded"))
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range page.Items {
		if j.Name == "hostile" {
			for _, args := range [][]string{{"logs", j.ID}, {"logs", "-f", j.ID}} {
				x := c.onTerminal(nil, args...)
				if code := x.end(); code != 0 {
					t.Errorf("%v: exit code %d", args, code)
				}
				checkHarmless(t, strings.Join(args, " "), x.shown())
			}
		}
	}
}

func checkHarmless(t *testing.T, name, shown string) {
	t.Helper()
	if !strings.Contains(shown, "\x1b[1;35mcolour\x1b[K\r\n") {
		t.Errorf("%s: the coloured line is not shown: %q", name, shown)
	}
	for _, bad := range []string{"\x1b]", "\x1b[6n", "\x1b[2J", "\x1b[10", "\x1bP", "\x9b", "\x07"} {
		if strings.Contains(shown, bad) {
			t.Errorf("%s: %q reached the terminal: %q", name, bad, shown)
		}
	}
}

func noColour(t *testing.T, c *cluster) {
	for _, row := range []struct {
		variable string
		redraws  bool
	}{{"NO_COLOR=1", true}, {"TERM=dumb", false}, {"CI=true", false}} {
		x := c.onTerminal([]string{row.variable}, "run", "--cpu", "1000", "--timeout", "1s", "--", "true")
		x.until("too_large")
		x.interrupt()
		x.end()
		shown := x.shown()
		if got := strings.Contains(shown, "\r\x1b[K"); got != row.redraws {
			t.Errorf("%s: a line is redrawn: %v, want %v: %q", row.variable, got, row.redraws, shown)
		}
		if strings.Contains(shown, "m○") != (row.variable == "CI=true") || strings.Contains(shown, "\x1b[3") != (row.variable == "CI=true") {
			t.Errorf("%s: coloured %q", row.variable, shown)
		}
	}
}

// brokenPipe is hodei … | head -1: it ends at once and quietly, also when no more
// output comes.
func brokenPipe(t *testing.T, c *cluster) {
	id, stderr, code := c.hodei("run", "--detach", "--name", "pipe", "--", "sh", "-c", "seq 100000; sleep 300")
	if code != 0 {
		t.Fatal(stderr)
	}
	id = strings.TrimSpace(id)
	defer c.hodei("job", "cancel", id)
	eventually(t, commandLimit, func() error {
		if out, _, _ := c.hodei("logs", id); !strings.HasSuffix(out, "\n100000\n") {
			return fmt.Errorf("%d bytes of output yet", len(out))
		}
		return nil
	})
	for _, args := range [][]string{{"logs", id}, {"logs", "-f", id}, {"events", "-f"}, {"events", "-f", "--stream", "job-" + id}} {
		cmd := c.cli(args...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 2)); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		_ = out.Close()
		watch := time.AfterFunc(commandLimit, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		watch.Stop()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if by := status.Signal(); by != syscall.SIGPIPE && status.ExitStatus() != exitSignal+int(syscall.SIGPIPE) || errs.Len() > 0 {
			t.Errorf("%v: ended as %v, said %q", args, cmd.ProcessState, errs.String())
		}
	}
}

func listingFits(t *testing.T, c *cluster) {
	if _, stderr, code := c.hodei("run", "--", "true"); code != 0 { // then there is a worker, and a job
		t.Fatal(stderr)
	}
	for _, args := range [][]string{{"job", "list"}, {"worker", "list"}, {"worker", "get", "local"}} {
		x := c.onTerminal([]string{"NO_COLOR=1"}, args...)
		if code := x.end(); code != 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
		for line := range strings.Lines(x.shown()) {
			if n := len([]rune(strings.TrimRight(line, "\r\n"))); n > 80 {
				t.Errorf("%v: a line has %d columns: %q", args, n, line)
			}
		}
	}
}
