package process_test

import (
	"os"
	"testing"

	"golang.org/x/sync/errgroup"
)

// slots is how many jobs run at a time in benchmarks.
const slots = 8

// BenchmarkTrivialJob is a shell that does nothing, in a terminal, with all that
// a job's end takes. Compare with BenchmarkForkFloor.
func BenchmarkTrivialJob(b *testing.B) {
	h := host()
	inParallel(b, func() error {
		p, err := h.Start(sh("true"))
		if err == nil {
			p.Wait()
		}
		return err
	})
}

// BenchmarkForkFloor is the same shell without anything around it.
func BenchmarkForkFloor(b *testing.B) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	spec := sh("true")
	inParallel(b, func() error {
		p, err := os.StartProcess(spec.Argv[0], spec.Argv, &os.ProcAttr{Env: spec.Env, Files: []*os.File{null, null, null}})
		if err == nil {
			_, err = p.Wait()
		}
		return err
	})
}

func inParallel(b *testing.B, job func() error) {
	var group errgroup.Group
	group.SetLimit(slots)
	for b.Loop() {
		group.Go(job)
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
