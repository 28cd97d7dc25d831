package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

// The figures have the names by which hodei bench tells them.
func TestBench(t *testing.T) {
	var out, errs bytes.Buffer
	if status := bench([]string{"1"}, &out, &errs); status != exitDone {
		t.Fatalf("status %d: %s", status, errs.String())
	}
	var figures map[string]float64
	if err := json.Unmarshal(out.Bytes(), &figures); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mask_mb_per_s", "floor_filter_mb_per_s", "mask_coloured_mb_per_s", "mask_binary_mb_per_s"} {
		if figures[name] <= 0 {
			t.Errorf("%s is %v", name, figures[name])
		}
	}
	for _, args := range [][]string{{"0"}, {"many"}, {"1", "2"}} {
		if status := bench(args, &out, &errs); status != exitUsage {
			t.Errorf("%q: status %d", args, status)
		}
	}
}
