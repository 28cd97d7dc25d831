package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/api/wire"
)

// What one server and its local worker do to jobs of all kinds. The rows share a
// cluster; they run at the same time.
func TestRun(t *testing.T) {
	c := startCluster(t)
	t.Run("group", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *cluster){
			"the exit code is the job's":                      endsAsItsJob,
			"every byte arrives unchanged through a pipe":     bytesUnchanged,
			"standard error stays apart without a terminal":   stderrApart,
			"steps run in order in one workspace":             stepsInOrder,
			"leftover processes are gone":                     leftovers,
			"prompts end at once":                             prompts,
			"a reader of the terminal is seen to wait":        waitsForInput,
			"a job is cancelled with its signal, then killed": cancelled,
			"a time limit ends a job":                         timeLimit,
			"a failed job is tried again":                     retried,
			"an idempotency key gives the same job":           idempotent,
			"wrong input changes nothing":                     wrongInput,
			"a full disk is told of":                          fullDisk,
			"a reader that has gone cancels the job":          readerGone,
			"a closed terminal cancels the job":               hungUp,
			"timeout(1) cancels the job":                      outOfTime,
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

func endsAsItsJob(t *testing.T, c *cluster) {
	for _, row := range []struct {
		script string
		want   int
	}{{"exit 0", 0}, {"exit 7", 7}, {"exit 255", 255}, {"kill -9 $$", 137}, {"kill -TERM $$", 143}} {
		if _, stderr, code := c.hodei("run", "--", "sh", "-c", row.script); code != row.want {
			t.Errorf("%s: exit code %d, want %d\n%s", row.script, code, row.want, stderr)
		}
	}
	_, stderr, code := c.hodei("run", "--", "/no/such/program")
	if code != exitJobNoResult || strings.Count(stderr, "cannot start") != 1 {
		t.Errorf("a missing program: exit code %d, want %d, said %q", code, exitJobNoResult, stderr)
	}
	_, stderr, code = c.hodei("run", "--", "echo hi | wc")
	if code != exitJobNoResult || strings.Contains(stderr, "PATH (") || !strings.HasSuffix(stderr, "\n  help: hodei run -- sh -c 'echo hi | wc'\n") {
		t.Errorf("a command line as one word: exit code %d, want %d, said %q", code, exitJobNoResult, stderr)
	}
}

func bytesUnchanged(t *testing.T, c *cluster) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	dir := t.TempDir()
	long := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
	for name, data := range map[string][]byte{
		"all byte values":             bytes.Repeat(all, 64),
		"colours and progress":        []byte("\x1b[1;32mok\x1b[0m\r10%\r20%\r100%\n\x1b]0;title\x07\x1b[2J"),
		"10 MB without a line end":    long,
		"characters cut by any chunk": bytes.Repeat([]byte("日本語 ✓ "), 50_000),
	} {
		for _, tty := range []string{"--no-tty=false", "--no-tty"} {
			path := filepath.Join(dir, fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:8])
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			if code := c.hodeiTo(&out, &errs, "run", tty, "--", "cat", path); code != 0 {
				t.Fatalf("%s: exit code %d: %s", name, code, errs.String())
			}
			if !bytes.Equal(out.Bytes(), data) {
				t.Errorf("%s %s: %d bytes with SHA-256 %x came, want %d with %x", name, tty, out.Len(), sha256.Sum256(out.Bytes()), len(data), sha256.Sum256(data))
			}
		}
	}
}

func stderrApart(t *testing.T, c *cluster) {
	stdout, stderr, _ := c.hodei("run", "-q", "--no-tty", "--", "sh", "-c", "echo out; echo err >&2")
	if stdout != "out\n" || stderr != "err\n" {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
}

func stepsInOrder(t *testing.T, c *cluster) {
	file := filepath.Join(t.TempDir(), "job.yaml")
	if err := os.WriteFile(file, []byte(`
name: steps
env: {WHO: world}
steps:
  - name: one
    run: echo "hello $WHO" > note
  - name: two
    run: exit 3
    continue_on_error: true
  - name: three
    run: cat note; echo "$MORE"
    env: {MORE: more}
`), 0o644); err != nil {
		t.Fatal(err)
	}
	result := filepath.Join(t.TempDir(), "result.json")
	stdout, stderr, code := c.hodei("run", "-f", file, "--result", result)
	if code != 0 || stdout != "hello world\nmore\n" {
		t.Fatalf("exit code %d, output %q, said %s", code, stdout, stderr)
	}
	var j wire.Job
	b, err := os.ReadFile(result)
	if err == nil {
		err = json.Unmarshal(b, &j)
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range j.Steps {
		got = append(got, s.Name+" "+s.State)
	}
	if want := "one succeeded, two failed, three succeeded"; strings.Join(got, ", ") != want {
		t.Errorf("steps: %s, want %s", strings.Join(got, ", "), want)
	}
}

// alive returns which of the pids are processes that have not ended.
func alive(pids []int) (left []int) {
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			left = append(left, pid)
		}
	}
	return left
}

func pidsIn(t *testing.T, text string) (pids []int) {
	t.Helper()
	for _, w := range strings.Fields(text) {
		if n, err := strconv.Atoi(w); err == nil {
			pids = append(pids, n)
		}
	}
	if len(pids) == 0 {
		t.Fatalf("no pid in %q", text)
	}
	return pids
}

func leftovers(t *testing.T, c *cluster) {
	for name, script := range map[string]string{
		"a daemon with a session of its own": `setsid sh -c 'sleep 300' & echo $!`,
		"a child that ignores HUP and TERM":  `sh -c 'trap "" HUP TERM; sleep 300' & echo $!`,
		"a daemon without the environment":   `env -i setsid sleep 300 & echo $!`,
	} {
		stdout, stderr, code := c.hodei("run", "--", "sh", "-c", script)
		if code != 0 {
			t.Errorf("%s: exit code %d: %s", name, code, stderr)
			continue
		}
		if left := alive(pidsIn(t, stdout)); left != nil {
			t.Errorf("%s: still alive: %v", name, left)
		}
	}
}

func prompts(t *testing.T, c *cluster) {
	requires(t, "git", "less")
	for name, script := range map[string]string{
		"reading the terminal by name": `read x </dev/tty; echo "rc $?"`,
		"reading standard input":       `read x; echo "rc $?"`,
		"a password":                   `stty -echo </dev/tty; printf Password: >/dev/tty; read x </dev/tty; stty echo </dev/tty; echo "rc $?"`,
		"git log": `git init -q . && git -c user.name=a -c user.email=a@example.com commit -q --allow-empty -m "$(seq 500)" &&
			git -c core.pager=less log`,
	} {
		began := time.Now()
		if _, stderr, code := c.hodei("run", "--timeout", "10s", "--", "sh", "-c", script); code != 0 {
			t.Errorf("%s: exit code %d after %s: %s", name, code, time.Since(began), stderr)
		}
	}
}

func waitsForInput(t *testing.T, c *cluster) {
	requires(t, "less")
	id, _, _ := c.hodei("run", "--detach", "--timeout", "60s", "--", "sh", "-c", "seq 1000 > lines; less lines")
	id = strings.TrimSpace(id)
	eventually(t, commandLimit, func() error {
		j, err := c.client().Job(t.Context(), id)
		if err != nil {
			return err
		}
		if !j.Waits {
			return fmt.Errorf("job %s is %s and not seen to wait for input", id, j.State)
		}
		return nil
	})
	if _, stderr, code := c.hodei("job", "cancel", id); code != 0 {
		t.Error(stderr)
	}
}

func cancelled(t *testing.T, c *cluster) {
	dir := t.TempDir()
	cmd := c.cli("run", "--grace", "1s", "--", "sh", "-c", `trap "" TERM; echo $$ >`+dir+`/pid; while :; do sleep 1; done`)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid []byte
	eventually(t, commandLimit, func() (err error) {
		if pid, err = os.ReadFile(dir + "/pid"); err == nil && len(pid) == 0 {
			err = errors.New("no pid yet")
		}
		return err
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d\n%s", code, exitInterrupted, errs.String())
	}
	if left := alive(pidsIn(t, string(pid))); left != nil {
		t.Errorf("still alive: %v", left)
	}
}

func timeLimit(t *testing.T, c *cluster) {
	_, stderr, code := c.hodei("run", "--timeout", "1s", "--", "sleep", "60")
	if code != exitJobTimeout || !strings.Contains(stderr, "timed_out") {
		t.Errorf("exit code %d, want %d: %s", code, exitJobTimeout, stderr)
	}
	file := filepath.Join(t.TempDir(), "job.yaml")
	if err := os.WriteFile(file, []byte("timeout: 1h\nsteps:\n- run: sleep 60\n  timeout: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := c.hodei("run", "-f", file); code != exitJobTimeout || !strings.Contains(stderr, "step 1 ran longer than its limit") {
		t.Errorf("a step's limit: exit code %d: %s", code, stderr)
	}
}

func retried(t *testing.T, c *cluster) {
	mark := filepath.Join(t.TempDir(), "mark")
	stdout, stderr, code := c.hodei("run", "--retries", "2", "--", "sh", "-c", "echo try; if [ -e "+mark+" ]; then exit 0; fi; touch "+mark+"; exit 1")
	if code != 0 || stdout != "try\ntry\n" {
		t.Errorf("exit code %d, output %q: %s", code, stdout, stderr)
	}
}

func idempotent(t *testing.T, c *cluster) {
	cl := c.client()
	spec := []byte(`{"command":"true"}`)
	one, err := cl.Submit(t.Context(), spec, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	two, err := cl.Submit(t.Context(), spec, "key-1")
	if err != nil || one.ID != two.ID {
		t.Errorf("the same key gave %v and %v, %v", one, two, err)
	}
	var p *wire.Problem
	if _, err = cl.Submit(t.Context(), []byte(`{"command":"false"}`), "key-1"); !errors.As(err, &p) || p.Status != http.StatusConflict {
		t.Errorf("another job under the same key: %v", err)
	}
}

func wrongInput(t *testing.T, c *cluster) {
	cl := c.client()
	for name, row := range map[string]struct {
		spec, location string
		status         int
	}{
		"an unknown field":     {`{"command":"true","retrys":1}`, "retrys", 422},
		"a bad label":          {`{"command":"true","labels":{"bad label!":"x"}}`, "labels", 422},
		"a negative memory":    {`{"command":"true","resources":{"memory":"-1Mi"}}`, "resources.memory", 422},
		"a wrong type":         {`{"command":"true","priority":"high"}`, "priority", 422},
		"a NUL":                {`{"command":"a\u0000b"}`, "command", 422},
		"no command":           {`{"name":"x"}`, "", 422},
		"a secret in a list":   {`{"command":"true","secrets":{"A":["b"]}}`, "secrets.A", 422},
		"no JSON":              {`{`, "", 422},
		"a body of 2 MB":       {`{"command":"` + strings.Repeat("x", 2<<20) + `"}`, "", 413},
		"an unknown namespace": {`{"command":"true","namespace":"nowhere"}`, "", 404},
	} {
		_, err := cl.Submit(t.Context(), []byte(row.spec), "")
		var p *wire.Problem
		if !errors.As(err, &p) || p.Status != row.status {
			t.Errorf("%s: %v, want status %d", name, err, row.status)
			continue
		}
		if row.location != "" && (len(p.Errors) == 0 || !strings.HasPrefix(p.Errors[0].Location, "body."+row.location)) {
			t.Errorf("%s: does not name %s: %+v", name, row.location, p)
		}
	}
	if _, stderr, code := c.hodei("job", "get", "zzzzzzzz"); code != exitNotFound {
		t.Errorf("an unknown job: exit code %d: %s", code, stderr)
	}
	if _, stderr, code := c.hodei("job", "get", "nonsense!"); code != exitNotFound {
		t.Errorf("a name that no job has: exit code %d: %s", code, stderr)
	}
	cmd := c.cli("job", "list")
	cmd.Env = append(cmd.Env, "HODEI_API_TOKEN=hodei_wrong")
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != exitDenied {
		t.Errorf("a wrong token: %v", err)
	}
}

// A disk that is full is told of as what it is.
func fullDisk(t *testing.T, c *cluster) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	id, stderr, code := c.hodei("run", "--detach", "--", "echo", "x")
	id = strings.TrimSpace(id)
	if _, _, waited := c.hodei("job", "wait", id); code != 0 || waited != 0 {
		t.Fatal(stderr)
	}
	for _, row := range []struct {
		args []string
		code int
	}{{[]string{"run", "-q", "--name", "full", "--", "echo", "x"}, exitJobNoResult}, {[]string{"logs", id}, exitRefused},
		{[]string{"job", "list"}, exitRefused}, {[]string{"job", "list", "-o", "json"}, exitRefused}, {[]string{"version"}, exitRefused}} {
		var errs bytes.Buffer
		code := c.hodeiTo(full, &errs, row.args...)
		if code != row.code || !strings.Contains(errs.String(), "cannot write the output: no space left on device") {
			t.Errorf("%v: exit code %d, want %d, said %s", row.args, code, row.code, errs.String())
		}
	}
}

// A second server can't open the folder of a first.
func TestOneServerAFolder(t *testing.T) {
	c := startCluster(t)
	second := c.cli("server", "--data", filepath.Join(c.dir, "data"), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0")
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), strconv.Itoa(c.cmd.Process.Pid)) {
		t.Errorf("the second server said %v: %s; want an error that names process %d", err, out, c.cmd.Process.Pid)
	}
	if _, stderr, code := c.hodei("run", "--", "true"); code != 0 {
		t.Errorf("the first server does not work any more: %s", stderr)
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
}

// A log without its keys is not served: with new keys its workers could not come
// back. Nothing is changed, so putting the keyring back is enough.
func TestALogWithoutItsKeysIsRefused(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.kill()
	ring := filepath.Join(c.dir, "data.keyring")
	if err := os.Rename(ring, ring+".away"); err != nil {
		t.Fatal(err)
	}
	out, err := c.cli("server", "--data", filepath.Join(c.dir, "data"), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "keyring") || !strings.Contains(string(out), "is missing") {
		t.Errorf("without its keyring: %v: %s", err, out)
	}
	if err := os.Rename(ring+".away", ring); err != nil {
		t.Fatal(err)
	}
	c.start()
	if _, stderr, code := c.hodei("run", "--", "true"); code != 0 {
		t.Errorf("with its keyring again: %s", stderr)
	}
}
