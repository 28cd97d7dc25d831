package sample_test

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/agentproto/agent/process"
	"github.com/hodei-jobs/hodei/agentproto/agent/sample"
	"github.com/hodei-jobs/hodei/agentproto/series"
)

// recorded is a job whose series is kept.
type recorded struct {
	*job
	out   *outbox.Outbox
	box   *outbox.Box
	begun time.Time
}

func record(t *testing.T, argv ...string) *recorded {
	t.Helper()
	out := outbox.New()
	r := &recorded{job: start(t, argv...), out: out, box: out.Open(key)}
	r.sampler.Remove(key)
	r.sampler.Attach(key, r.process, r.box)
	r.now = time.Now()
	r.begun = r.now
	return r
}

// series ends the job and reads what was told of it.
func (r *recorded) series() (all []series.Sample) {
	r.t.Helper()
	r.end()
	r.out.SetWindow(1<<30, 1<<30, 0)
	var d series.Decoder
	for piece, ok := r.out.Take(); ok; piece, ok = r.out.Take() {
		if piece.Tag != outbox.Usage {
			r.t.Fatalf("a piece has tag %d", piece.Tag)
		}
		if err := d.Decode(piece.Data, func(s series.Sample) { all = append(all, s) }); err != nil {
			r.t.Fatal(err)
		}
	}
	return all
}

func TestTheSeriesOfAJob(t *testing.T) {
	r := record(t, "python3", "-c", `
import time
x = bytearray(b'x') * (100 << 20)
print("ready", flush=True)
while time.process_time() < 1: pass
time.sleep(1000)`)
	r.ready()
	r.until("it has used a second", func(u sample.Usage) bool { return u.CPU >= time.Second })
	for range 20 {
		r.look()
	}
	u := r.look()
	all, used := r.series(), time.Duration(0)
	for _, s := range all {
		used += s.CPU
	}
	if used != u.CPU.Truncate(time.Millisecond) {
		t.Errorf("the samples sum up to %v of CPU, it used %v", used, u.CPU)
	}
	if seconds := r.now.Sub(r.begun).Round(time.Second) / time.Second; len(all) != int(seconds) {
		t.Fatalf("%d samples of %d seconds", len(all), seconds)
	}
	for i, s := range all {
		if s.Memory < 100<<20 || s.Memory > 130<<20 || s.Processes != 1 || s.Known&(series.Memory|series.Disk) != series.Memory|series.Disk || s.Known&series.Network != 0 {
			t.Errorf("second %d: %+v", i, s)
		}
		if i > 0 && s.Over != time.Second {
			t.Errorf("second %d is of %v", i, s.Over)
		}
	}
}

// Traffic is known of a job that has a network for itself, and of no other: never
// are the machine's figures shown as a job's.
func TestTrafficOfAJobWithANetworkOfItsOwn(t *testing.T) {
	if err := exec.Command("unshare", "-n", "nsenter", "--version").Run(); err != nil {
		if os.Getenv("HODEI_REQUIRE_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip("network namespaces can't be made here:", err)
	}
	own := record(t, "unshare", "-n", "/bin/sh", "-c", "echo ready; while :; do sleep 0.01; done")
	own.ready()
	own.until("it is known", func(u sample.Usage) bool { return u.Network })
	for range 100 {
		if u := own.look(); !u.Network || u.Received+u.Sent > 0 {
			t.Fatalf("of a network without any interface: %+v", u)
		}
	}
	if all := own.series(); all[len(all)-2].Known&series.Network == 0 {
		t.Errorf("the series has %+v", all[len(all)-2])
	}

	mixed := record(t, "/bin/sh", "-c", "unshare -n sleep 1000 & echo ready; wait")
	mixed.ready()
	mixed.until("both are seen", func(u sample.Usage) bool { return u.Processes > 1 })
	if u := mixed.look(); u.Network {
		t.Errorf("known of a job with processes in the machine's network: %+v", u)
	}
	mixed.end()

	first := record(t, "unshare", "-n", "/bin/sh", "-c", "echo ready; sleep 1000")
	first.ready()
	first.until("it is known of one alone", func(u sample.Usage) bool { return u.Network })
	second, err := host().Start(process.Spec{
		Argv: []string{"nsenter", "-t", first.pid(), "-n", "sleep", "1000"}, Dir: "/", TTY: true, Env: []string{"PATH=" + os.Getenv("PATH")},
	})
	if err != nil {
		t.Fatal(err)
	}
	first.until("it is unknown of two that share one", func(u sample.Usage) bool { return !u.Network })
	second.Kill()
	second.Wait()
	first.end()
}

// pid is of the job's main process.
func (r *recorded) pid() string {
	r.t.Helper()
	for _, tree := range host().Trees() {
		if tree.Process == r.process {
			return strconv.Itoa(tree.Main)
		}
	}
	r.t.Fatal("it does not run")
	return ""
}
