package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// cuttingProxy forwards connections to a server, and ends each after some bytes of
// an answer, so many times; then it leaves them alone.
type cuttingProxy struct {
	net.Listener
	to    string
	least int
	left  atomic.Int32
	cuts  atomic.Int32
}

func newCuttingProxy(t *testing.T, to string, cuts, least int) *cuttingProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cuttingProxy{Listener: l, to: to, least: least}
	p.left.Store(int32(cuts))
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go p.pass(in)
		}
	}()
	return p
}

func (p *cuttingProxy) pass(in net.Conn) {
	defer func() { _ = in.Close() }()
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	if p.left.Add(-1) >= 0 {
		p.cuts.Add(1)
		_, _ = io.CopyN(in, out, int64(p.least+rand.IntN(5*p.least)))
		return
	}
	_, _ = io.Copy(in, out)
}

// Through a connection that breaks at 50 random places, what is followed and what
// is read later are the bytes that the job wrote, once and in order.
func TestLogsThroughACutConnection(t *testing.T) {
	t.Parallel()
	binaries(t)
	c := startCluster(t)
	const rounds, each = 60, 8000
	script := fmt.Sprintf("for i in $(seq %d); do seq $((i*%d-%d)) $((i*%d)); sleep 0.05; done", rounds, each, each-1, each)
	var want strings.Builder
	for i := range rounds * each {
		fmt.Fprintln(&want, i+1)
	}
	sum := sha256.Sum256([]byte(want.String()))
	id, stderr, code := c.hodei("run", "--detach", "--", "sh", "-c", script)
	if code != 0 {
		t.Fatal(stderr)
	}
	id = strings.TrimSpace(id)
	for _, row := range []struct {
		name string
		args []string
	}{{"followed", []string{"logs", "-f", id}}, {"streamed", []string{"logs", "-f", id, "--tail", "all"}}, {"read", []string{"logs", id}}} {
		proxy := newCuttingProxy(t, c.http, 50, 15_000)
		out, stderr, code := c.hodei(append(row.args, "--server", "http://"+proxy.Addr().String())...)
		if got := sha256.Sum256([]byte(out)); got != sum || code != exitOK {
			at := 0
			for at < min(len(out), want.Len()) && out[at] == want.String()[at] {
				at++
			}
			t.Errorf("%s: exit code %d, %d bytes of %d, the first other at %d: %.300s", row.name, code, len(out), want.Len(), at, stderr)
		}
		if cuts := proxy.cuts.Load(); cuts != 50 {
			t.Errorf("%s: it was cut %d times", row.name, cuts)
		}
	}
}

// What logs chooses and finds, of a real job with steps and two streams. The two
// streams are two pipes: only time orders what is written to them, hence the sleeps.
func TestLogsOfARealJob(t *testing.T) {
	t.Parallel()
	binaries(t)
	c := startCluster(t)
	file := filepath.Join(t.TempDir(), "job.yaml")
	const spec = `
tty: false
steps:
  - {name: build, run: 'printf "compiling\n\033[32mok\033[0m\n"'}
  - {name: test, run: "echo one; sleep 1; echo two >&2; sleep 1; echo three"}
`
	if err := os.WriteFile(file, []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := c.hodei("run", "-q", "-f", file); code != 0 {
		t.Fatal(stderr)
	}
	const id = "last"
	for args, want := range map[string]string{
		"":                          "compiling\n\x1b[32mok\x1b[0m\none\ntwo\nthree\n",
		"-f":                        "compiling\n\x1b[32mok\x1b[0m\none\ntwo\nthree\n",
		"--step build --ansi strip": "compiling\nok\n",
		"--step 2 --tail 1":         "three\n",
		"--stream stderr":           "two\n",
		"--lines 2:3 --line-numbers --ansi strip": "2:ok\n3:one\n",
		"--since 1h --tail 1":                     "three\n",
		"--until 1h":                              "",
		"--grep ^t --line-numbers":                "4:two\n5:three\n",
		"--grep one -C 1":                         "ok\none\ntwo\n",
		"--grep ok --ansi keep":                   "\x1b[32mok\x1b[0m\n",
	} {
		out, stderr, code := c.hodei(append([]string{"logs", id}, strings.Fields(args)...)...)
		if out != want || code != exitOK {
			t.Errorf("logs %s: %q, want %q, exit code %d, %s", args, out, want, code, stderr)
		}
	}
	if out, _, _ := c.hodei("logs", id, "-o", "json"); !bytes.HasPrefix([]byte(out), []byte(`{"attempt":1,"offset":0,"t":"compiling\n`)) {
		t.Errorf("as JSON: %s", out)
	}
}
