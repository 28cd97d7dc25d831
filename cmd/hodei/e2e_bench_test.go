package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// benchFigures are what programs read of hodei bench -o json: none is ever
// renamed.
var benchFigures = []string{
	"submits_per_s_1", "submits_per_s_64", "submits_per_s_batch", "lives_per_s", "lives_per_s_1m", "lives_per_s_protocol",
	"submit_started_p50_ms", "submit_started_p99_ms", "jobs_per_s", "log_latency_p50_ms", "log_latency_p99_ms",
	"replay_events_per_s", "rebuild_events_per_s", "pending_100k_mb", "server_idle_mb",
	"floor_fdatasync_per_s", "floor_fork_exec_pty_per_s", "mask_mb_per_s", "floor_filter_mb_per_s",
}

// A small run of everything has each figure, and none that is not above zero.
func TestBenchHasItsFigures(t *testing.T) {
	t.Parallel()
	built, dir := binaries(t), t.TempDir()
	for _, path := range []string{"hodei", "real/hodei-agent"} { // not the agent that claims to have more CPUs
		if err := os.Link(filepath.Join(built, path), filepath.Join(dir, filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(dir, "hodei"), "bench", "--scale", "0.001", "-o", "json")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, errs.String())
	}
	var figures map[string]float64
	if err := json.Unmarshal(out, &figures); err != nil {
		t.Fatal(err)
	}
	for _, name := range benchFigures {
		if !(figures[name] > 0) {
			t.Errorf("%s is %v", name, figures[name])
		}
	}
}
