package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// maker is a step that makes a secret, has it masked, and prints it in every way. It
// leaves it in a file for those that follow.
const maker = `v=$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')
printf %s "$v" > "$KEPT"
printf %s "$v" | "$HODEI_AGENT" mask || exit 9
echo "raw $v."
echo "base64 $(printf %s "$v" | base64 -w0)."
printf 'split %.9s' "$v"; sleep 0.3; printf '%s.\n' "${v#?????????}"
for word in own-$v-1 "own-$v 2"; do "$HODEI_AGENT" mask -- "$word" && echo "argument $word."; done`

// user is a step that prints the secret of one before.
const user = `echo "stderr $(cat "$KEPT")." >&2; sleep 0.3; echo "again $(cat "$KEPT")."; test -S "$HODEI_AGENT_SOCKET" && stat -c 'folder %a' "$(dirname "$HODEI_AGENT_SOCKET")"
case $HODEI_AGENT_SOCKET in "$HODEI_WORKSPACE"*) echo "it is in the workspace";; esac
printf abc | "$HODEI_AGENT" mask; echo "exit code $?"
: | "$HODEI_AGENT" mask 2>&1; echo "exit code $?"`

// A step has a secret masked that it has just made: from then on it is shown in no
// form, by no step, in a terminal and through pipes, and it is in no file.
func TestStepsAddSecrets(t *testing.T) {
	t.Parallel()
	requires(t, "od", "base64")
	c := startCluster(t, "--log-level", "debug")
	for _, tty := range []bool{true, false} {
		kept := filepath.Join(t.TempDir(), "kept")
		job := fmt.Sprintf(`{"tty": %t, "env": {"KEPT": %q}, "steps": [{"run": %q}, {"run": %q}]}`, tty, kept, maker, user)
		cmd := c.cli("run", "-f", "-")
		var out bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(job), &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
		stored, _, _ := c.hodei("logs", "last")
		for _, want := range []string{
			"raw ***.\n", "base64 ***.\n", "split ***.\n", "stderr ***.\n", "argument ***.\nargument ***.\n",
			"again ***.\n", "folder 700\n", "exit code 3\n",
			"hodei-agent mask: not masked: it has fewer than 4 bytes, white space around it left out\n",
			"hodei-agent mask: not masked: it is empty\nexit code 3\n",
		} {
			if !strings.Contains(stored, want) {
				t.Errorf("tty %t: %q is not in\n%s", tty, want, stored)
			}
		}
		if strings.Contains(stored, "in the workspace") {
			t.Errorf("the socket is in the workspace")
		}
		secret, err := os.ReadFile(kept)
		if err != nil || len(secret) != 32 {
			t.Fatalf("the secret is %q, %v", secret, err)
		}
		made := canaries{own: string(secret), stored: string(secret), file: strings.Repeat(string(secret), 2)}
		made.absent(t, "what was followed", out.Bytes())
		made.absent(t, "what is stored", []byte(stored))
		events, _, _ := c.hodei("job", "events", "last", "-o", "json")
		made.absent(t, "the job's events", []byte(events))
		made.absentFrom(t, c.dir)
	}
}

// Whatever a job does to its socket, another has its secrets masked at once, and
// the agent stays as small as it was.
func TestAFloodOfSecrets(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	var sockets []string
	for range 3 {
		told := filepath.Join(t.TempDir(), "told")
		_, stderr, code := c.hodei("run", "--detach", "--cpu", "50m", "-e", "TOLD="+told, "--", "sh", "-c", `echo "$HODEI_AGENT_SOCKET" > "$TOLD.new"; mv "$TOLD.new" "$TOLD"; sleep 1000`)
		if code != 0 {
			t.Fatal(stderr)
		}
		eventually(t, commandLimit, func() error {
			_, err := os.Stat(told)
			return err
		})
		path, err := os.ReadFile(told)
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, strings.TrimSpace(string(path)))
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		flood(sockets, stop)
	}()
	for i := range 10 {
		out, stderr, code := c.hodei("run", "-q", "--cpu", "50m", "--", "sh", "-c", fmt.Sprintf(`v=other-secret-%d; "$HODEI_AGENT" mask $v && echo "shown $v."`, i))
		if code != 0 || out != "shown ***.\n" {
			t.Errorf("another job ends with %d, %s, and shows %q", code, stderr, out)
		}
	}
	close(stop)
	<-done
	for _, pid := range c.agents() {
		if mb := peak(t, pid); mb > 80 {
			t.Errorf("an agent had %.0f MB", mb)
		} else {
			t.Logf("agent or guard: %.0f MB", mb)
		}
	}
}

// flood is what a hostile job may do: say nothing, say what is nothing, add all it
// can, all of it again and again.
func flood(sockets []string, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		conn, err := net.DialTimeout("unix", sockets[i%len(sockets)], time.Second)
		if err != nil {
			continue
		}
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		switch i / len(sockets) % 200 {
		case 0:
			defer conn.Close() // it keeps its place for as long as it may
			continue
		case 1:
			_, _ = conn.Write([]byte{255, 255, 255, 255})
		case 2:
			_, _ = conn.Write(append([]byte{0, 1, 0, 0}, bytes.Repeat([]byte("x"), 1<<16)...))
		default:
			_, _ = conn.Write(fmt.Appendf([]byte{0, 0, 0, 196}, "%0196d", i))
		}
		_, _ = conn.Read(make([]byte, 100))
		_ = conn.Close()
	}
}
