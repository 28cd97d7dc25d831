package process_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/process"
)

var host = func() *process.Host {
	h, err := process.NewHost(nil)
	if err != nil {
		panic(err)
	}
	return h
}()

func sh(script string) process.Spec {
	return process.Spec{
		Argv: []string{"/bin/sh", "-c", script},
		Dir:  "/",
		Env:  []string{"PATH=" + os.Getenv("PATH")},
		TTY:  true,
	}
}

func run(t *testing.T, spec process.Spec) (string, process.Exit) {
	t.Helper()
	var out bytes.Buffer
	spec.Stdout = &out
	p, err := host.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	exit := p.Wait()
	return out.String(), exit
}

func TestHello(t *testing.T) {
	begin := time.Now()
	out, exit := run(t, sh("echo hello; exit 3"))
	t.Logf("%q %+v %v", out, exit, time.Since(begin))
	out, exit = run(t, sh("env -i setsid sleep 100 & echo $?; (sleep 1000; echo) & cat /proc/self/limits; echo; tty <&1"))
	t.Logf("%s %+v %v", out, exit, time.Since(begin))
	for range 3 {
		begin = time.Now()
		run(t, sh("true"))
		t.Log(time.Since(begin))
	}
}
