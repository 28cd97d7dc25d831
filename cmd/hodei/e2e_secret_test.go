package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// canaries are secrets of one test run, which must be found nowhere.
type canaries struct {
	own, stored, file string
}

func newCanaries() canaries {
	unique := fmt.Sprintf("%d", time.Now().UnixNano())
	return canaries{"own-canary-" + unique, "stored-canary-" + unique, "-----BEGIN KEY-----\nfile-canary-" + unique + "\n\xff\xfe\n-----END KEY-----\n"}
}

// forms are what a canary would be found as.
func (c canaries) forms() (all [][]byte) {
	for _, text := range []string{c.own, c.stored, c.file[20:50]} {
		encoded := base64.StdEncoding.EncodeToString([]byte(text))
		all = append(all, []byte(text), []byte(encoded[:len(encoded)-4]), []byte(hex.EncodeToString([]byte(text))))
	}
	return all
}

// absent fails if a text holds a canary in any form.
func (c canaries) absent(t *testing.T, where string, text []byte) {
	t.Helper()
	for _, form := range c.forms() {
		if at := bytes.Index(text, form); at >= 0 {
			t.Errorf("%s has %q: %.200q", where, form, text[max(0, at-80):])
			return
		}
	}
}

// hasher is a job that shows that it has its secrets, and none of them.
const hasher = `for name in TOKEN DB KEY; do eval "v=\$$name"; printf %s "$v" | sha256sum | cut -c1-64; done`

// blabber is a job that shows its secrets in every way it can.
const blabber = `echo "token $TOKEN."; printf %s "x$TOKEN" | base64 -w0; echo; printf %s "$DB" | od -An -v -tx1 | tr -d " \n"; echo
echo "$KEY"; echo $KEY; printf "\033[1m%s\033[0m" "$DB"; echo; "/nosuch/$TOKEN"; set -x; : "$DB" "$TOKEN"; set +x; echo "hold $TOKEN" >&2; true`

// hashes is what hasher prints. The newline at the end of what standard input had
// is no part of a secret.
func (c canaries) hashes() (text string) {
	for _, secret := range []string{c.own, c.stored, strings.TrimRight(c.file, "\n")} {
		text += fmt.Sprintf("%x\n", sha256.Sum256([]byte(secret)))
	}
	return text
}

// A secret is set, submitted, used by a job and its retry, and waits through a
// kill -9 of the server. Afterwards it is in no file of the server and the agent,
// no log, no answer, and no process.
func TestASecretIsNowhereToBeSeen(t *testing.T) {
	t.Parallel()
	requires(t, "sha256sum")
	c := startCluster(t, "--log-level", "debug")
	secret := newCanaries()
	var said bytes.Buffer // all that was answered
	run := func(stdin string, want int, args ...string) string {
		t.Helper()
		cmd := c.cli(args...)
		cmd.Env = append(cmd.Env, "TOKEN="+secret.own)
		var out, errs bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
		_ = cmd.Run()
		said.WriteString(out.String() + errs.String())
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Fatalf("hodei %q ends with %d, want %d: %s", args, code, want, errs.String())
		}
		return out.String()
	}
	run(secret.stored+"\n", 0, "secret", "set", "db")
	run(secret.file, 0, "secret", "set", "key")
	run("", 2, "secret", "set", "db="+secret.stored)
	run(`{"command": "true", "secrets": {"TOKEN": ["`+secret.own+`"]}}`, 2, "run", "-f", "-")
	run(`{command: x, secrets: {TOKEN: `+secret.own+`}, timeout: soon}`, 2, "run", "-f", "-")

	flags := []string{"run", "--no-tty", "--secret", "TOKEN", "--secret-from", "DB=db", "--secret-from", "KEY=key:1", "--cpu", "8", "--idempotency-key"}
	job := func(key string, more ...string) []string {
		return append(append(flags[:len(flags):len(flags)], key), more...)
	}
	tried := filepath.Join(c.dir, "tried")
	once := `[ -e ` + tried + ` ] || { touch ` + tried + `; exit 1; }; ` + hasher
	if got := run("", 0, job("retry", "--retries", "1", "--", "sh", "-c", once)...); !strings.HasSuffix(got, secret.hashes()) {
		t.Errorf("the retry has the secrets\n%swant\n%s", got, secret.hashes())
	}

	gate := filepath.Join(c.dir, "gate")
	run("", 0, "run", "--detach", "--cpu", "8", "--", "sh", "-c", "while ! [ -e "+gate+" ]; do sleep 0.05; done")
	waiting := strings.TrimSpace(run("", 0, job("wait", "--detach", "--", "sh", "-c", hasher)...))
	if again := strings.TrimSpace(run("", 0, job("wait", "--detach", "--", "sh", "-c", hasher)...)); again != waiting {
		t.Errorf("the same submission gave job %s, then %s", waiting, again)
	}
	c.kill()
	c.start()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run("", 0, "job", "wait", waiting)
	if got := run("", 0, "logs", waiting); got != secret.hashes() {
		t.Errorf("after a restart the job has the secrets\n%swant\n%s", got, secret.hashes())
	}

	for _, tty := range []string{"--no-tty=false", "--no-tty"} {
		masked(t, run("", 0, job("loud"+tty, tty, "--", "sh", "-c", blabber)...))
	}
	run("", 0, "secret", "delete", "db")
	run("", exitJobNoResult, job("gone", "--", "true")...)
	for _, read := range [][]string{
		{"job", "get", waiting, "-o", "json"}, {"job", "events", waiting, "-o", "json"}, {"job", "list", "-o", "json"}, {"events", "-o", "json"}, {"secret", "list", "-o", "json"},
	} {
		run("", 0, read...)
	}
	secret.absent(t, "what was answered", said.Bytes())
	for pid := range processesOf(c.dir) {
		for _, part := range []string{"environ", "cmdline"} {
			text, _ := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), part))
			secret.absent(t, fmt.Sprintf("%s of process %d", part, pid), text)
		}
	}
	secret.absentFrom(t, c.dir) // while all runs
	c.stop(os.Interrupt)
	secret.absentFrom(t, c.dir)
}

// masked fails unless a text is what blabber's output should look like.
func masked(t *testing.T, text string) {
	t.Helper()
	if !strings.Contains(text, "token ***.") || strings.Count(text, "***") < 6 {
		t.Errorf("what blabs its secrets shows\n%s", text)
	}
}

func (c canaries) absentFrom(t *testing.T, dir string) {
	t.Helper()
	var files int
	var bytes int64
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasPrefix(path, filepath.Join(dir, "data", "bin")) {
			return nil // what was removed meanwhile; the agent's program
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		bytes += int64(len(text))
		c.absent(t, path, text)
		return nil
	})
	if err != nil || files < 10 {
		t.Errorf("%d files were looked at, %v", files, err)
	}
	t.Logf("%d files, %d bytes looked at", files, bytes)
}

// On a terminal a value is asked for and not shown, and Ctrl-C leaves the terminal
// as it was.
func TestASecretIsTypedUnseen(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	echoes := func(x *terminal) bool {
		t.Helper()
		state, err := unix.IoctlGetTermios(int(x.master.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return state.Lflag&unix.ECHO != 0
	}
	hidden := func(x *terminal) {
		t.Helper()
		x.until("value of db, which is not shown:")
		eventually(t, commandLimit, func() error {
			if echoes(x) {
				return errors.New("what is typed is shown")
			}
			return nil
		})
	}
	x := c.onTerminal(nil, "secret", "set", "db")
	hidden(x)
	if _, err := x.master.WriteString("hunter2\n"); err != nil {
		t.Fatal(err)
	}
	x.until("db set, version 1")
	if strings.Contains(x.shown(), "hunter2") || !echoes(x) {
		t.Errorf("it is shown, or nothing is any more: %q", x.shown())
	}
	x = c.onTerminal(nil, "secret", "set", "db")
	hidden(x)
	x.interrupt()
	eventually(t, commandLimit, func() error {
		if !echoes(x) {
			return errors.New("the terminal shows nothing any more")
		}
		return nil
	})
	if code := x.end(); code != exitInterrupted {
		t.Errorf("it ends with %d", code)
	}
}
