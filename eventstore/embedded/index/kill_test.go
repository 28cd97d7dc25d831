package index

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore"
)

// killedIndex names, for a child process, the index that it writes until it is
// killed.
const killedIndex = "HODEI_INDEX_KILLED"

// round makes the runs of the n-th write: a function of n alone, so that both
// processes know them.
func (m *model) round(n int) []Run {
	var runs []Run
	for i := range 50 {
		runs = append(runs, m.add(eventstore.StreamID(fmt.Sprintf("job-%d", (n*37+i)%400)), uint32(1+i%3), true))
	}
	return runs
}

func TestMain(m *testing.M) {
	if path := os.Getenv(killedIndex); path != "" {
		fmt.Println(writeOn(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeOn writes one round after the other and says so after each.
func writeOn(path string) error {
	ix, err := Open(path)
	if err != nil {
		return err
	}
	m := newModel()
	for n := 0; ; n++ {
		runs := m.round(n)
		if m.head <= ix.Checkpoint().Position {
			continue
		}
		if err := ix.Write(runs, Checkpoint{Position: m.head, Frame: uint64(n + 1)}); err != nil {
			return err
		}
		if _, err := fmt.Println("round", n+1); err != nil {
			return err
		}
	}
}

// A process that is killed while it writes leaves the checkpoint before or after
// that write, and all that belongs to it.
func TestAKillLeavesOneCheckpointOrTheOther(t *testing.T) {
	kills := 5
	switch {
	case os.Getenv("HODEI_LONG") != "":
		kills = 200
	case testing.Short():
		kills = 2
	}
	dir := t.TempDir()
	for k := range kills {
		path := filepath.Join(dir, fmt.Sprintf("index-%d.db", k/10)) // not one for ever: looking at all of it takes longer and longer
		said := killAfter(t, path, 3+k%4)
		ix := open(t, path)
		c := ix.Checkpoint()
		if c.Frame < uint64(said) || c.Frame > uint64(said)+1 {
			t.Fatalf("kill %d: round %d was finished, the checkpoint is of round %d", k, said, c.Frame)
		}
		m := newModel()
		for n := range int(c.Frame) {
			m.round(n)
		}
		if m.head != c.Position {
			t.Fatalf("kill %d: the checkpoint is #%d, round %d ends at #%d", k, c.Position, c.Frame, m.head)
		}
		if err := errors.Join(ix.Scrub(context.Background(), nil), m.check(ix), ix.Close()); err != nil {
			t.Fatalf("kill %d: %v", k, err)
		}
	}
}

// killAfter lets a child write and kills it in the write after a number of
// rounds. It returns the last round that the child said was finished.
func killAfter(t *testing.T, path string, rounds int) (last int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killedIndex+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for lines := bufio.NewScanner(out); lines.Scan(); rounds-- {
		if _, err := fmt.Sscanf(lines.Text(), "round %d", &last); err != nil {
			t.Errorf("the child says: %s", lines.Text())
		}
		if rounds <= 0 && !killed {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait()
	return last
}
